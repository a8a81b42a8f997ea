"""A majority of every home set decides, stand-ins never, and reads see what majorities wrote."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.entry import Entry, Kind, Table, make_key
from model.stamp import make_stamp
from proxy.operations.quorum import ReadQuorum, Verdict, WriteQuorum, majority

KEY = make_key(Table.OBJECT, bytes(16))
OLD = Entry(KEY, make_stamp(1, 0, 1), Kind.DATA, 1, b"old")
NEW = Entry(KEY, make_stamp(2, 0, 1), Kind.DATA, 1, b"new")


@pytest.mark.parametrize("count", range(1, 8))
def test_any_two_majorities_share_a_replica(count: int) -> None:
    devices = range(count)
    for one in combinations(devices, majority(count)):
        for two in combinations(devices, majority(count)):
            assert set(one) & set(two)


def test_a_write_is_durable_with_two_of_three_homes() -> None:
    quorum = WriteQuorum([(1, 2, 3)])
    quorum.acked(1)
    assert quorum.verdict() is Verdict.WAITING
    quorum.acked(3)
    assert quorum.verdict() is Verdict.DURABLE


def test_a_write_has_failed_once_two_of_three_homes_have() -> None:
    quorum = WriteQuorum([(1, 2, 3)])
    quorum.failed(1)
    assert quorum.verdict() is Verdict.WAITING
    quorum.failed(2)
    assert quorum.verdict() is Verdict.FAILED


def test_stand_ins_never_count() -> None:
    quorum = WriteQuorum([(1, 2, 3)])
    quorum.acked(1)
    quorum.failed(2)
    quorum.acked(9)
    assert quorum.verdict() is Verdict.WAITING


def test_a_change_of_ring_asks_for_a_majority_of_old_and_new_homes() -> None:
    quorum = WriteQuorum([(1, 2, 3), (3, 4, 5)])
    quorum.acked(1)
    quorum.acked(2)
    assert quorum.verdict() is Verdict.WAITING
    quorum.acked(3)
    assert quorum.verdict() is Verdict.WAITING
    quorum.acked(4)
    assert quorum.verdict() is Verdict.DURABLE


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=12),
    st.sampled_from([[(1, 2, 3)], [(1, 2, 3), (3, 4, 5)], [(1,)], [(1, 2, 3, 4, 5)]]),
)
def test_the_verdict_follows_from_counting(
    answers: list[tuple[int, bool]], sets: list[tuple[int, ...]]
) -> None:
    quorum = WriteQuorum(sets)
    acked: set[int] = set()
    failed: set[int] = set()
    for device, good in answers:
        if device in acked | failed:
            continue
        (acked if good else failed).add(device)
        quorum.acked(device) if good else quorum.failed(device)
    enough = all(len(acked & set(homes)) >= majority(len(homes)) for homes in sets)
    hopeless = any(len(set(homes) - failed) < majority(len(homes)) for homes in sets)
    wanted = Verdict.DURABLE if enough else Verdict.FAILED if hopeless else Verdict.WAITING
    assert quorum.verdict() is wanted


def test_a_read_takes_the_newest_and_names_who_lags() -> None:
    quorum = ReadQuorum([(1, 2, 3)])
    quorum.answered(1, OLD)
    quorum.answered(2, NEW)
    newest = quorum.newest()
    assert newest is not None
    assert newest == NEW
    assert quorum.enough
    assert quorum.holders(newest) == [2]
    assert quorum.laggards(newest) == [1]
    assert quorum.unasked(quorum.answers) == [3]


def test_a_device_that_is_no_home_has_no_say_in_a_read() -> None:
    quorum = ReadQuorum([(1, 2, 3)])
    quorum.answered(9, NEW)
    assert quorum.newest() is None
    assert not quorum.enough


def test_a_key_absent_everywhere_is_absent() -> None:
    quorum = ReadQuorum([(1, 2, 3)])
    quorum.answered(1, None)
    quorum.answered(2, None)
    assert quorum.enough
    assert quorum.newest() is None
