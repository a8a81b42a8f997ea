"""Several nodes of one colony on one machine: a supervisor of supervisors, for trying out and for tests."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from colonnade.control import RESTART_DEADLINE_MS, Control, ask_supervisor
from colonnade.folder import Folder, FolderError, read_json
from colonnade.journal import Echo, Journal
from colonnade.process import READY_FD, Launch
from colonnade.slot import Replacement, Revival, SlotPlan, State
from colonnade.supervisor import Supervisor
from model.errors import ColonnadeError

_START_TIMEOUT_MS: Final = 120_000
_STOP_TIMEOUT_MS: Final = 90_000


async def run_nodes(
    folders: Sequence[Folder], *, echo: Echo, serving: Callable[[Mapping[str, Any]], None]
) -> None:
    """Run a node in each folder until told to stop; call `serving` with the first node's endpoints.

    Raises StartFailed. A node whose supervisor dies is started again, as any process is.
    """
    journal = Journal(folders[0].log / "nodes.log", node="all", echo=echo)
    stop = asyncio.Event()

    def changed() -> None:
        if all(slot.state is State.STOPPED for slot in supervisor.slots()):
            # `colonnade stop` has ended every node.
            stop.set()

    supervisor = Supervisor([[_plan(folder) for folder in folders]], log=journal.log, changed=changed)

    async def roll() -> None:
        # One node after the other: with two objectds away at once no majority would be left.
        for folder in folders:
            try:
                await ask_supervisor(folder, Control.RESTART, "", deadline_ms=RESTART_DEADLINE_MS)
            except (ColonnadeError, FolderError) as error:
                journal.log("restart_failed", role=folder.root.name, reason=str(error))

    _hear_signals(supervisor, stop, roll)
    starting = asyncio.ensure_future(supervisor.start_tier(0))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            serving(read_json(folders[0].endpoints) or {})
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await supervisor.stop()
        journal.close()


def _plan(folder: Folder) -> SlotPlan:
    command = (
        *(sys.executable, "-m", "colonnade", "node", "--data", str(folder.root)),
        *("--ready-fd", READY_FD, "--quiet"),
    )
    return SlotPlan(
        "node",
        folder.root.name,
        Launch(command, log=folder.log / "node.log"),
        Replacement.SUCCEED,
        revival=Revival.ON_FAILURE,
        start_timeout_ms=_START_TIMEOUT_MS,
        drain_timeout_ms=_STOP_TIMEOUT_MS,
    )


def _hear_signals(supervisor: Supervisor, stop: asyncio.Event, roll: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    rolling: set[asyncio.Future[None]] = set()

    def on_hangup() -> None:
        if not rolling:
            task = asyncio.ensure_future(roll())
            rolling.add(task)
            task.add_done_callback(rolling.discard)

    def on_stop() -> None:
        if stop.is_set():
            # The second time: each node kills its processes when it is told twice.
            _signal_all(supervisor, signal.SIGTERM)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)


def _signal_all(supervisor: Supervisor, number: signal.Signals) -> None:
    for slot in supervisor.slots():
        if slot.process is not None:
            slot.process.signal(number)
