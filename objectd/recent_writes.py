"""Which writes devices have held as their newest a moment ago, though something newer hides them now.

Who writes must know whether a reader may have seen its write: only what nobody can have seen may be
written again under a newer stamp. A reader that finds a write half done brings it to more devices,
maybe before the write itself arrives there, and maybe before the next write hides it again. Forgotten
after some thousands of writes, and with the process. Pure.
"""

from __future__ import annotations

from typing import Final

from model.entry import Kind, row_kind

KEPT_MIN: Final = 16_384
"""Writes remembered at least; at most twice as many."""


class RecentWrites:
    """The last writes that devices stored."""

    __slots__ = ("_before", "_now")

    def __init__(self) -> None:
        self._now: set[tuple[int, bytes, bytes]] = set()
        self._before: set[tuple[int, bytes, bytes]] = set()

    def note(self, device: int, key: bytes, row: bytes) -> None:
        """Note that a device has stored the base of a row, its newest now."""
        if row_kind(row) != Kind.EMPTY:
            if len(self._now) >= KEPT_MIN:
                self._before, self._now = self._now, set()
            self._now.add((device, row[1:17], key))

    def held(self, device: int, key: bytes, row: bytes) -> bool:
        """Say whether a device is known to have stored the base of a row."""
        mark = (device, row[1:17], key)
        return mark in self._now or mark in self._before
