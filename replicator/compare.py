"""Compares one partition on several devices and brings them to the merge; asks, plans, moves.

A pass is *complete* where every device compared answered to the end and took what it lacked: after it,
each holds all that any of them held when the pass began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from model.entry import Entry, Table
from objectd.contract import ROWS_BYTES_MAX, Range, RawEntry
from replicator.mover import Mover
from replicator.peers import CALL_DEADLINE_MS, Peers
from replicator.places import key_range
from replicator.plan import Plan, Rules, plan_keys
from replicator.promised import Settler, is_barred
from replicator.session import FANOUT, Ask, RangeSession, Span

PAGE_ENTRIES: Final = 1_000
SPANS_AT_ONCE: Final = 8

Consent = Callable[[Entry], Awaitable[bool]]
"""Settles a container's tombstone that is on a minority; says whether it is settled."""

Window = dict[int, dict[bytes, RawEntry]]


@dataclass(slots=True)
class Pass:
    """What one pass over a partition's table came to."""

    complete: bool = True
    copied: int = 0
    dropped: int = 0
    calls: int = 0


class Comparer:
    """Runs passes."""

    def __init__(self, peers: Peers, mover: Mover, consent: Consent) -> None:
        self._settler = Settler(peers, mover)
        self.peers = peers
        self.mover = mover
        self._consent = consent
        self.calls = 0

    async def run(
        self, table: Table, partition: int, devices: Sequence[int], cutter: int, rules: Rules
    ) -> Pass:
        """Compare and mend one partition of a table. Raises Unavailable where a device does not answer."""
        found = Pass()
        before = self.calls
        lo, hi = key_range(table, partition, self.peers.epoch.part_power)
        session = RangeSession(devices, lo, hi, cutter=cutter)
        while asks := session.asks():
            answers = await asyncio.gather(*map(self._ranges, asks))
            session.feed(dict(zip(asks, answers, strict=True)))
        for at in range(0, len(session.spans), SPANS_AT_ONCE):
            await asyncio.gather(
                *(self._mend(span, rules, found) for span in session.spans[at : at + SPANS_AT_ONCE])
            )
        found.calls = self.calls - before
        return found

    async def _ranges(self, ask: Ask) -> list[Range]:
        self.calls += 1
        return await self.peers.of_device(ask.device).ranges(
            ask.device,
            ask.lo,
            ask.hi,
            fanout=FANOUT,
            bounds=ask.bounds,
            epoch=self.peers.epoch.number,
            deadline_ms=6 * CALL_DEADLINE_MS,
        )

    async def _mend(self, span: Span, rules: Rules, found: Pass) -> None:
        async for window in self._windows(span):
            plan = plan_keys(window, rules)
            await self.carry_out(plan, found)

    async def carry_out(self, plan: Plan, found: Pass) -> None:
        """Do what a plan says, noting in `found` how it went."""
        delivery = await self.mover.run(plan.transfers)
        found.copied += len(delivery.held)
        for key in delivery.refused:
            if is_barred(delivery.refused, key):
                await self._settler.settle(key)
        for tombstone in plan.consents:
            if not await self._consent(tombstone):
                found.complete = False
        if plan.drops:
            found.dropped += await self.mover.forget(plan.drops)
        if delivery.failed_count:
            found.complete = False

    async def _windows(self, span: Span) -> AsyncIterator[Window]:
        """Yield what all devices hold of a span, a page at a time, cut by the one that holds most."""
        most = span.most
        at = span.lo
        while at < span.hi:
            page = await self.page(most, at, span.hi)
            full = len(page) >= PAGE_ENTRIES or is_cut(page)
            end = page[-1].key + b"\0" if full else span.hi
            others = [device for device in span.counts if device != most]
            answers = await asyncio.gather(*(self._all(device, at, end, span) for device in others))
            window: Window = {most: {raw.key: raw for raw in page}}
            for device, entries in zip(others, answers, strict=True):
                window[device] = {raw.key: raw for raw in entries}
            yield window
            at = end

    async def _all(self, device: int, lo: bytes, hi: bytes, span: Span) -> list[RawEntry]:
        """Return all that a device holds between two keys; nothing where it held nothing of the span."""
        if not span.counts[device]:
            return []
        entries: list[RawEntry] = []
        while True:
            page = await self.page(device, lo, hi)
            entries += page
            if len(page) < PAGE_ENTRIES and not is_cut(page):
                return entries
            lo = page[-1].key + b"\0"

    async def page(self, device: int, lo: bytes, hi: bytes) -> list[RawEntry]:
        """Return the first entries of a device between two keys."""
        self.calls += 1
        return await self.peers.of_device(device).entries(
            device, lo, hi, limit=PAGE_ENTRIES, epoch=self.peers.epoch.number
        )

    async def pages(self, device: int, lo: bytes, hi: bytes) -> AsyncIterator[list[RawEntry]]:
        """Yield all entries of a device between two keys, a page at a time."""
        while True:
            page = await self.page(device, lo, hi)
            if page:
                yield page
            if len(page) < PAGE_ENTRIES and not is_cut(page):
                return
            lo = page[-1].key + b"\0"


def is_cut(page: Sequence[RawEntry]) -> bool:
    """Say whether a page may have been ended by its bytes rather than by the end of the range."""
    return sum(len(raw.key) + len(raw.row) for raw in page) > ROWS_BYTES_MAX // 2
