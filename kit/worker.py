"""Workers: the one shape of every background job, paced so that it stays in the background."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

Clock = Callable[[], float]
"""Seconds of a clock that never steps."""
Sleep = Callable[[float], Awaitable[None]]

ERROR_PAUSE_S_MIN: Final = 1.0
ERROR_PAUSE_S_MAX: Final = 60.0
REST_S_MAX: Final = 60.0

_log = logging.getLogger(__name__)


class WorkerState(Enum):
    """What a worker is doing."""

    IDLE = "idle"
    """Waiting for its next round."""
    BUSY = "busy"
    PAUSED = "paused"
    DONE = "done"
    """Cancelled, or finished for good."""


class Step(Enum):
    """What one step of a job has found."""

    MORE = "more"
    """There is more to do: go on after a rest in proportion."""
    IDLE = "idle"
    """Nothing to do now: look again after the interval."""
    DONE = "done"
    """Nothing to do ever again."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What an operator is shown of a worker; `total_count` is 0 where it is not known."""

    name: str
    state: WorkerState
    done_count: int
    total_count: int
    errors_count: int
    last_error: str
    busy_s: float


class TokenBucket:
    """Limits a rate, in units (bytes, say) per second; a rate of 0 is no limit.

    `take(units, now)` returns for how many seconds to wait before going on. Up to `burst_s` seconds
    of unused rate are saved.
    """

    __slots__ = ("_at", "_burst_s", "_tokens", "units_per_s")

    def __init__(self, units_per_s: float, *, burst_s: float = 1.0) -> None:
        self.units_per_s = units_per_s
        self._burst_s = burst_s
        self._tokens = units_per_s * burst_s
        self._at: float | None = None

    def take(self, units: float, now: float) -> float:
        """Take units, going into debt where there are too few; returns the seconds until it is paid."""
        if self.units_per_s <= 0:
            return 0.0
        if self._at is not None:
            earned = (now - self._at) * self.units_per_s
            self._tokens = min(self._tokens + earned, self.units_per_s * self._burst_s)
        self._at = now
        self._tokens -= units
        return max(0.0, -self._tokens / self.units_per_s)


class Worker:
    """Runs `step` again and again: at once while there is more to do, else every `interval_s`.

    After a step that was busy for t seconds it rests for `tranquility` × t, so the share of time it
    takes is bounded whatever the speed of the machine. A step may call `pace(units)` to keep to the
    rate of `bucket`, and `progress(done, total)`. An error of a step is logged and counted, and the
    step is run again after a growing pause.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[Worker], Awaitable[Step]],
        *,
        interval_s: float,
        tranquility: float = 0.0,
        bucket: TokenBucket | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = name
        self.interval_s = interval_s
        self.tranquility = tranquility
        self.bucket = bucket if bucket is not None else TokenBucket(0)
        self._step = step
        self._clock = clock
        self._sleep = sleep
        self._state = WorkerState.IDLE
        self._done_count = 0
        self._total_count = 0
        self._errors_count = 0
        self._failures = 0
        self._last_error = ""
        self._busy_s = 0.0
        self._paced_s = 0.0
        self._go = asyncio.Event()
        self._go.set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run in a task of its own until cancelled."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.run(), name=self.name)

    def pause(self) -> None:
        """Begin no further step, nor further units within one, until `resume`."""
        self._go.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._go.set()

    def wake(self) -> None:
        """End the wait between two rounds: there is something to do now."""
        self._woken.set()

    async def cancel(self) -> None:
        """End the worker and wait until its step has ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._state = WorkerState.DONE

    def progress(self, done_count: int, total_count: int = 0) -> None:
        """Note how far the job is."""
        self._done_count = done_count
        self._total_count = total_count

    async def pace(self, units: float) -> None:
        """Account for units of work within a step; waits while paused or ahead of the rate."""
        await self._go.wait()
        wait_s = self.bucket.take(units, self._clock())
        if wait_s > 0:
            self._paced_s += wait_s
            await self._sleep(wait_s)

    def status(self) -> WorkerStatus:
        """Return what an operator is shown."""
        state = self._state
        if not self._go.is_set() and state is not WorkerState.DONE:
            state = WorkerState.PAUSED
        return WorkerStatus(
            self.name,
            state,
            self._done_count,
            self._total_count,
            self._errors_count,
            self._last_error,
            self._busy_s,
        )

    async def run(self) -> None:
        """Run steps until one is DONE; `start` does this in a task."""
        while True:
            await self._go.wait()
            found, busy_s = await self._run_step()
            if found is Step.DONE:
                self._state = WorkerState.DONE
                return
            if found is Step.MORE:
                await self._sleep(min(busy_s * self.tranquility, REST_S_MAX))
            else:
                await self._wait_for_round(self._pause_s())

    async def _run_step(self) -> tuple[Step, float]:
        self._state = WorkerState.BUSY
        self._woken.clear()
        self._paced_s = 0.0
        started = self._clock()
        try:
            found = await self._step(self)
            self._failures = 0
        except Exception as error:  # noqa: BLE001  (logged and counted, whatever it is)
            _log.exception("background work failed", extra={"worker": self.name})
            self._errors_count += 1
            self._failures += 1
            self._last_error = f"{type(error).__name__}: {error}"
            found = Step.IDLE
        finally:
            self._state = WorkerState.IDLE
        # Time spent waiting for the rate is no work and earns no rest.
        busy_s = max(0.0, self._clock() - started - self._paced_s)
        self._busy_s += busy_s
        return found, busy_s

    def _pause_s(self) -> float:
        if not self._failures:
            return self.interval_s
        return min(ERROR_PAUSE_S_MAX, ERROR_PAUSE_S_MIN * (1 << min(self._failures - 1, 10)))

    async def _wait_for_round(self, pause_s: float) -> None:
        sleeping = asyncio.ensure_future(self._sleep(pause_s))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
