"""Locks: what may go, what may be loosened, and which of two locks stays."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.entry import Entry, Kind, Table, make_key, merge, only_sides
from model.errors import CorruptRecord
from model.retention import (
    DAY_MS,
    LEGAL_HOLD,
    RETENTION,
    Bypass,
    Hold,
    LockRule,
    Mode,
    Retention,
    may_delete,
    may_replace,
    pack_hold,
    pack_retention,
    pack_rule,
    unpack_hold,
    unpack_retention,
    unpack_rule,
)
from model.stamp import Stamp, make_stamp
from objectd.contract import Outcome
from objectd.decide import outcome_of

NOW_MS = 1_800_000_000_000
KEY = make_key(Table.OBJECT, bytes(16))
LATER = NOW_MS + DAY_MS


def sides(retention: Retention | None = None, hold: Hold | None = None) -> dict[str, bytes]:
    found = {}
    if retention is not None:
        found[RETENTION] = pack_retention(retention)
    if hold is not None:
        found[LEGAL_HOLD] = pack_hold(hold)
    return found


@pytest.mark.parametrize(
    ("held", "plain", "bypassing"),
    [
        (sides(), True, True),
        (sides(Retention(Mode.GOVERNANCE, LATER)), False, True),
        (sides(Retention(Mode.COMPLIANCE, LATER)), False, False),
        (sides(Retention(Mode.COMPLIANCE, NOW_MS)), True, True),
        (sides(hold=Hold.ON), False, False),
        (sides(hold=Hold.OFF), True, True),
        (sides(Retention(Mode.GOVERNANCE, LATER), Hold.ON), False, False),
        (sides(Retention(Mode.GOVERNANCE, LATER), Hold.OFF), False, True),
    ],
)
def test_a_version_goes_only_where_no_lock_holds_it(
    held: dict[str, bytes], plain: bool, bypassing: bool
) -> None:
    assert may_delete(held, NOW_MS) is plain
    assert may_delete(held, NOW_MS, Bypass.GOVERNANCE) is bypassing


GOVERNED = Retention(Mode.GOVERNANCE, LATER)
COMPLIANT = Retention(Mode.COMPLIANCE, LATER)


@pytest.mark.parametrize(
    ("held", "wanted", "plain", "bypassing"),
    [
        (None, COMPLIANT, True, True),
        (GOVERNED, Retention(Mode.GOVERNANCE, LATER + 1), True, True),
        (GOVERNED, Retention(Mode.GOVERNANCE, LATER - 1), False, True),
        (GOVERNED, COMPLIANT, False, True),
        (GOVERNED, None, False, True),
        (COMPLIANT, Retention(Mode.COMPLIANCE, LATER + 1), True, True),
        (COMPLIANT, COMPLIANT, True, True),
        (COMPLIANT, Retention(Mode.COMPLIANCE, LATER - 1), False, False),
        (COMPLIANT, Retention(Mode.GOVERNANCE, LATER + 1), False, False),
        (COMPLIANT, None, False, False),
        (Retention(Mode.COMPLIANCE, NOW_MS), GOVERNED, True, True),
    ],
)
def test_a_retention_in_force_is_lengthened_by_anyone_and_loosened_by_few(
    held: Retention | None, wanted: Retention | None, plain: bool, bypassing: bool
) -> None:
    assert may_replace(held, wanted, NOW_MS) is plain
    assert may_replace(held, wanted, NOW_MS, Bypass.GOVERNANCE) is bypassing


def test_a_default_of_days_or_years_is_counted_from_the_making() -> None:
    assert LockRule().retention(NOW_MS) is None
    assert LockRule(Mode.GOVERNANCE, days=2).retention(NOW_MS) == Retention(
        Mode.GOVERNANCE, NOW_MS + 2 * DAY_MS
    )
    assert LockRule(Mode.COMPLIANCE, years=1).retention(NOW_MS) == Retention(
        Mode.COMPLIANCE, NOW_MS + 365 * DAY_MS
    )


@pytest.mark.parametrize("retention", [GOVERNED, COMPLIANT, None])
def test_a_retention_comes_back_from_its_register(retention: Retention | None) -> None:
    assert unpack_retention(pack_retention(retention)) == retention


@pytest.mark.parametrize("rule", [LockRule(), LockRule(Mode.GOVERNANCE, 3), LockRule(Mode.COMPLIANCE, 0, 7)])
def test_a_lock_rule_comes_back_from_its_register(rule: LockRule) -> None:
    assert unpack_rule(pack_rule(rule)) == rule
    assert unpack_rule(b"") is None


@pytest.mark.parametrize("packed", [b"\xc1", b"\x01", b"\x93\x01\xa3abc\x01", b"\x93\x02\xa3abc\x01"])
def test_a_damaged_lock_is_not_taken_for_none(packed: bytes) -> None:
    with pytest.raises(CorruptRecord):
        unpack_retention(packed)
    with pytest.raises(CorruptRecord):
        may_delete({RETENTION: packed}, NOW_MS, Bypass.GOVERNANCE)
    with pytest.raises(CorruptRecord):
        unpack_hold(packed)


# Merging: registers of small worlds, in every order.


def register(at_ms: int, retention: Retention | None, writer: int = 1) -> tuple[Stamp, bytes]:
    return make_stamp(at_ms, 0, writer), pack_retention(retention)


def merged(registers: list[tuple[Stamp, bytes]]) -> tuple[Stamp, bytes]:
    entry = Entry(KEY, make_stamp(1, 0, 1), Kind.DATA)
    for one in registers:
        entry = merge(entry, only_sides(KEY, {RETENTION: one}))
    return entry.sides[RETENTION]


def test_a_shorter_compliance_never_takes_the_place_of_a_longer_one() -> None:
    long = register(10, Retention(Mode.COMPLIANCE, 2000))
    short = register(20, Retention(Mode.COMPLIANCE, 1500))
    removed = register(30, None)
    assert merged([long, short, removed]) == merged([removed, short, long]) == long


def test_a_longer_compliance_takes_the_place_of_a_shorter_one() -> None:
    short = register(10, Retention(Mode.COMPLIANCE, 1500))
    long = register(20, Retention(Mode.COMPLIANCE, 2000))
    assert merged([long, short]) == merged([short, long]) == long


def test_a_lock_whose_time_had_passed_yields_to_any_other() -> None:
    past = register(10, Retention(Mode.COMPLIANCE, 15))
    new = register(20, Retention(Mode.GOVERNANCE, 18))
    assert merged([past, new]) == merged([new, past]) == new


RETENTIONS = st.none() | st.builds(Retention, st.sampled_from(Mode), st.integers(1, 12))
REGISTERS = st.builds(register, st.integers(2, 12), RETENTIONS, st.integers(1, 2))


@given(st.lists(REGISTERS, min_size=1, max_size=4))
def test_registers_merge_to_one_in_whatever_order_they_come(registers: list[tuple[Stamp, bytes]]) -> None:
    # One writer never uses a stamp twice.
    unique = list({stamp: (stamp, value) for stamp, value in registers}.values())
    assert len({merged(list(order)) for order in permutations(unique)}) == 1


@given(st.lists(REGISTERS, min_size=1, max_size=6))
def test_no_compliance_is_cut_short_by_what_was_written_while_it_held(
    registers: list[tuple[Stamp, bytes]],
) -> None:
    unique = sorted({stamp: (stamp, value) for stamp, value in registers}.values())
    kept = unpack_retention(merged(unique)[1])
    last_ms = int.from_bytes(unique[-1][0][:6])
    for _, value in unique:
        promised = unpack_retention(value)
        if promised is not None and promised.mode is Mode.COMPLIANCE and promised.holds(last_ms):
            assert kept is not None
            assert kept.mode is Mode.COMPLIANCE
            assert kept.until_ms >= promised.until_ms


# Deletions that a lock overtook.


def test_a_deletion_older_than_a_lock_deletes_nothing_in_whatever_order_they_come() -> None:
    version = Entry(KEY, make_stamp(10, 0, 1), Kind.DATA, 5, b"record")
    deletion = Entry(KEY, make_stamp(20, 0, 1), Kind.TOMBSTONE)
    lock = only_sides(KEY, {LEGAL_HOLD: (make_stamp(30, 0, 1), pack_hold(Hold.ON))})
    locked = merge(version, lock)
    assert merge(locked, deletion) is locked
    # A home that took the deletion has lost the bytes: it takes them from one that has the lock.
    assert merge(merge(merge(version, deletion), lock), locked) == locked
    assert outcome_of(deletion, locked, locked).outcome is Outcome.SUPERSEDED


def test_a_deletion_newer_than_a_lock_deletes() -> None:
    version = Entry(KEY, make_stamp(10, 0, 1), Kind.DATA, 5, b"record")
    lock = only_sides(KEY, {RETENTION: register(20, Retention(Mode.GOVERNANCE, 25))})
    deletion = Entry(KEY, make_stamp(30, 0, 1), Kind.TOMBSTONE)
    assert merge(merge(version, lock), deletion) == merge(deletion, merge(version, lock)) == deletion
