"""The listing handlers: pages of an index, raw rows for merging across nodes, totals, change logs.

Replicas of one index on this node are compared by their digests; in step, one is read, else they
are merged row by row as they are scanned. Long runs of deleted names are walked over once and leapt
over later (objectd.gaps); a page that has to walk far is made in a thread, while the node serves on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from typing import Final

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import is_listed, row_kind
from model.errors import DeviceFailed
from model.listing import Page, Query
from objectd.contract import (
    pack_changes,
    pack_group,
    pack_rows_bounded,
    unpack_query,
)
from objectd.gaps import Gaps
from objectd.index_walk import Walk, index_scan, merged_scan
from objectd.service_state import NodeState
from objectd.store import Group, Store

RAW_ROWS_MAX: Final = 10_000
CHANGES_MAX: Final = 10_000
ROWS_AT_ONCE_MAX: Final = 25_000
"""Rows that one page may walk over on the event loop: some 20 ms."""
CATCH_UP_MAX: Final = 1_000
"""Changes after which what is known of an index's gaps is forgotten and not cut anew."""
GAPPED_INDEXES_MAX: Final = 256

_Consulted = list[tuple[int, Store, Group]]


class Listings:
    """Handles `rows`, `rows.raw`, `groups` and `changes`."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def rows(self, call: Call) -> Reply | Awaitable[Reply]:
        """Answer with one page of an index."""
        epoch, digest, devices, query, ask = call.args
        self._state.check_epoch(epoch)
        consulted = self._consult(digest, devices, ask)
        if not consulted:
            raise DeviceFailed(f"none of the devices {devices} works on node {self._state.name}")
        walk = self._walk(digest, unpack_query(query), consulted)
        page = walk.page(ROWS_AT_ONCE_MAX)
        if page is None:
            return self._walk_far(walk.again(), digest, consulted)
        self._note_runs(walk, digest, consulted)
        return _page_reply(page, consulted)

    async def _walk_far(self, walk: Walk, digest: bytes, consulted: _Consulted) -> Reply:
        """Answer with a page that takes too long for the event loop."""
        page = await asyncio.to_thread(walk.page, sys.maxsize)
        assert page is not None
        self._note_runs(walk, digest, consulted)
        return _page_reply(page, consulted)

    def _walk(self, digest: bytes, query: Query, consulted: _Consulted) -> Walk:
        _, store, group = consulted[0]
        differing = [other for _, other, its in consulted[1:] if its.digest != group.digest]
        if differing:
            # What is dead on one replica may live on another: no gap counts, and none is found.
            return Walk(merged_scan([store, *differing], digest, reverse=query.reverse), query)
        gaps = self._gaps_of(digest, consulted)
        return Walk(index_scan(store, digest, reverse=query.reverse), query, gaps)

    def _gaps_of(self, digest: bytes, consulted: _Consulted) -> Gaps | None:
        """Return the gaps known of the first replica's index, as they are now."""
        device, store, group = consulted[0]
        known = self._state.gaps.get((device, digest))
        if known is None or known.sequence == group.last_change:
            return known
        lines = store.changes(digest, known.sequence, CATCH_UP_MAX)
        if known.sequence > group.last_change or not 0 < len(lines) < CATCH_UP_MAX:
            del self._state.gaps[device, digest]
            return None
        known.cut(line.name for line in lines if is_listed(row_kind(line.row)))
        known.sequence = group.last_change
        return known

    def _note_runs(self, walk: Walk, digest: bytes, consulted: _Consulted) -> None:
        """Remember the long runs of deleted names that a walk over one replica has come upon."""
        device, _, group = consulted[0]
        if not walk.runs.found or any(its.digest != group.digest for _, _, its in consulted):
            return
        gaps = self._state.gaps
        known = gaps.get((device, digest))
        if known is None:
            known = gaps[device, digest] = Gaps(group.last_change)
            if len(gaps) > GAPPED_INDEXES_MAX:
                del gaps[next(iter(gaps))]
        # What was seen is as of the beginning of the walk; another may have learnt of changes since.
        if known.sequence == group.last_change:
            for start, end, row_count in walk.runs.found:
                known.note(start, end, row_count)

    def raw_rows(self, call: Call) -> Reply:
        """Answer with the rows of each device as they are."""
        epoch, digest, devices, ask, start, end, limit, reverse = call.args
        self._state.check_epoch(epoch)
        limit = min(limit, RAW_ROWS_MAX)
        heads = []
        bodies = []
        consulted = self._consult(digest, devices, ask)
        for device, store, group in consulted:
            rows = index_scan(store, digest, reverse=reverse)(start, end, limit)
            body, count = pack_rows_bounded(rows, _share(len(consulted)))
            exhausted = count == len(rows) and count < limit
            heads.append((*pack_group(device, group), len(body), exhausted))
            bodies.append(body)
        return Reply(heads, b"", bodies)

    def groups(self, call: Call) -> Reply:
        """Answer with the totals of several indexes."""
        epoch, asked = call.args
        self._state.check_epoch(epoch)
        return Reply(
            [
                [
                    pack_group(device, group)
                    for device, _, group in self._consult(digest, devices, len(devices))
                ]
                for digest, devices in asked
            ]
        )

    def changes(self, call: Call) -> Reply:
        """Answer with lines of one device's change log."""
        epoch, digest, device, after, limit = call.args
        self._state.check_epoch(epoch)
        lines = self._state.store(device).changes(digest, after, min(limit, CHANGES_MAX))
        return Reply(pack_changes(lines))

    def _consult(self, digest: bytes, devices: Sequence[int], ask: int) -> _Consulted:
        """Return the first devices that work, with the totals of the index on each."""
        found: _Consulted = []
        for device in devices:
            if len(found) >= ask:
                break
            store = self._state.readable.get(device)
            if store is None:
                continue
            try:
                found.append((device, store, store.group(digest)))
            except DeviceFailed:
                continue
        return found


def _share(count: int) -> int:
    """Return how many bytes of rows each of several devices may add to one reply."""
    return 6 * 1024 * 1024 // max(1, count)


def _page_reply(page: Page, consulted: _Consulted) -> Reply:
    body, count = pack_rows_bounded(page.items)
    truncated, next_marker = page.truncated, page.next_marker
    if count < len(page.items):
        truncated, next_marker = True, page.items[count - 1][0]
    groups = [pack_group(device, group) for device, _, group in consulted]
    return Reply((groups, truncated, next_marker), body)
