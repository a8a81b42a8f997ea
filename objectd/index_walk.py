"""Walking over the rows of an index, on one device or merged from several, leaping over known gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.entry import KEY_HEAD_BYTES, Table, from_row, make_key, merge
from model.listing import Page, Query, RawRow, Scan, after_prefix
from model.version_listing import shaped_page
from objectd.gaps import Gaps, Runs
from objectd.store import Store


class _Far(Exception):
    """A page has walked over more rows than there is time for."""


class Walk:
    """One page of the index on one device in the making; `runs` are the long runs of tombstones found."""

    def __init__(self, scan: Scan, query: Query, gaps: Gaps | None = None) -> None:
        self.runs = Runs()
        self._rows_of = scan
        self._query = query
        self._gaps = gaps
        self._rows_left = 0
        self._seen: Sequence[RawRow] | None = None
        self._follows = False

    def page(self, rows_max: int) -> Page | None:
        """Return the page, or None where it takes more than `rows_max` rows to see."""
        self._rows_left = rows_max
        try:
            page = shaped_page(self._scan, self._query)
        except _Far:
            return None
        if self._seen is not None and self._follows:
            self.runs.see(self._seen, follows=True)
        self.runs.end()
        return page

    def again(self) -> Walk:
        """Return the same walk from its beginning, to be made by another thread."""
        return Walk(self._rows_of, self._query, None if self._gaps is None else self._gaps.copy())

    def _scan(self, start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        if self._rows_left <= 0:
            raise _Far
        reverse = self._query.reverse
        if self._seen is not None:
            # Only now: most pages are full after one scan, and nobody has to look at its rows twice.
            self.runs.see(self._seen, follows=self._follows)
            last = self._seen[-1][0] if self._seen else None
            self._follows = last is not None and (end == last if reverse else start == last + b"\0")
        if self._gaps is not None:
            if not reverse:
                start = self._gaps.past(start)
            elif end is not None:
                end = self._gaps.below(end)
            if end is not None and start >= end:
                return ()
        self._seen = rows = self._rows_of(start, end, limit)
        self._rows_left -= len(rows)
        return rows


def index_scan(store: Store, digest: bytes, *, reverse: bool) -> Scan:
    """Return the scan of one device's index, by name."""
    head = make_key(Table.INDEX, digest)
    last = after_prefix(head)
    assert last is not None

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        last_key = last if end is None else head + end
        return store.rows(head + start, last_key, limit, reverse=reverse, cut_bytes=KEY_HEAD_BYTES)

    return scan


def merged_scan(stores: Sequence[Store], digest: bytes, *, reverse: bool) -> Scan:
    """Return the scan of several devices' indexes as if all had been merged."""
    scans = [index_scan(store, digest, reverse=reverse) for store in stores]

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
