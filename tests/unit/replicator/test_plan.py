"""Plans send each device what it lacks, and nothing that was deleted."""

from __future__ import annotations

from collections.abc import Mapping

from model.entry import Entry, Kind, Table, make_key, only_sides
from model.stamp import Stamp, make_stamp
from objectd.contract import RawEntry
from replicator.plan import Drop, Plan, Rules, Transfer, chunks, plan_keys, stamp_before, transfers

KEY = make_key(Table.OBJECT, b"d" * 16)
CONTAINER = make_key(Table.CONTAINER, b"c" * 16)
HOMES = ((1, 2, 3),)


def at(ms: int) -> Stamp:
    return make_stamp(ms, 0, 7)


def planned(held: Mapping[int, tuple[Entry, int] | None], rules: Rules | None = None) -> Plan:
    rows = {
        device: {} if one is None else {one[0].key: RawEntry(one[0].key, one[0].to_row(), one[1])}
        for device, one in held.items()
    }
    return plan_keys(rows, rules or Rules(HOMES))


def test_replicas_in_step_need_nothing() -> None:
    entry = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    assert planned({1: (entry, 4), 2: (entry, 4), 3: (entry, 4)}) == Plan()


def test_who_lacks_an_entry_gets_it_with_its_payload_from_any_holder() -> None:
    entry = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    assert planned({1: (entry, 4), 2: None, 3: (entry, 4)}).transfers == [Transfer(entry, (2,), 4, (1, 3))]


def test_an_older_replica_is_overwritten_and_a_newer_one_is_not() -> None:
    old, new = Entry(KEY, at(5), Kind.DATA, 4, b"r"), Entry(KEY, at(6), Kind.TOMBSTONE)
    assert planned({1: (old, 4), 2: (new, 0), 3: (old, 4)}).transfers == [Transfer(new, (1, 3), 0, (2,))]


def test_who_has_the_base_gets_the_sides_alone() -> None:
    base = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    posted = Entry(KEY, at(5), Kind.DATA, 4, b"r", {"posted": (at(6), b"p")})
    plan = planned({1: (base, 4), 2: (posted, 4), 3: None})
    assert plan.transfers == [
        Transfer(posted, (3,), 4, (1, 2)),
        Transfer(only_sides(KEY, posted.sides), (1,)),
    ]


def test_sides_and_base_of_different_replicas_are_joined() -> None:
    base = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    sides = only_sides(KEY, {"tags": (at(6), b"t")})
    merged = Entry(KEY, at(5), Kind.DATA, 4, b"r", {"tags": (at(6), b"t")})
    plan = planned({1: (base, 4), 2: (sides, 0)})
    assert plan.transfers == [Transfer(merged, (2,), 4, (1,)), Transfer(only_sides(KEY, merged.sides), (1,))]


def test_a_container_tombstone_on_a_minority_asks_for_consent() -> None:
    live, gone = Entry(CONTAINER, at(5), Kind.DATA), Entry(CONTAINER, at(6), Kind.TOMBSTONE)
    plan = planned({1: (live, 0), 2: (gone, 0), 3: (live, 0)})
    assert (plan.transfers, plan.consents) == ([], [gone])


def test_a_container_tombstone_on_a_majority_is_a_fact() -> None:
    live, gone = Entry(CONTAINER, at(5), Kind.DATA), Entry(CONTAINER, at(6), Kind.TOMBSTONE)
    plan = planned({1: (live, 0), 2: (gone, 0), 3: (gone, 0)})
    assert (plan.transfers, plan.consents) == ([Transfer(gone, (1,), 0, (2, 3))], [])


def test_a_container_tombstone_needs_a_majority_of_both_home_sets() -> None:
    live, gone = Entry(CONTAINER, at(5), Kind.DATA), Entry(CONTAINER, at(6), Kind.TOMBSTONE)
    rules = Rules(((1, 2, 3), (3, 4, 5)))
    plan = planned({1: (gone, 0), 2: (gone, 0), 3: (live, 0), 4: None, 5: None}, rules)
    assert plan.consents == [gone]


def test_what_only_a_doubted_device_holds_and_is_old_is_dropped() -> None:
    entry = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    rules = Rules(((1, 2, 3), (2, 3, 4)), frozenset((4,)), at(100))
    assert planned({1: None, 2: None, 3: None, 4: (entry, 4)}, rules).drops == [Drop(4, KEY, at(5))]


def test_what_only_a_doubted_device_holds_and_is_young_is_kept() -> None:
    entry = Entry(KEY, at(100), Kind.DATA, 4, b"r")
    rules = Rules(((1, 2, 3), (2, 3, 4)), frozenset((4,)), at(100))
    plan = planned({1: None, 2: None, 3: None, 4: (entry, 4)}, rules)
    assert (plan.drops, [one.targets for one in plan.transfers]) == ([], [(1, 2, 3)])


def test_what_a_trusted_home_holds_too_is_kept_however_old() -> None:
    entry = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    rules = Rules(((1, 2, 3), (2, 3, 4)), frozenset((4,)), at(100))
    plan = planned({1: None, 2: None, 3: (entry, 4), 4: (entry, 4)}, rules)
    assert (plan.drops, [one.targets for one in plan.transfers]) == ([], [(1, 2)])


def test_chunks_hold_what_one_commit_takes() -> None:
    entry = Entry(KEY, at(1), Kind.DATA)
    wanted = [Transfer(entry, (1,), size) for size in (3, 4, 9, 1, 1, 1)]
    found = list(chunks(wanted, bytes_max=8, entries_max=2))
    assert [[one.payload_bytes for one in chunk] for chunk in found] == [[3, 4], [9], [1, 1], [1]]


def test_the_reclaim_stamp_lies_an_age_before_now() -> None:
    assert at(40_000) < stamp_before(100_000, 59) < at(42_000)


def test_a_record_whose_every_payload_is_bad_is_not_sent_without_its_bytes() -> None:
    entry = Entry(KEY, at(5), Kind.DATA, 4, b"r")
    held = {1: RawEntry(KEY, entry.to_row(), -1), 2: None}
    assert list(transfers(entry, {1: entry}, held)) == []
