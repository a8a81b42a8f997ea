"""Where an index has long runs of deleted names, so that a listing walks over each of them once. Pure.

Tombstones stay for days, and what empties a container from its front leaves a run of them before every
first page. A gap is a range of names none of which was live when the index was at `sequence` of its
change log; what the log tells since then cuts it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from model.entry import is_listed
from model.listing import RawRow

RUN_ROWS_MIN: Final = 512
"""Shorter runs of tombstones cost less to walk over than to remember."""
GAPS_MAX: Final = 64


class Gaps:
    """The gaps of one index on one device: disjoint ranges start <= name < end, in order."""

    __slots__ = ("_ends", "_rows", "_starts", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._starts: list[bytes] = []
        self._ends: list[bytes] = []
        self._rows: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def copy(self) -> Gaps:
        """Return what is known now."""
        copied = Gaps(self.sequence)
        copied._starts, copied._ends, copied._rows = self._starts[:], self._ends[:], self._rows[:]
        return copied

    def past(self, name: bytes) -> bytes:
        """Return the end of the gap in which a name lies, or the name itself."""
        at = bisect_right(self._starts, name) - 1
        return self._ends[at] if at >= 0 and name < self._ends[at] else name

    def below(self, end: bytes) -> bytes:
        """Return the start of the gap in which the names just below `end` lie, or `end` itself."""
        at = bisect_left(self._starts, end) - 1
        return self._starts[at] if at >= 0 and end <= self._ends[at] else end

    def note(self, start: bytes, end: bytes, row_count: int) -> None:
        """Take a range of `row_count` tombstones in, joined with the gaps that it touches."""
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
            row_count += sum(self._rows[low:high])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
        self._rows[low:high] = [row_count]
        if len(self._starts) > GAPS_MAX:
            self._drop(self._rows.index(min(self._rows)))

    def cut(self, names: Iterable[bytes]) -> None:
        """Split the gaps in which names have come to life."""
        for name in names:
            at = bisect_right(self._starts, name) - 1
            if at < 0 or name >= self._ends[at]:
                continue
            start, end, row_count = self._starts[at], self._ends[at], self._rows[at]
            self._drop(at)
            after = name + b"\0"
            # How the rows are spread is not known: half of them each is as good a guess as any.
            if start < name:
                self.note(start, name, row_count // 2)
            if after < end:
                self.note(after, end, row_count // 2)

    def _drop(self, at: int) -> None:
        del self._starts[at], self._ends[at], self._rows[at]


class Runs:
    """Finds the runs of tombstones in rows that are scanned in order, in either direction."""

    __slots__ = ("_count", "_first", "_last", "found")

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes, int]] = []
        """(start, end, count of rows) of the runs worth remembering."""
        self._first = self._last = b""
        self._count = 0

    def see(self, rows: Sequence[RawRow], *, follows: bool) -> None:
        """Take the next rows; `follows` says that no row lies between those seen before and these.

        Runs within rows that begin and end with a live one are passed over: they are short.
        """
        if not rows or not follows:
            self.end()
        if not rows or (_is_live(rows[0]) and _is_live(rows[-1])):
            self.end()
            return
        count = next((at for at, row in enumerate(rows) if _is_live(row)), len(rows))
        self._add(rows, 0, count)
        if count < len(rows):
            self.end()
            tail = next(at for at in range(len(rows), 0, -1) if _is_live(rows[at - 1]))
            self._add(rows, tail, len(rows))

    def end(self) -> None:
        """Close the run under way, if there is one."""
        if self._count >= RUN_ROWS_MIN:
            low, high = sorted((self._first, self._last))
            self.found.append((low, high + b"\0", self._count))
        self._count = 0

    def _add(self, rows: Sequence[RawRow], first: int, last: int) -> None:
        if first < last:
            if not self._count:
                self._first = rows[first][0]
            self._last = rows[last - 1][0]
            self._count += last - first


def _is_live(item: RawRow) -> bool:
    return is_listed(item[1][0] & 15)
