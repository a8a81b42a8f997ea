"""One child process: started with sockets to inherit, heard when it is ready, signalled, seen to its end.

A child says that it serves by writing one line of JSON to the pipe it was given, and then closing it.
It dies with its supervisor: the kernel sends it SIGTERM when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

READY_FD: Final = "{ready_fd}"
"""Stands in a command line for the number of the pipe on which the child says that it is ready."""
READY_BYTES_MAX: Final = 64 * 1024
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child: command, descriptors it inherits under their numbers, environment, log file."""

    command: Sequence[str]
    inherit: Sequence[int] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    """Its stdout and stderr are appended here; without a log they are the supervisor's own."""


class ChildProcess:
    """A child that runs, or has run."""

    def __init__(self, popen: subprocess.Popen[bytes], ready_read_fd: int) -> None:
        """Watch a child that was started just now; call from the event loop."""
        loop = asyncio.get_running_loop()
        self.pid = popen.pid
        self.started_ms = time.time_ns() // 1_000_000
        self.started_at = loop.time()
        self.exited: asyncio.Future[int] = loop.create_future()
        """The exit status, negative for a signal."""
        self.ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        """What the child said of itself when it was ready; cancelled where it ended without."""
        self._popen = popen
        self._loop = loop
        self._pidfd = os.pidfd_open(popen.pid)
        self._ready_fd = ready_read_fd
        self._said = b""
        os.set_blocking(ready_read_fd, False)
        loop.add_reader(self._pidfd, self._on_exit)
        loop.add_reader(ready_read_fd, self._on_ready)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return not self.exited.done()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended; never to another process of the same number."""
        if self.alive:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    async def end(self, timeout_ms: int) -> int:
        """Ask the child to end, wait so long, then kill it; return its exit status."""
        self.signal(signal.SIGTERM)
        done, _ = await asyncio.wait((self.exited,), timeout=timeout_ms / 1000)
        if not done:
            self.signal(signal.SIGKILL)
        return await asyncio.shield(self.exited)

    def _on_ready(self) -> None:
        try:
            said = os.read(self._ready_fd, READY_BYTES_MAX)
        except BlockingIOError:
            return
        self._said += said
        if said and b"\n" not in self._said:
            return
        self._close_ready()
        if self._said and not self.ready.done():
            self.ready.set_result(_parse_ready(self._said))

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        status = self._popen.wait()
        os.close(self._pidfd)
        self._close_ready()
        if not self.ready.done():
            self.ready.cancel()
        self.exited.set_result(status)

    def _close_ready(self) -> None:
        if self._ready_fd >= 0:
            self._loop.remove_reader(self._ready_fd)
            os.close(self._ready_fd)
            self._ready_fd = -1


def start_process(launch: Launch) -> ChildProcess:
    """Start a child in a process group of its own, so that a terminal's Ctrl-C reaches the supervisor alone.

    Raises OSError where the program cannot be started. The supervisor must have no other thread.
    """
    ready_read, ready_write = os.pipe()
    command = [part.replace(READY_FD, str(ready_write)) for part in launch.command]
    log = None
    try:
        if launch.log is not None:
            log = open(launch.log, "ab", buffering=0)  # noqa: SIM115  (closed below, after the fork)
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT if log is not None else None,
            pass_fds=(*launch.inherit, ready_write),
            env={**os.environ, **launch.environment},
            process_group=0,
            # Safe here: the supervisor has one thread, and the call allocates nothing.
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509
        )
    except BaseException:
        os.close(ready_read)
        raise
    finally:
        os.close(ready_write)
        if log is not None:
            log.close()
    return ChildProcess(popen, ready_read)


def die_with(parent_pid: int) -> Callable[[], None]:
    """Return what a child calls so that it gets SIGTERM when its parent dies; it exits if it has already."""

    def bind() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return bind


def exit_words(status: int) -> str:
    """Return an exit status in words: "exit status 3", "signal SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _parse_ready(said: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(said)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
