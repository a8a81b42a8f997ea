"""An event loop whose clock jumps to the next timer: hours of waiting pass in no time, in a fixed order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_STUCK_S: Final = 5.0

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready, nothing is due, and no thread brings anything either."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a timer, moves the loop's clock to it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once; where no timer is due ever, only a thread can wake the loop."""
        if timeout is None:
            ready = super().select(_STUCK_S)
            if not ready:
                raise Deadlock("the simulation has nothing left to wait for")
            return ready
        self.loop.advance(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time, which starts at 0 seconds."""

    def __init__(self) -> None:
        self._now_s = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += max(0.0, seconds)

    def monotonic(self) -> float:
        """Return virtual seconds; lets the loop stand in for the module `time`."""
        return self._now_s


def run_virtually(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time, as `asyncio.run` does on real time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
