"""All processes of one node, in tiers: started bottom up, stopped top down, restarted one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from colonnade.slot import Slot, SlotPlan, StartFailed

Log = Callable[..., None]
"""Called as `log(event, role=name, **fields)`."""


class NoSuchRole(Exception):
    """No process of the node has that role or name."""


class Supervisor:
    """Keeps the processes of a node running.

    `tiers` are in order of start; the processes of one tier start together. They are stopped in the
    reverse order, so that nothing loses what it stands on.
    """

    def __init__(self, tiers: Sequence[Sequence[SlotPlan]], *, log: Log, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a process is another than before."""
        self._log = log
        self._changed = changed
        self.tiers = [[self._slot(plan) for plan in tier] for tier in tiers]
        self._rolling = asyncio.Lock()

    def _slot(self, plan: SlotPlan) -> Slot:
        def log(event: str, **fields: object) -> None:
            self._log(event, role=plan.name, **fields)

        return Slot(plan, log=log, changed=self._changed)

    def slots(self) -> Iterator[Slot]:
        """Yield every slot, in order of start."""
        for tier in self.tiers:
            yield from tier

    async def start(self) -> None:
        """Start everything and wait until all is ready. Raises StartFailed, with all stopped again."""
        try:
            for number in range(len(self.tiers)):
                await self.start_tier(number)
        except BaseException:
            await self.stop()
            raise

    async def start_tier(self, number: int) -> None:
        """Start one tier and wait until it is ready. Raises StartFailed; what started stays."""
        tier = self.tiers[number]
        results = await asyncio.gather(*(slot.start() for slot in tier), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for slot in tier:
            assert slot.process is not None
            self._log("started", role=slot.plan.name, pid=slot.process.pid)

    async def stop(self) -> None:
        """Stop everything, letting each process finish what it is at."""
        for tier in reversed(self.tiers):
            await asyncio.gather(*(slot.stop() for slot in tier))

    def kill(self) -> None:
        """End every process now; `stop` then returns soon."""
        for slot in self.slots():
            slot.kill()

    def select(self, name: str = "") -> list[Slot]:
        """Return the slots of a role or name, all for ""; raises NoSuchRole."""
        found = [slot for slot in self.slots() if name in ("", slot.plan.role, slot.plan.name)]
        if not found:
            known = sorted({slot.plan.role for slot in self.slots()} | {s.plan.name for s in self.slots()})
            raise NoSuchRole(f"no process is called {name!r}; there are: {', '.join(known)}")
        return found

    async def restart(self, name: str = "") -> list[str]:
        """Replace processes one after the other, and return their names. Raises StartFailed, NoSuchRole.

        A failure ends the rolling restart: what follows keeps the old code that works.
        """
        async with self._rolling:
            slots = self.select(name)
            for slot in slots:
                try:
                    await slot.restart()
                except StartFailed as error:
                    self._log("restart_failed", role=slot.plan.name, reason=str(error))
                    raise
            return [slot.plan.name for slot in slots]

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids by role, in the order of the slots; of those that run."""
        found: dict[str, list[int]] = {}
        for slot in self.slots():
            running = found.setdefault(slot.plan.role, [])
            if slot.process is not None and slot.process.alive:
                running.append(slot.process.pid)
        return found

    def status(self) -> list[dict[str, Any]]:
        """Return one row for each slot: role, name, pid, state, start in ms since the epoch, restarts."""
        return [
            {
                "role": slot.plan.role,
                "name": slot.plan.name,
                "pid": slot.process.pid if slot.process is not None and slot.process.alive else None,
                "state": slot.state.value,
                "started_ms": slot.process.started_ms if slot.process is not None else None,
                "restarts": slot.restarts,
            }
            for slot in self.slots()
        ]
