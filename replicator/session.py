"""Finding where replicas of a key range differ, by descending fingerprints of ever smaller ranges. Pure.

A session says what to ask of which device, is fed the answers, and ends with *spans*: ranges of keys
that differ and are small enough, or so unequally filled, that their entries are exchanged whole. With
d differing keys among n it asks about d·log(n) times, all of one level at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from objectd.contract import Range

FANOUT: Final = 64
SPAN_ENTRIES: Final = 128
"""A range of at most so many entries is not cut further."""


@dataclass(frozen=True, slots=True)
class Span:
    """Keys with lo <= key < hi, and how many entries each device holds among them."""

    lo: bytes
    hi: bytes
    counts: Mapping[int, int]

    @property
    def most(self) -> int:
        """The device that holds the most entries."""
        return max(self.counts, key=lambda device: (self.counts[device], -device))


@dataclass(frozen=True, slots=True)
class Ask:
    """A question: the fingerprints of a range on one device, cut freely or at `bounds`."""

    device: int
    lo: bytes
    hi: bytes
    bounds: tuple[bytes, ...] | None = None


@dataclass(slots=True)
class _Open:
    """A range being cut: the device that chose the cuts, its answer, then those of all devices."""

    span: Span
    cutter: int
    answers: dict[int, Sequence[Range]]


class RangeSession:
    """One comparison of a key range on several devices."""

    def __init__(
        self,
        devices: Sequence[int],
        lo: bytes,
        hi: bytes,
        *,
        cutter: int,
        span_entries: int = SPAN_ENTRIES,
    ) -> None:
        """Compare lo <= key < hi; `cutter` is the device that cuts first, best the one with most entries."""
        self.devices = tuple(devices)
        self.span_entries = span_entries
        self.spans: list[Span] = []
        self._open = [_Open(Span(lo, hi, {}), cutter, {})]

    def asks(self) -> list[Ask]:
        """Return what is to be asked next; nothing once the session has ended."""
        return [ask for one in self._open for ask in self._asks_of(one)]

    def _asks_of(self, one: _Open) -> Iterator[Ask]:
        span = one.span
        cuts = one.answers.get(one.cutter)
        if cuts is None:
            yield Ask(one.cutter, span.lo, span.hi)
            return
        bounds = tuple(cut.lo for cut in cuts[1:])
        for device in self.devices:
            if device not in one.answers:
                yield Ask(device, span.lo, span.hi, bounds)

    def feed(self, answers: Mapping[Ask, Sequence[Range]]) -> None:
        """Take the answers to what `asks` returned last."""
        by_start = {one.span.lo: one for one in self._open}
        for ask, ranges in answers.items():
            by_start[ask.lo].answers[ask.device] = ranges
        still: list[_Open] = []
        for one in self._open:
            if len(one.answers) < len(self.devices):
                still.append(one)
            else:
                still += self._cut(one)
        self._open = still

    def _cut(self, one: _Open) -> list[_Open]:
        """Compare range by range: equal ones are done with, small ones are spans, others are cut again."""
        deeper: list[_Open] = []
        columns = [one.answers[device] for device in self.devices]
        for ranges in zip(*columns, strict=True):
            if len({(of.entry_count, of.digest) for of in ranges}) == 1:
                continue
            counts = {device: of.entry_count for device, of in zip(self.devices, ranges, strict=True)}
            span = Span(ranges[0].lo, ranges[0].hi, counts)
            whole = len(columns[0]) == 1
            if whole or self._is_final(span):
                self._add(span)
            else:
                deeper.append(_Open(span, span.most, {}))
        return deeper

    def _is_final(self, span: Span) -> bool:
        most, least = max(span.counts.values()), min(span.counts.values())
        return most <= self.span_entries or least * 2 < most

    def _add(self, span: Span) -> None:
        """Add a span, joined to its neighbour where both together are small: fewer calls fetch them."""
        last = self.spans[-1] if self.spans else None
        if last is not None and last.hi == span.lo:
            joined = {device: last.counts[device] + span.counts[device] for device in self.devices}
            if max(joined.values()) <= self.span_entries:
                self.spans[-1] = Span(last.lo, span.hi, joined)
                return
        self.spans.append(span)
