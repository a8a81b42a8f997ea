"""The listing handlers: pages of an index, raw rows for merging across nodes, totals, change logs.

Replicas of one index on this node are compared by their digests; in step, one is read, else they
are merged row by row as they are scanned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import KEY_HEAD_BYTES, Table, from_row, make_key, merge
from model.errors import DeviceFailed
from model.listing import RawRow, Scan, after_prefix, list_page
from objectd.contract import (
    pack_changes,
    pack_group,
    pack_rows_bounded,
    unpack_query,
)
from objectd.service_state import NodeState
from objectd.store import Group, Store

RAW_ROWS_MAX: Final = 10_000
CHANGES_MAX: Final = 10_000

_Consulted = list[tuple[int, Store, Group]]


class Listings:
    """Handles `rows`, `rows.raw`, `groups` and `changes`."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def rows(self, call: Call) -> Reply:
        """Answer with one page of an index."""
        epoch, digest, devices, query, ask = call.args
        self._state.check_epoch(epoch)
        consulted = self._consult(digest, devices, ask)
        if not consulted:
            raise DeviceFailed(f"none of the devices {devices} works on node {self._state.name}")
        asked = unpack_query(query)
        first = consulted[0][2].digest
        differing = [store for _, store, group in consulted[1:] if group.digest != first]
        if differing:
            scan = _merged_scan([consulted[0][1], *differing], digest, reverse=asked.reverse)
        else:
            scan = _scan(consulted[0][1], digest, reverse=asked.reverse)
        page = list_page(scan, asked)
        body, count = pack_rows_bounded(page.items)
        truncated, next_marker = page.truncated, page.next_marker
        if count < len(page.items):
            truncated, next_marker = True, page.items[count - 1][0]
        groups = [pack_group(device, group) for device, _, group in consulted]
        return Reply((groups, truncated, next_marker), body)

    def raw_rows(self, call: Call) -> Reply:
        """Answer with the rows of each device as they are."""
        epoch, digest, devices, ask, start, end, limit, reverse = call.args
        self._state.check_epoch(epoch)
        limit = min(limit, RAW_ROWS_MAX)
        heads = []
        bodies = []
        consulted = self._consult(digest, devices, ask)
        for device, store, group in consulted:
            rows = _scan(store, digest, reverse=reverse)(start, end, limit)
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


def _scan(store: Store, digest: bytes, *, reverse: bool) -> Scan:
    """Return the scan of one device's index, by name."""
    head = make_key(Table.INDEX, digest)
    last = after_prefix(head)
    assert last is not None

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        rows = store.rows(head + start, last if end is None else head + end, limit, reverse=reverse)
        return [(key[KEY_HEAD_BYTES:], row) for key, row in rows]

    return scan


def _merged_scan(stores: Sequence[Store], digest: bytes, *, reverse: bool) -> Scan:
    """Return the scan of several devices' indexes as if all had been merged."""
    scans = [_scan(store, digest, reverse=reverse) for store in stores]

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        merged: dict[bytes, bytes] = {}
        for one in scans:
            _merge_into(merged, one(start, end, limit))
        # A device that gave all it may has at least `limit` names no further than its last: cut at
        # `limit`, nothing of what it has not shown yet can be missing.
        return sorted(merged.items(), reverse=reverse)[:limit]

    return scan


def _merge_into(merged: dict[bytes, bytes], rows: Sequence[tuple[Any, bytes]]) -> None:
    for name, row in rows:
        held = merged.get(name)
        if held is None:
            merged[name] = row
        elif held != row:
            merged[name] = merge(from_row(name, held), from_row(name, row)).to_row()
