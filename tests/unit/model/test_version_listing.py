"""Listings of versions against an oracle that sorts everything in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from model.entry import Entry, Kind, Table, make_key, merge
from model.listing import NULL_MARKER, Page, Query, RawRow, Scan, Shape
from model.names import ROW_SEPARATOR, inverse, split_row_name
from model.stamp import Stamp, make_stamp
from model.version_listing import LATEST, OLDER, PREFIX, settled_rows, shaped_page
from model.versions import current_of, id_of, order_stamp


@dataclass(frozen=True)
class Version:
    """One row: of a name, a null row where `is_null`, stamped by `at`."""

    name: bytes
    at: int
    kind: Kind
    is_null: bool

    @property
    def stamp(self) -> Stamp:
        return make_stamp(self.at, 0, 1)

    @property
    def row_name(self) -> bytes:
        return self.name if self.is_null else self.name + ROW_SEPARATOR + inverse(self.stamp)

    def row(self) -> RawRow:
        # A removed version keeps the place of its key, under the stamp of its removal.
        stamp = make_stamp(self.at + (1000 if self.kind is Kind.TOMBSTONE else 0), 0, 1)
        entry = Entry(make_key(Table.INDEX, bytes(16), self.row_name), stamp, self.kind)
        return self.row_name, entry.to_row()


NAMES = [b"a", b"a/", b"a/b", b"a/b/c", b"a0", b"b", "é".encode(), b"z\xff"]
KINDS = st.sampled_from([Kind.DATA, Kind.DATA, Kind.MARKER, Kind.TOMBSTONE])


@st.composite
def indexes(draw: st.DrawFn) -> list[Version]:
    """Draw the versions of some names; no two of a name share a stamp, and at most one is null."""
    found: list[Version] = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        stamps = draw(st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=9))
        null_at = draw(st.sampled_from([0, *stamps]))
        found += [Version(name, at, draw(KINDS), at == null_at) for at in stamps]
    return found


def scan_of(versions: Sequence[Version], *, reverse: bool = False) -> Scan:
    rows = sorted(version.row() for version in versions)
    names = [name for name, _ in rows]

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        low = bisect_left(names, start)
        high = len(names) if end is None else bisect_left(names, end)
        if reverse:
            return rows[max(low, high - limit) : high][::-1]
        return rows[low : min(high, low + limit)]

    return scan


def in_order(versions: Sequence[Version]) -> list[Version]:
    """Return what S3 lists as versions: names ascending, newest first, removed ones left out."""
    live = [version for version in versions if version.kind is not Kind.TOMBSTONE]
    return sorted(live, key=lambda version: (version.name, -version.at))


def current(versions: Sequence[Version]) -> dict[bytes, Version]:
    """Return the current version of each name that is not deleted."""
    newest: dict[bytes, Version] = {}
    for version in in_order(versions):
        newest.setdefault(version.name, version)
    return {name: version for name, version in newest.items() if version.kind is Kind.DATA}


def rolled_up(names: Sequence[bytes], query: Query) -> list[bytes]:
    """Return names within a query's bounds, common prefixes in the place of what they stand for."""
    found: list[bytes] = []
    for name in sorted(names, reverse=query.reverse):
        if not name.startswith(query.prefix):
            continue
        if query.marker and (name >= query.marker if query.reverse else name <= query.marker):
            continue
        at = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        shown = name if at < 0 else name[: at + len(query.delimiter)]
        if shown != query.marker and shown not in found:
            found.append(shown)
    return found


@given(
    indexes(),
    st.sampled_from([b"", b"a", b"a/"]),
    st.sampled_from([b"", b"/"]),
    st.integers(1, 5),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_paging_through_the_current_versions_shows_each_name_once(
    versions: list[Version], prefix: bytes, delimiter: bytes, limit: int, reverse: bool
) -> None:
    query = Query(prefix, delimiter, limit=limit, reverse=reverse, shape=Shape.CURRENT)
    scan = scan_of(versions, reverse=reverse)
    wanted = rolled_up(list(current(versions)), query)
    seen: list[RawRow] = []
    for _ in range(len(wanted) + 1):
        page = shaped_page(scan, query)
        seen += page.items
        assert len(page.items) == limit or not page.truncated
        if not page.truncated:
            break
        query = replace(query, marker=page.next_marker)
    assert [name for name, _ in seen] == wanted
    for name, row in seen:
        if row:
            assert row == current(versions)[name].row()[1]


@given(indexes(), st.sampled_from(NAMES), st.integers(1, 5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_marker_cuts_between_names_never_within_the_versions_of_one(
    versions: list[Version], marker: bytes, limit: int, reverse: bool
) -> None:
    query = Query(marker=marker, limit=limit, reverse=reverse, shape=Shape.CURRENT)
    page = shaped_page(scan_of(versions, reverse=reverse), query)
    wanted = rolled_up(list(current(versions)), query)
    assert [name for name, _ in page.items] == wanted[:limit]
    assert page.truncated == (len(wanted) > limit)


def shown(page: Page) -> list[tuple[bytes, bytes, Stamp | None]]:
    """Return the flag, the name and the stamp of each item."""
    found: list[tuple[bytes, bytes, Stamp | None]] = []
    for item, row in page.items:
        name, version = split_row_name(item[1:])
        stamp = version if version is not None else (Stamp(row[1:17]) if row else None)
        found.append((item[:1], name, stamp))
    return found


@given(
    indexes(),
    st.sampled_from([b"", b"a", b"a/"]),
    st.sampled_from([b"", b"/"]),
    st.integers(1, 4),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_paging_through_the_versions_shows_each_once_newest_first(
    versions: list[Version], prefix: bytes, delimiter: bytes, limit: int, by_null: bool
) -> None:
    query = Query(prefix, delimiter, limit=limit, shape=Shape.VERSIONS)
    wanted: list[tuple[bytes, bytes, Stamp | None]] = []
    before = b"\xff\xff"
    for version in in_order(versions):
        if not version.name.startswith(prefix):
            continue
        at = version.name.find(delimiter, len(prefix)) if delimiter else -1
        if at >= 0:
            common = (PREFIX, version.name[: at + 1], None)
            if common not in wanted:
                wanted.append(common)
        else:
            wanted.append((OLDER if before == version.name else LATEST, version.name, version.stamp))
            before = version.name
    scan = scan_of(versions)
    seen: list[tuple[bytes, bytes, Stamp | None]] = []
    for _ in range(len(wanted) + 1):
        page = shaped_page(scan, query)
        seen += shown(page)
        assert len(page.items) == limit or not page.truncated
        if not page.truncated:
            break
        _, name, stamp = seen[-1]
        is_null = page.items[-1][0][1:] == name
        version_marker = NULL_MARKER if by_null and is_null and stamp is not None else stamp or b""
        query = replace(query, marker=name, version_marker=version_marker)
    assert seen == wanted


@given(indexes(), st.integers(1, 40), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_settled_of_some_rows_stays_so_when_more_come(
    versions: list[Version], cut: int, reverse: bool
) -> None:
    query = Query(limit=100, reverse=reverse, shape=Shape.CURRENT)
    rows = list(scan_of(versions, reverse=reverse)(b"", None, 1000))
    known = settled_rows(rows[:cut], query) if cut < len(rows) else rows

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        inside = [row for row in known if row[0] >= start and (end is None or row[0] < end)]
        return inside[:limit]

    page = shaped_page(scan, query)
    whole = shaped_page(scan_of(versions, reverse=reverse), query)
    assert list(page.items) == list(whole.items)[: len(page.items)]


def test_a_long_history_is_leapt_over() -> None:
    versions = [Version(b"a", at, Kind.DATA, is_null=False) for at in range(1, 50_000)]
    versions += [Version(b"b%02d" % at, 1, Kind.DATA, is_null=True) for at in range(20)]
    rows_read = 0
    plain = scan_of(versions)

    def counted(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        nonlocal rows_read
        rows = plain(start, end, limit)
        rows_read += len(rows)
        return rows

    page = shaped_page(counted, Query(limit=10, shape=Shape.CURRENT))
    assert [name for name, _ in page.items] == [b"a", *(b"b%02d" % at for at in range(9))]
    assert rows_read < 100
    rows_read = 0
    middle = make_stamp(20_000, 0, 1)
    query = Query(marker=b"a", version_marker=middle, limit=10, shape=Shape.VERSIONS)
    page = shaped_page(counted, query)
    assert [stamp for _, _, stamp in shown(page)] == [make_stamp(19_999 - at, 0, 1) for at in range(10)]
    assert rows_read < 100


def test_the_current_version_is_the_newest_of_the_live_ones_wherever_it_is_kept() -> None:
    digest = bytes(16)

    def version(at: int, kind: Kind) -> Entry:
        stamp = make_stamp(at, 0, 1)
        return Entry(make_key(Table.OBJECT, digest, inverse(stamp)), stamp, kind)

    null = Entry(make_key(Table.OBJECT, digest), make_stamp(5, 0, 1), Kind.DATA)
    older, marker = version(4, Kind.DATA), version(6, Kind.MARKER)
    assert current_of([null, older]) is null
    assert current_of([null, older, marker]) is marker
    removed = merge(marker, replace(marker, stamp=make_stamp(9, 0, 1), kind=Kind.TOMBSTONE))
    assert current_of([null, older, removed]) is null
    assert current_of([removed]) is None
    # What is put in the place of a version stands where the version stood.
    expired = replace(older, stamp=make_stamp(9, 0, 1), kind=Kind.MARKER)
    assert order_stamp(expired) == make_stamp(4, 0, 1)
    assert current_of([null, expired]) is null
    assert id_of(null) == "null"
    assert len(id_of(older)) == 22
