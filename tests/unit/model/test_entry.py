"""Merging converges, and rows and keys keep what is put into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.entry import (
    Entry,
    Kind,
    Table,
    fingerprint,
    from_row,
    make_key,
    merge,
    only_sides,
    row_kind,
    row_stamp,
)
from model.errors import CorruptRecord
from model.stamp import Stamp, make_stamp

KEY = make_key(Table.OBJECT, bytes(range(16)), b"v")

stamps = st.builds(make_stamp, st.integers(1, 5), st.integers(0, 2), st.just(7))


def base_of(stamp: Stamp) -> tuple[Kind, int, bytes]:
    """A stamp names one write, so what it wrote follows from it."""
    kind = (Kind.DATA, Kind.TOMBSTONE, Kind.MARKER)[stamp[5] % 3]
    return kind, stamp[7], bytes(stamp[4:8])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    sides = {
        name: (stamp, name.encode() + stamp)
        for name, stamp in draw(st.dictionaries(st.sampled_from(("a", "b")), stamps)).items()
    }
    if draw(st.booleans()):
        return only_sides(KEY, sides)
    stamp = draw(stamps)
    kind, size, value = base_of(stamp)
    # Replicas only ever hold normal forms: sides that outlive their base.
    return Entry(KEY, stamp, kind, size, value, {n: s for n, s in sides.items() if s[0] > stamp})


@given(entries(), entries())
def test_merging_does_not_depend_on_order(one: Entry, two: Entry) -> None:
    assert merge(one, two) == merge(two, one)


@given(entries(), entries(), entries())
def test_merging_does_not_depend_on_grouping(one: Entry, two: Entry, three: Entry) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(entries(), entries())
def test_merging_again_changes_nothing(one: Entry, two: Entry) -> None:
    merged = merge(one, two)
    assert merge(merged, two) == merged
    assert merge(merged, one) == merged


@given(entries(), entries())
def test_fingerprints_are_equal_exactly_for_equal_registers(one: Entry, two: Entry) -> None:
    assert (fingerprint(one) == fingerprint(two)) == (one == two)


@given(entries())
def test_a_row_gives_its_entry_back(entry: Entry) -> None:
    row = entry.to_row()
    assert from_row(KEY, row) == entry
    assert row_kind(row) == entry.kind
    assert row_stamp(row) == entry.stamp


@given(entries(), st.data())
def test_a_row_cut_short_is_refused_or_loses_only_its_sides(entry: Entry, data: st.DataObject) -> None:
    row = entry.to_row()
    cut = row[: data.draw(st.integers(0, len(row) - 1))]
    try:
        shorter = from_row(KEY, cut)
    except CorruptRecord:
        return
    assert shorter.value == entry.value
    assert not shorter.sides


def test_a_row_of_an_unknown_version_is_refused() -> None:
    row = bytearray(Entry(KEY, make_stamp(1, 0, 1), Kind.DATA).to_row())
    row[0] = 0xF1
    with pytest.raises(CorruptRecord, match="version 15"):
        from_row(KEY, bytes(row))


def test_a_key_tells_its_table_digest_and_suffix() -> None:
    entry = Entry(KEY, make_stamp(1, 0, 1), Kind.DATA)
    assert entry.table is Table.OBJECT
    assert entry.digest == bytes(range(16))
    assert entry.suffix == b"v"


def test_a_newer_base_drops_older_metadata() -> None:
    posted = only_sides(KEY, {"posted": (make_stamp(2, 0, 1), b"old")})
    rewritten = Entry(KEY, make_stamp(3, 0, 1), Kind.DATA, 1, b"new")
    assert merge(posted, rewritten).sides == {}


def test_metadata_that_arrives_before_its_object_waits_for_it() -> None:
    posted = only_sides(KEY, {"posted": (make_stamp(2, 0, 1), b"later")})
    written = Entry(KEY, make_stamp(1, 0, 1), Kind.DATA, 1, b"data")
    merged = merge(posted, written)
    assert merged.value == b"data"
    assert merged.sides["posted"][1] == b"later"
