"""A listing page equals what a naive filter over all names gives."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from model.entry import Entry, Kind, Table, make_key
from model.listing import Page, Query, RawRow, Scan, after_prefix, list_page, pack_listed, unpack_listed
from model.names import index_key
from model.stamp import make_stamp

STAMP = make_stamp(1_700_000_000_000, 3, 9)
LIVE = Entry(make_key(Table.INDEX, bytes(16)), STAMP, Kind.DATA, 5, pack_listed("e", "t")).to_row()
DEAD = Entry(make_key(Table.INDEX, bytes(16)), STAMP, Kind.TOMBSTONE).to_row()


def scan_of(rows: dict[bytes, bytes], *, reverse: bool) -> Scan:
    names = sorted(rows)

    def scan(start: bytes, end: bytes | None, limit: int) -> list[RawRow]:
        low = bisect_left(names, start)
        high = len(names) if end is None else bisect_left(names, end)
        chosen = names[low:high]
        if reverse:
            chosen = chosen[::-1]
        return [(name, rows[name]) for name in chosen[:limit]]

    return scan


def naive_page(rows: dict[bytes, bytes], query: Query) -> Page:
    """Roll every live name up, order, cut by the markers, cut by the limit."""
    items: dict[bytes, bytes] = {}
    for name in sorted(rows):
        if rows[name] == DEAD or not name.startswith(query.prefix) or not _within(name, query):
            continue
        at = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        if at < 0:
            items[name] = rows[name]
            continue
        common = name[: at + len(query.delimiter)]
        # A prefix that is the marker was shown before; one before it is shown for the names after it.
        if common != query.marker:
            items[common] = b""
    ordered = sorted(items.items(), reverse=query.reverse)
    page = ordered[: query.limit]
    truncated = len(ordered) > query.limit
    return Page(page, truncated, page[-1][0] if truncated else b"")


def _within(name: bytes, query: Query) -> bool:
    after, before = query.marker, query.end_marker
    if query.reverse:
        after, before = before, after
    return (not after or name > after) and (not before or name < before)


names = st.text("ab/", min_size=1, max_size=6).map(str.encode)


@given(
    rows=st.dictionaries(names, st.sampled_from((LIVE, LIVE, DEAD)), max_size=40),
    query=st.builds(
        Query,
        prefix=st.one_of(st.just(b""), names),
        delimiter=st.sampled_from((b"", b"/", b"a/")),
        marker=st.one_of(st.just(b""), names),
        end_marker=st.one_of(st.just(b""), names),
        limit=st.integers(1, 9),
        reverse=st.booleans(),
    ),
)
def test_a_page_equals_the_naive_listing(rows: dict[bytes, bytes], query: Query) -> None:
    got = list_page(scan_of(rows, reverse=query.reverse), query)
    wanted = naive_page(rows, query)
    assert list(got.items) == list(wanted.items)
    assert got.truncated == wanted.truncated


@given(
    rows=st.dictionaries(names, st.just(LIVE), max_size=60),
    delimiter=st.sampled_from((b"", b"/")),
    limit=st.integers(1, 5),
    reverse=st.booleans(),
)
def test_pages_follow_one_another_without_gap_or_repeat(
    rows: dict[bytes, bytes], delimiter: bytes, limit: int, reverse: bool
) -> None:
    scan = scan_of(rows, reverse=reverse)
    whole = list_page(scan, Query(delimiter=delimiter, limit=1000, reverse=reverse))
    paged: list[RawRow] = []
    marker = b""
    while True:
        page = list_page(scan, Query(delimiter=delimiter, limit=limit, reverse=reverse, marker=marker))
        paged += page.items
        if not page.truncated:
            break
        marker = page.next_marker
    assert paged == list(whole.items)


def test_a_limit_of_zero_lists_nothing_and_is_not_truncated() -> None:
    assert list_page(scan_of({b"a": LIVE}, reverse=False), Query(limit=0)) == Page((), False)


def test_an_inclusive_marker_admits_the_marker_itself() -> None:
    rows = {b"a": LIVE, b"b": LIVE}
    page = list_page(scan_of(rows, reverse=False), Query(marker=b"b", inclusive_marker=True))
    assert [name for name, _ in page.items] == [b"b"]


@given(st.binary(max_size=4), st.binary(max_size=6))
def test_what_follows_a_prefix_is_after_every_name_with_it(prefix: bytes, rest: bytes) -> None:
    after = after_prefix(prefix)
    if after is None:
        assert not prefix.rstrip(b"\xff")
    else:
        assert prefix + rest < after
        assert not after.startswith(prefix)


def test_a_listed_row_shows_the_content_type_that_was_posted_later() -> None:
    later = make_stamp(1_700_000_000_001, 0, 9)
    key = index_key(bytes(16), "name")
    entry = Entry(key, STAMP, Kind.DATA, 5, pack_listed("etag", "old", {"k": 1}), {"type": (later, b"new")})
    listed = unpack_listed((b"name", entry.to_row()))
    assert (listed.name, listed.size, listed.etag, listed.content_type) == ("name", 5, "etag", "new")
    assert listed.stamp == later
    assert listed.extra == {"k": 1}
