"""The handlers of repair: digests, fingerprints of key ranges, entries, pending writes, forgetting.

What walks many rows gives way to other calls every few hundred of them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Final

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import Kind, Table, fingerprint, from_row, row_kind
from model.errors import BadRequest, CorruptRecord
from model.stamp import Stamp
from objectd.contract import (
    ROWS_BYTES_MAX,
    Range,
    check_table,
    pack_digests,
    pack_entries,
    pack_pending,
    pack_ranges,
)
from objectd.service_commit import Commits
from objectd.service_state import NodeState
from objectd.store import Store

STEP_ROWS: Final = 256
"""Rows walked before other calls get their turn."""
ENTRIES_MAX: Final = 10_000
_DIGEST_MODULUS: Final = 1 << 128


class Repairs:
    """Handles `digests`, `ranges`, `entries`, `pending`, `confirm`, `forget`, `quarantined` and `repairs`."""

    def __init__(self, state: NodeState, commits: Commits) -> None:
        self._state = state
        self._commits = commits

    def _store(self, epoch: int, device: int) -> Store:
        self._state.check_epoch(epoch)
        return self._state.store(device)

    def digests(self, call: Call) -> Reply:
        """Answer with the digests of a table's partitions on a device."""
        epoch, device, table = call.args
        store = self._store(epoch, device)
        return Reply(None, pack_digests(store.partition_digests(check_table(table))))

    async def ranges(self, call: Call) -> Reply:
        """Answer with fingerprints of ranges, cut by count or at the bounds given."""
        epoch, device, lo, hi, fanout, bounds = call.args
        store = self._store(epoch, device)
        if bounds is not None:
            return Reply(pack_ranges(await _ranges_at(store, [lo, *bounds, hi])))
        if fanout < 2:
            raise BadRequest("ranges are cut in two at least")
        return Reply(pack_ranges(await _ranges_of(store, lo, hi, fanout)))

    def entries(self, call: Call) -> Reply:
        """Answer with the entries of a range, as many as fit."""
        epoch, device, lo, hi, limit = call.args
        store = self._store(epoch, device)
        found: list[tuple[bytes, bytes, int]] = []
        size = 0
        for key, row in store.rows(lo, hi, min(limit, ENTRIES_MAX)):
            size += len(key) + len(row)
            if found and size > ROWS_BYTES_MAX:
                break
            found.append((key, row, _payload_bytes(store, key, row)))
        return Reply(None, pack_entries(found))

    def pending(self, call: Call) -> Reply:
        """Answer with client writes that nobody has confirmed."""
        epoch, device, older_than_ms = call.args
        return Reply(pack_pending(self._store(epoch, device).pending(older_than_ms)))

    def confirm(self, call: Call) -> Reply:
        """Note that whole writes are done."""
        (confirmations,) = call.args
        self._commits.confirm_all(confirmations)
        return Reply()

    async def forget(self, call: Call) -> Reply:
        """Drop entries that have not changed since the caller looked."""
        epoch, device, keys = call.args
        return Reply(await self._store(epoch, device).forget([(key, Stamp(stamp)) for key, stamp in keys]))

    def quarantined(self, call: Call) -> Reply:
        """Answer with the keys of records set aside."""
        device, limit = call.args
        return Reply(self._state.store(device).quarantined(limit))

    def repairs(self, call: Call) -> Reply:
        """Hand out repair hints; they are the caller's from now on."""
        (limit,) = call.args
        return Reply(self._state.repairs.take(limit))


def _payload_bytes(store: Store, key: bytes, row: bytes) -> int:
    """Return the length of the payload of an entry, 0 for the kinds that have none."""
    if key[0] != Table.OBJECT or row_kind(row) != Kind.DATA:
        return 0
    try:
        held = store.get(key)
    except CorruptRecord:
        return 0
    return held.payload_bytes if held is not None else 0


async def _fingerprints(store: Store, lo: bytes, hi: bytes) -> AsyncIterator[list[tuple[bytes, int]]]:
    """Yield (key, fingerprint) of the entries from lo up to hi, some at a time."""
    start = lo
    while True:
        rows = store.rows(start, hi, STEP_ROWS)
        yield [(key, fingerprint(from_row(key, row))) for key, row in rows]
        if len(rows) < STEP_ROWS:
            return
        start = rows[-1][0] + b"\0"
        await asyncio.sleep(0)


async def _ranges_of(store: Store, lo: bytes, hi: bytes, fanout: int) -> list[Range]:
    """Cut a range into at most `fanout` ranges of nearly equal counts, in one walk.

    Buckets of doubling size: when there are too many, neighbours are joined.
    """
    buckets: list[tuple[bytes, int, int]] = []
    room = 1
    async for step in _fingerprints(store, lo, hi):
        for key, mark in step:
            if buckets and buckets[-1][1] < room:
                first, count, digest = buckets[-1]
                buckets[-1] = (first, count + 1, (digest + mark) % _DIGEST_MODULUS)
                continue
            if len(buckets) == fanout:
                buckets = _joined(buckets)
                room *= 2
                if buckets[-1][1] < room:
                    first, count, digest = buckets[-1]
                    buckets[-1] = (first, count + 1, (digest + mark) % _DIGEST_MODULUS)
                    continue
            buckets.append((key, 1, mark))
    if not buckets:
        return [Range(lo, hi, 0, 0)]
    # The first range begins at lo and the last ends at hi: together they cover what was asked.
    edges = [lo, *(first for first, _, _ in buckets[1:]), hi]
    return [
        Range(low, high, count, digest)
        for (low, high), (_, count, digest) in zip(pairwise(edges), buckets, strict=True)
    ]


def _joined(buckets: Sequence[tuple[bytes, int, int]]) -> list[tuple[bytes, int, int]]:
    joined = []
    for at in range(0, len(buckets), 2):
        first, count, digest = buckets[at]
        if at + 1 < len(buckets):
            count += buckets[at + 1][1]
            digest = (digest + buckets[at + 1][2]) % _DIGEST_MODULUS
        joined.append((first, count, digest))
    return joined


async def _ranges_at(store: Store, edges: Sequence[bytes]) -> list[Range]:
    """Fingerprint the ranges between neighbouring edges. Raises BadRequest for edges out of order."""
    if any(low > high for low, high in pairwise(edges)):
        raise BadRequest("bounds of ranges are out of order")
    counts = [0] * (len(edges) - 1)
    digests = [0] * (len(edges) - 1)
    async for step in _fingerprints(store, edges[0], edges[-1]):
        for key, mark in step:
            at = bisect_right(edges, key, hi=len(edges) - 1) - 1
            counts[at] += 1
            digests[at] = (digests[at] + mark) % _DIGEST_MODULUS
    return [Range(low, high, counts[at], digests[at]) for at, (low, high) in enumerate(pairwise(edges))]
