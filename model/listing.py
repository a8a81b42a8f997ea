"""Ordered listing: one page of names by prefix, delimiter, marker and limit. Pure.

`list_page` walks rows through a `scan` callback, so it serves a device's index, a merge of several
replicas and a test's list alike. With a delimiter it leaps over each common prefix, so its cost
follows the size of the page, not of the container.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from model.entry import ROW_HEAD, ROW_VERSION, Kind
from model.errors import CorruptRecord
from model.stamp import Stamp

RawRow = tuple[bytes, bytes]
"""A name in bytes and the row (model.entry) stored under it."""

Scan = Callable[[bytes, bytes | None, int], Sequence[RawRow]]
"""`scan(start, end, limit)`: rows with start <= name < end in order, reversed where the query is.

Reversed, the rows are those below `end`, last first. Tombstones may be among them. Fewer than
`limit` rows mean that the range is exhausted."""

STANDS_AT: Final = "at"
"""In the extra of a row that was restamped: the stamp by which its version stands among the others."""
NULL_MARKER: Final = b"null"
"""Stands in a query for the null version of the name that is the marker."""
_CHUNK_ROWS: Final = 4096
_FIRST_CHUNK_ROWS: Final = 4
"""With a delimiter, what a leap over a common prefix may waste; doubled while no leap is made."""
_DATA: Final = int(Kind.DATA)
_HEAD_BYTES: Final = ROW_HEAD.size
_unpack_head: Final = ROW_HEAD.unpack_from
_unpackb: Final = msgpack.unpackb
_new: Final = tuple.__new__


class Shape(IntEnum):
    """What a listing makes of the rows; the last two are the work of model.version_listing."""

    NAMES = 0
    """Every live row is shown, by its whole name: all that there is where versions never were."""
    CURRENT = 1
    """Of the versions of a name the current one is shown, unless that is a marker."""
    VERSIONS = 2
    """All versions and markers are shown."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a listing asks for; names in bytes, as they sort.

    `marker` is exclusive: names after it (before it where `reverse`); `end_marker` is exclusive too.
    A common prefix equal to the marker is not repeated. `inclusive_marker` admits the marker itself.
    `version_marker` is for the shape VERSIONS alone: the stamp of a version, or NULL_MARKER, of the name
    that is the marker, after which to go on.
    """

    prefix: bytes = b""
    delimiter: bytes = b""
    marker: bytes = b""
    end_marker: bytes = b""
    limit: int = 10_000
    reverse: bool = False
    inclusive_marker: bool = False
    shape: Shape = Shape.NAMES
    version_marker: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: rows and common prefixes in one order.

    An item is a (name, row) pair, or for a common prefix (prefix, b""). `truncated` says that more
    follow; the next page's marker is `next_marker`. `forms` are what APIs have made of this very page:
    one that is shown again need not be written again.
    """

    items: Sequence[RawRow]
    truncated: bool
    next_marker: bytes = b""
    forms: dict[Hashable, bytes] = field(default_factory=dict, compare=False, repr=False)


class Listed(NamedTuple):
    """A listing row decoded: an object (or, in an account's index, a container) as clients see it."""

    name: str
    stamp: Stamp
    size: int
    etag: str
    content_type: str
    extra: dict[str, Any]


def pack_listed(etag: str, content_type: str, extra: dict[str, Any] | None = None) -> bytes:
    """Return the value of an INDEX entry."""
    packed: bytes = msgpack.packb((etag, content_type, extra or {}), unicode_errors="surrogateescape")
    return packed


def unpack_listed(item: RawRow) -> Listed:
    """Return a page's row decoded. Raises CorruptRecord.

    A page of 1,000 rows passes here on each listing, hence no intermediate objects.
    """
    name, row = item
    try:
        version_kind, stamp, size, value_bytes = _unpack_head(row)
        end = _HEAD_BYTES + value_bytes
        if version_kind >> 4 != ROW_VERSION:
            raise CorruptRecord(f"listing row of version {version_kind >> 4}")
        etag, content_type, extra = _unpackb(row[_HEAD_BYTES:end], unicode_errors="surrogateescape")
        if len(row) > end:
            posted = _unpackb(row[end:]).get("type")
            if posted is not None:
                # Empty where a later metadata update has set no type: then it moves the time alone.
                stamp, content_type = posted[0], posted[1].decode("utf-8", "surrogateescape") or content_type
        # As Listed(…) does, but without a call of Python's own for each row.
        return _new(Listed, (name.decode("utf-8", "surrogateescape"), stamp, size, etag, content_type, extra))
    except (ValueError, TypeError, struct.error, msgpack.UnpackException) as error:
        raise CorruptRecord(f"listing row cannot be decoded: {error}") from error


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the first name after every name with the prefix, or None where there is none."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def list_page(scan: Scan, query: Query) -> Page:
    """Return one page of a listing.

    A page is truncated only if at least one more item exists, so clients never fetch an empty page.
    """
    if query.limit <= 0:
        return Page((), False)
    return _Walk(scan, query).page()


class _Walk:
    """One listing in progress: `start` and `end` bound what is still to be scanned."""

    def __init__(self, scan: Scan, query: Query) -> None:
        self.scan = scan
        self.query = query
        self.items: list[RawRow] = []
        self.start, self.end = bounds(query)

    def page(self) -> Page:
        wanted = self.query.limit + 1
        first_chunk = _FIRST_CHUNK_ROWS if self.query.delimiter else _CHUNK_ROWS
        chunk = first_chunk
        while len(self.items) < wanted:
            ask = min(wanted - len(self.items), chunk)
            rows = self.scan(self.start, self.end, ask)
            leapt = self._take(rows)
            if not leapt and len(rows) < ask:
                break
            chunk = first_chunk if leapt else min(chunk * 2, _CHUNK_ROWS)
            if self.end is not None and self.start >= self.end:
                break
        more = len(self.items) >= wanted
        items = self.items[: self.query.limit]
        return Page(items, more, items[-1][0] if more else b"")

    def _take(self, rows: Sequence[RawRow]) -> bool:
        """Add rows, rolled up by common prefix; say whether a leap over the last of them was made."""
        query = self.query
        if not query.delimiter:
            self.items += [item for item in rows if item[1][0] & 15 == _DATA]
            if rows:
                self._continue_from(rows[-1][0])
            return False
        cut = len(query.prefix)
        common = b""
        for item in rows:
            name, row = item
            # The names that a prefix rolls up follow it at once; the rest of them is leapt over below.
            if (common and name.startswith(common)) or row[0] & 15 != _DATA:
                continue
            at = name.find(query.delimiter, cut)
            if at < 0:
                self.items.append(item)
                continue
            common = name[: at + len(query.delimiter)]
            if common != query.marker:
                self.items.append((common, b""))
        if common and rows[-1][0].startswith(common):
            self._leap(common)
            return True
        if rows:
            self._continue_from(rows[-1][0])
        return False

    def _continue_from(self, name: bytes) -> None:
        if self.query.reverse:
            self.end = name
        else:
            self.start = name + b"\0"

    def _leap(self, common: bytes) -> None:
        if self.query.reverse:
            self.end = common
        else:
            after = after_prefix(common)
            self.start = after if after is not None else (self.end or common + b"\xff" * 1024)


def bounds(query: Query) -> tuple[bytes, bytes | None]:
    """Return the first name that a listing may show, and the first after all of them (None: no bound)."""
    start, end = query.prefix, after_prefix(query.prefix) if query.prefix else None
    lower, upper = query.marker, query.end_marker
    if query.reverse:
        lower, upper = query.end_marker, query.marker
        if upper and query.inclusive_marker:
            upper += b"\0"
        if lower:
            start = max(start, lower + b"\0")
    elif lower:
        first = lower if query.inclusive_marker else lower + b"\0"
        if query.delimiter and lower.startswith(query.prefix) and lower.endswith(query.delimiter):
            # A marker that is itself a common prefix stands for all the names it rolled up.
            first = _past_rolled_up(query, lower, first)
        start = max(start, first)
    if upper:
        end = upper if end is None else min(end, upper)
    return start, end


def _past_rolled_up(query: Query, marker: bytes, first: bytes) -> bytes:
    at = marker.find(query.delimiter, len(query.prefix))
    if at + len(query.delimiter) == len(marker):
        return after_prefix(marker) or first
    return first
