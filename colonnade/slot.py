"""A place that one child process fills: started, restarted after a crash, replaced without a gap."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from colonnade.process import ChildProcess, Launch, exit_words, start_process

LOG_TAIL_BYTES: Final = 4000


class Replacement(Enum):
    """How one process takes over from another."""

    OVERLAP = "overlap"
    """The new one serves before the old one is asked to end: for those that share an inherited socket."""
    SUCCEED = "succeed"
    """The old one ends before the new one starts: for those that own devices."""


class Revival(Enum):
    """When a process that ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on failure"
    """An exit status of 0 says that somebody stopped it on purpose."""


class State(Enum):
    """What a slot is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    WAITING = "waiting"
    """Between a crash and the next attempt."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What fills a slot and how; `role` names its kind, `name` it alone. Times in milliseconds."""

    role: str
    name: str
    launch: Launch
    replacement: Replacement
    revival: Revival = Revival.ALWAYS
    start_timeout_ms: int = 60_000
    drain_timeout_ms: int = 30_000
    backoff_first_ms: int = 50
    backoff_max_ms: int = 5_000
    stable_ms: int = 10_000
    """A process that ran so long has earned an immediate restart."""


class StartFailed(Exception):
    """A process ended, or stayed silent, before it was ready; the text has its last words."""


class Slot:
    """Keeps one process running until told to stop."""

    def __init__(self, plan: SlotPlan, *, log: Callable[..., None], changed: Callable[[], None]) -> None:
        """Tell what happens by `log(event, **fields)`, and call `changed` when the process is another."""
        self.plan = plan
        self.state = State.STOPPED
        self.restarts = 0
        """Restarts after a crash."""
        self.info: dict[str, Any] = {}
        """What the process said when it was ready."""
        self.process: ChildProcess | None = None
        self._log = log
        self._changed = changed
        self._keeper: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._failures = 0

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises StartFailed."""
        self.state = State.STARTING
        self._take(await self._launch())
        self._keeper = asyncio.ensure_future(self._keep())

    async def restart(self) -> None:
        """Replace the process by a new one without losing work.

        Raises StartFailed; with an overlap the old one is then left running.
        """
        if self.state in (State.WAITING, State.STARTING):
            return  # about to be a new one anyway
        async with self._lock:
            if self.state is State.STOPPED or self.process is None:
                raise StartFailed(f"{self.plan.name} is stopped")
            self.state = State.RESTARTING
            old = self.process
            try:
                if self.plan.replacement is Replacement.OVERLAP:
                    self._take(await self._launch())
                    await self._drain(old)
                else:
                    await self._drain(old)
                    self._take(await self._launch())
            finally:
                if self.state is State.RESTARTING:
                    self.state = State.RUNNING
            self._log("restarted", pid=self.process.pid)

    async def stop(self) -> None:
        """Ask the process to end, and see to it that it does."""
        self.state = State.STOPPED
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if self.process is not None and self.process.alive:
            await self._drain(self.process)

    def kill(self) -> None:
        """End the process now."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    def _take(self, process: ChildProcess) -> None:
        self.process = process
        self.info = process.ready.result()
        if self.state is not State.STOPPED:
            self.state = State.RUNNING
        self._changed()

    async def _launch(self) -> ChildProcess:
        plan = self.plan
        try:
            process = start_process(plan.launch)
        except OSError as error:
            raise StartFailed(f"{plan.name} cannot be started: {error}") from error
        try:
            await asyncio.wait(
                (process.ready, process.exited),
                timeout=plan.start_timeout_ms / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            process.signal(signal.SIGKILL)
            raise
        if process.ready.done() and not process.ready.cancelled():
            return process
        if process.alive:
            process.signal(signal.SIGKILL)
            reason = f"was not ready within {plan.start_timeout_ms / 1000:g} s"
        else:
            reason = f"ended with {exit_words(process.exited.result())} before it was ready"
        raise StartFailed(f"{plan.name} {reason}{last_words(plan.launch.log)}")

    async def _drain(self, process: ChildProcess) -> None:
        status = await process.end(self.plan.drain_timeout_ms)
        if status == -signal.SIGKILL:
            self._log("killed", pid=process.pid, reason=f"not drained in {self.plan.drain_timeout_ms} ms")

    async def _keep(self) -> None:
        while True:
            process = self.process
            assert process is not None
            await asyncio.shield(process.exited)
            async with self._lock:
                if process is self.process:
                    if self._ended_on_purpose(process):
                        return
                    await self._revive(process)

    def _ended_on_purpose(self, process: ChildProcess) -> bool:
        if self.plan.revival is Revival.ALWAYS or process.exited.result() != 0:
            return False
        self.state = State.STOPPED
        self._log("stopped")
        self._changed()
        return True

    async def _revive(self, process: ChildProcess) -> None:
        status = exit_words(process.exited.result())
        self._log("died", pid=process.pid, reason=status)
        self._changed()
        ran_ms = (asyncio.get_running_loop().time() - process.started_at) * 1000
        self._failures = 0 if ran_ms >= self.plan.stable_ms else self._failures + 1
        while True:
            self.state = State.WAITING
            await asyncio.sleep(self._delay_ms() / 1000)
            self.state = State.STARTING
            try:
                self._take(await self._launch())
            except StartFailed as error:
                self._failures += 1
                self._log("start_failed", reason=str(error))
                continue
            self.restarts += 1
            assert self.process is not None
            self._log("revived", pid=self.process.pid)
            return

    def _delay_ms(self) -> int:
        plan = self.plan
        if self._failures <= 1:
            return 0
        # Doubling, bounded before the shift so that a long night of failures overflows nothing.
        return int(min(plan.backoff_max_ms, plan.backoff_first_ms << min(self._failures - 2, 16)))


def last_words(log: Path | None) -> str:
    """Return the last lines of a log, indented, with its path; empty where there is none."""
    if log is None:
        return ""
    try:
        with open(log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in lines[-12:]) + f"\n    (from {log})"
