"""Which objects devices have lately promised ballots for, and the newest of each.

A plain write that something newer hides may be called done: it was overwritten at once. Not so where a
write on a condition took part: that one has judged a state without it. So its writer is told, by any home
that promised a ballot newer than the write. Forgotten after some thousands of ballots; with the process
too, so a write older than the process counts as told. Pure.
"""

from __future__ import annotations

from typing import Final

from model.stamp import Stamp, stamp_ms

KEPT_MIN: Final = 16_384
"""Objects remembered at least; at most twice as many."""


class RecentBallots:
    """The newest ballot that each device promised for each object."""

    __slots__ = ("_before", "_now", "_since_ms")

    def __init__(self, since_ms: int) -> None:
        """Remember from `since_ms`, in milliseconds since the epoch, on."""
        self._since_ms = since_ms
        self._now: dict[tuple[int, bytes], Stamp] = {}
        self._before: dict[tuple[int, bytes], Stamp] = {}

    def note(self, device: int, digest: bytes, ballot: Stamp) -> None:
        """Note that a device was asked to promise a ballot."""
        if len(self._now) >= KEPT_MIN:
            # What is forgotten was promised before now; older writes may be concerned.
            newest = max(self._before.values(), default=None)
            if newest is not None:
                self._since_ms = max(self._since_ms, stamp_ms(newest))
            self._before, self._now = self._now, {}
        self._now[device, digest] = max(ballot, self._now.get((device, digest), ballot))

    def contest(self, device: int, digest: bytes, stamp: Stamp) -> bool:
        """Say whether a device may have promised a ballot that is newer than a write."""
        if stamp_ms(stamp) <= self._since_ms:
            return True
        place = (device, digest)
        return self._now.get(place, stamp) > stamp or self._before.get(place, stamp) > stamp
