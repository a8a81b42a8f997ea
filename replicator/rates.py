"""How much is moved and how long the rest will take. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_MS: Final = 30_000


class Meter:
    """Counts what happens, and its rate over the last WINDOW_MS."""

    __slots__ = ("_events", "_sum", "total")

    def __init__(self) -> None:
        self.total = 0
        self._events: deque[tuple[int, int]] = deque()
        self._sum = 0

    def add(self, units: int, now_ms: int) -> None:
        """Count units at a time."""
        self.total += units
        self._sum += units
        self._events.append((now_ms, units))
        self._expire(now_ms)

    def per_s(self, now_ms: int) -> float:
        """Return units per second over the window, or over the time since its first event if shorter."""
        self._expire(now_ms)
        if not self._events:
            return 0.0
        return self._sum * 1000 / max(1000, now_ms - self._events[0][0])

    def _expire(self, now_ms: int) -> None:
        while self._events and self._events[0][0] < now_ms - WINDOW_MS:
            self._sum -= self._events.popleft()[1]


def eta_s(left: int, per_s: float) -> float | None:
    """Return the seconds that what is left will take, 0 for nothing, None where the rate is not known."""
    if left <= 0:
        return 0.0
    return left / per_s if per_s > 0 else None
