"""Clocks: the wall clock in milliseconds, and the hybrid logical clock that stamps writes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from model.errors import Unavailable
from model.stamp import ZERO, Stamp, next_stamp, stamp_ms

SKEW_MS_MAX: Final = 10 * 60 * 1000


def wall_clock_ms() -> int:
    """Return milliseconds since the epoch by this host's wall clock."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Return milliseconds of a clock that never steps; for durations only."""
    return time.monotonic_ns() // 1_000_000


def random_writer_id() -> int:
    """Return a 64-bit id for a process that writes; drawn anew at each start."""
    return secrets.randbits(64)


class ClockSkew(Unavailable):
    """A stamp lies further ahead of this host's clock than any sane clock would."""


class HybridClock:
    """The hybrid logical clock of one process: each stamp is after all it has made or observed.

    `now_ms` is the wall clock. Not safe across threads.
    """

    __slots__ = ("_last", "_now_ms", "_skew_ms_max", "writer_id")

    def __init__(
        self, writer_id: int, now_ms: Callable[[], int] = wall_clock_ms, *, skew_ms_max: int = SKEW_MS_MAX
    ) -> None:
        self.writer_id = writer_id
        self._now_ms = now_ms
        self._skew_ms_max = skew_ms_max
        self._last = ZERO

    @property
    def last(self) -> Stamp:
        """The newest stamp made or observed."""
        return self._last

    def next(self) -> Stamp:
        """Return a new stamp, after all stamps made or observed and not before the wall clock."""
        self._last = next_stamp(self._last, self._now_ms(), self.writer_id)
        return self._last

    def observe(self, stamp: Stamp) -> None:
        """Make all later stamps follow `stamp`.

        Raises ClockSkew, and takes no note of it, where the stamp is more than `skew_ms_max` ahead
        of the wall clock: one broken clock must not drag the whole federation into the future.
        """
        if stamp <= self._last:
            return
        ahead_ms = stamp_ms(stamp) - self._now_ms()
        if ahead_ms > self._skew_ms_max:
            raise ClockSkew(
                f"a stamp is {ahead_ms} ms ahead of this node's clock (at most {self._skew_ms_max} ms "
                "are believed): set the clocks of both hosts by NTP"
            )
        self._last = stamp
