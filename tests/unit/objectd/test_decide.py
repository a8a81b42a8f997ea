"""The outcome of a write follows from what was held, written and merged."""

from __future__ import annotations

import pytest

from model.entry import Entry, Kind, Table, make_key, merge
from objectd.decide import after_keys, index_range, outcome_of, partition_of_key
from objectd.store import Outcome
from tests.contract.stores import object_entry, object_key, side_entry, stamp


@pytest.mark.parametrize(
    ("current", "write", "outcome", "newest"),
    [
        (None, object_entry(1, 10), Outcome.STORED, 10),
        (object_entry(1, 10), object_entry(1, 10), Outcome.KNOWN, 10),
        (object_entry(1, 10), object_entry(1, 20), Outcome.STORED, 20),
        (object_entry(1, 20), object_entry(1, 10), Outcome.SUPERSEDED, 20),
        (object_entry(1, 20, kind=Kind.TOMBSTONE), object_entry(1, 10), Outcome.SUPERSEDED, 20),
        (object_entry(1, 10), side_entry(object_key(1), "posted", 20), Outcome.STORED, 10),
        (object_entry(1, 20), side_entry(object_key(1), "posted", 10), Outcome.SUPERSEDED, 20),
        (None, side_entry(object_key(1), "posted", 10), Outcome.STORED, 0),
    ],
)
def test_outcomes(current: Entry | None, write: Entry, outcome: Outcome, newest: int) -> None:
    written = outcome_of(write, current, merge(current, write))
    assert written.outcome is outcome
    assert written.newest == (stamp(newest) if newest else bytes(16))


def test_a_side_under_a_newer_side_is_superseded_by_it() -> None:
    current = merge(object_entry(1, 10), side_entry(object_key(1), "posted", 30))
    write = side_entry(object_key(1), "posted", 20)
    written = outcome_of(write, current, merge(current, write))
    assert (written.outcome, written.newest) == (Outcome.SUPERSEDED, stamp(30))


@pytest.mark.parametrize("digest", [bytes(16), b"\xff" * 16, b"a" * 16])
def test_the_range_of_an_index_holds_its_rows_and_no_others(digest: bytes) -> None:
    start, end = index_range(digest)
    inside = [make_key(Table.INDEX, digest, name) for name in (b"", b"\0", b"name", b"\xff" * 1024)]
    assert all(start <= key < end for key in inside)
    after = (int.from_bytes(digest, "big") + 1) % (1 << 128)
    assert not start <= make_key(Table.INDEX, after.to_bytes(16, "big"), b"") < end
    assert after_keys(start) == end


def test_a_partition_is_the_top_bits_of_the_digest() -> None:
    key = make_key(Table.OBJECT, b"\xab\xcd" + bytes(14))
    assert partition_of_key(key, 8) == 0xAB
    assert partition_of_key(key, 12) == 0xABC
    assert partition_of_key(key, 0) == 0
