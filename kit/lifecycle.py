"""The life of a daemon: its loop, its signals, and the word to its supervisor that it is ready."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

READY_LINE: Final = b"READY\n"
EXIT_INTERRUPTED: Final = 130

_log = logging.getLogger(__name__)


class Lifecycle:
    """What a daemon's main coroutine is given: when to drain, and how to say that it is ready."""

    def __init__(self, ready_fd: int | None = None) -> None:
        self.draining = asyncio.Event()
        """Set by the first SIGTERM or SIGINT: finish what is in flight, then return."""
        self._ready_fd = ready_fd

    def ready(self, **said: str) -> None:
        r"""Tell the supervisor, once, that this process serves: "READY\n" on the descriptor it gave.

        What is said beside it (`admin`, say, the URL of this process's figures) goes as a line of JSON.
        """
        if self._ready_fd is not None:
            os.write(self._ready_fd, json.dumps(said).encode() + b"\n" if said else READY_LINE)
            os.close(self._ready_fd)
            self._ready_fd = None


Main = Callable[[Lifecycle], Coroutine[Any, Any, None]]


def run_daemon(main: Main, *, ready_fd: int | None = None) -> int:
    """Run a daemon on uvloop until its main coroutine returns; returns the exit status.

    The first SIGTERM or SIGINT sets `draining`, a second one cancels the main coroutine at once.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervised(main, ready_fd))


async def _supervised(main: Main, ready_fd: int | None) -> int:
    loop = asyncio.get_running_loop()
    lifecycle = Lifecycle(ready_fd)
    running = loop.create_task(main(lifecycle))

    def on_signal(number: int) -> None:
        if lifecycle.draining.is_set():
            _log.warning("second signal: ending at once", extra={"signal": signal.Signals(number).name})
            running.cancel()
        else:
            _log.info("draining", extra={"signal": signal.Signals(number).name})
            lifecycle.draining.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await asyncio.wait([running])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if running.cancelled():
        return EXIT_INTERRUPTED
    running.result()
    return 0
