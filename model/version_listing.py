"""Listings of an index that holds versions: the current one of each name, or all of them in order. Pure.

The rows of a name follow one another: its null row, then its versions, newest first. The null row has
no place of its own among the versions: its stamp says where it belongs. Which version is current is told
by the null row and the first live version alone, so the rest of a long history is leapt over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from model.entry import Kind, is_listed, row_kind, row_stamp
from model.listing import (
    NULL_MARKER,
    STANDS_AT,
    Page,
    Query,
    RawRow,
    Scan,
    Shape,
    after_prefix,
    bounds,
    list_page,
    unpack_listed,
)
from model.names import ROW_SEPARATOR, inverse, split_row_name
from model.stamp import Stamp

OLDER: Final = b"\x00"
LATEST: Final = b"\x01"
PREFIX: Final = b"\x02"
"""The first byte of an item's name on a page of versions: what the item is; the row's name follows."""

_STANDS_AT: Final = b"\xa2" + STANDS_AT.encode()
"""How its name looks in a packed row: what has no such bytes in it need not be unpacked."""
AFTER_NAME: Final = b"\x01"
"""Behind a name: the first key that no row of that name has, since names hold no NUL."""
_CHUNK_ROWS: Final = 4096
_LEAP_CHUNK_ROWS: Final = 8
"""What is looked at after a leap over a long history: the next one may be as long."""


def shaped_page(scan: Scan, query: Query) -> Page:
    """Return one page of a listing in the shape that the query wants."""
    if query.shape is Shape.NAMES:
        return list_page(scan, query)
    if query.shape is Shape.CURRENT:
        return list_page(current_scan(scan, reverse=query.reverse), query)
    return _VersionWalk(scan, query).page()


def current_scan(scan: Scan, *, reverse: bool) -> Scan:
    """Return the scan of the current versions, by name, in an index that a scan shows row by row."""
    walk = _backward if reverse else _forward

    def current(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        return walk(scan, _row_bound(start), None if end is None else _row_bound(end), limit)

    return current


def settled_rows(rows: Sequence[RawRow], query: Query) -> Sequence[RawRow]:
    """Return the first rows of a scan that goes on, without the last name where more rows may change it."""
    if query.shape is not Shape.CURRENT or not rows:
        return rows
    name, _ = split_row_name(rows[-1][0])
    for at in range(len(rows) - 1, -1, -1):
        other, version = split_row_name(rows[at][0])
        if other != name:
            return rows[: at + 1]
        if not query.reverse and version is not None and is_listed(row_kind(rows[at][1])):
            return rows
    return ()


def _row_bound(name: bytes) -> bytes:
    """Return the key at which the rows of names from `name` on begin; behind a NUL, those after the name."""
    bare, separator, _ = name.partition(ROW_SEPARATOR)
    return bare + AFTER_NAME if separator else name


def null_stamp(row: bytes) -> Stamp:
    """Return the stamp by which the version of a null row stands among the versions of its name."""
    if _STANDS_AT in row:
        stands_at = unpack_listed((b"", row)).extra.get(STANDS_AT)
        if stands_at is not None:
            return Stamp(stands_at)
    return row_stamp(row)


class _Group:
    """What has been seen of one name: its null row, and its newest live version."""

    __slots__ = ("name", "null", "row_count", "version")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.null: bytes | None = None
        self.version: tuple[Stamp, bytes] | None = None
        self.row_count = 0

    def take(self, version: Stamp | None, row: bytes, *, newest_last: bool) -> None:
        self.row_count += 1
        if not is_listed(row_kind(row)):
            return
        if version is None:
            self.null = row
        elif newest_last or self.version is None:
            self.version = version, row

    def current(self) -> RawRow | None:
        """Return the row to show under the name, or None where there is none, or a marker."""
        row = self.null
        if self.version is not None and (row is None or null_stamp(row) < self.version[0]):
            row = self.version[1]
        return None if row is None or row_kind(row) != Kind.DATA else (self.name, row)


def _forward(scan: Scan, start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
    found: list[RawRow] = []
    group: _Group | None = None
    chunk = min(limit, _CHUNK_ROWS)
    while end is None or start < end:
        rows = scan(start, end, chunk)
        for raw, row in rows:
            name, version = split_row_name(raw)
            if group is None or group.name != name:
                if _settle(group, found) >= limit:
                    return found
                group = _Group(name)
            group.take(version, row, newest_last=False)
        if len(rows) < chunk:
            break
        assert group is not None
        if group.version is None:
            start = rows[-1][0] + b"\0"
            chunk = min(2 * chunk, _CHUNK_ROWS)
            continue
        start = group.name + AFTER_NAME
        is_long = 2 * group.row_count >= len(rows)
        chunk = _LEAP_CHUNK_ROWS if is_long else min(2 * chunk, _CHUNK_ROWS)
        if _settle(group, found) >= limit:
            return found
        group = None
    _settle(group, found)
    return found


def _backward(scan: Scan, start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
    found: list[RawRow] = []
    group: _Group | None = None
    chunk = min(limit, _CHUNK_ROWS)
    while end is None or start < end:
        rows = scan(start, end, chunk)
        for raw, row in rows:
            name, version = split_row_name(raw)
            if group is None or group.name != name:
                if _settle(group, found) >= limit:
                    return found
                group = _Group(name)
            group.take(version, row, newest_last=True)
        if len(rows) < chunk:
            break
        end = rows[-1][0]
        chunk = min(2 * chunk, _CHUNK_ROWS)
    _settle(group, found)
    return found


def _settle(group: _Group | None, found: list[RawRow]) -> int:
    """Add what is to be shown of a name that is seen through; return how many are found now."""
    item = None if group is None else group.current()
    if item is not None:
        found.append(item)
    return len(found)


class _Cursor:
    """Rows one by one, read ahead in chunks."""

    __slots__ = ("_at", "_chunk", "_end", "_is_last", "_rows", "_scan", "_start")

    def __init__(self, scan: Scan, start: bytes, end: bytes | None, chunk: int) -> None:
        self._scan = scan
        self._start = start
        self._end = end
        self._chunk = max(1, min(chunk, _CHUNK_ROWS))
        self._rows: Sequence[RawRow] = ()
        self._at = 0
        self._is_last = False

    def peek(self) -> RawRow | None:
        """Return the next row, or None at the end."""
        if self._at < len(self._rows):
            return self._rows[self._at]
        if self._is_last or (self._end is not None and self._start >= self._end):
            return None
        self._rows, self._at = self._scan(self._start, self._end, self._chunk), 0
        self._is_last = len(self._rows) < self._chunk
        if not self._rows:
            return None
        self._start = self._rows[-1][0] + b"\0"
        self._chunk = min(2 * self._chunk, _CHUNK_ROWS)
        return self._rows[0]

    def skip(self) -> None:
        """Go past the next row."""
        self._at += 1

    def leap(self, start: bytes) -> None:
        """Go on from a key, which is not before the next row."""
        while self._at < len(self._rows):
            if self._rows[self._at][0] >= start:
                return
            self._at += 1
        if start > self._start:
            self._start = start
            self._chunk = _LEAP_CHUNK_ROWS


class _VersionWalk:
    """One page of versions in the making."""

    def __init__(self, scan: Scan, query: Query) -> None:
        self._query = query
        self._wanted = query.limit + 1
        self._items: list[RawRow] = []
        start, end = bounds(query)
        self._resumed = b""
        marker = query.marker
        if query.version_marker and marker.startswith(query.prefix) and self._prefix_of(marker) is None:
            self._resumed = marker
            start = marker
        else:
            start = _row_bound(start)
        self._cursor = _Cursor(scan, start, end, self._wanted)

    def page(self) -> Page:
        limit = self._query.limit
        if limit <= 0:
            return Page((), False)
        while len(self._items) < self._wanted and (item := self._cursor.peek()) is not None:
            name, _ = split_row_name(item[0])
            common = self._prefix_of(name)
            if common is None:
                self._list_name(name)
            elif is_listed(row_kind(item[1])):
                self._roll_up(common)
            else:
                self._cursor.skip()
        items = self._items[:limit]
        more = len(self._items) > limit
        return Page(items, more, items[-1][0] if more else b"")

    def _prefix_of(self, name: bytes) -> bytes | None:
        query = self._query
        at = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        return None if at < 0 else name[: at + len(query.delimiter)]

    def _roll_up(self, common: bytes) -> None:
        if common != self._query.marker:
            self._items.append((PREFIX + common, b""))
        self._cursor.leap(after_prefix(common) or common + b"\xff" * 1024)

    def _list_name(self, name: bytes) -> None:
        """Add the versions of the name that the cursor is at, from the version marker on where it is that."""
        cursor = self._cursor
        after = self._query.version_marker if name == self._resumed else b""
        null: RawRow | None = None
        is_latest = True
        while (item := cursor.peek()) is not None and len(self._items) < self._wanted:
            other, version = split_row_name(item[0])
            if other != name:
                break
            cursor.skip()
            if after == NULL_MARKER:
                # Where there is no null row any more, nothing tells where it stood: all are shown again.
                after = null_stamp(item[1]) if version is None else b""
            if not is_listed(row_kind(item[1])):
                continue
            if version is None:
                null = item
                continue
            if null is not None and null_stamp(null[1]) > version:
                is_latest = self._add(null, null_stamp(null[1]), after, is_latest=is_latest)
                null = None
            is_latest = self._add(item, version, after, is_latest=is_latest)
            if len(after) == len(version) and version > after:
                # What comes before the marker is known to have a latest one: the rest is leapt over.
                cursor.leap(name + ROW_SEPARATOR + inverse(after) + b"\0")
        if null is not None:
            self._add(null, null_stamp(null[1]), after, is_latest=is_latest)

    def _add(self, item: RawRow, stamp: Stamp, after: bytes, *, is_latest: bool) -> bool:
        """Add a version that comes after the marker; say that whatever follows is not the latest."""
        if not after or stamp < after:
            self._items.append(((LATEST if is_latest else OLDER) + item[0], item[1]))
        return False
