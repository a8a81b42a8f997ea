"""Range sessions find exactly what differs, in few questions."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from model.entry import Entry, Kind, Table, fingerprint, make_key, merge
from model.stamp import make_stamp
from objectd.contract import Range, RawEntry
from replicator.places import key_range
from replicator.plan import Plan, Rules, plan_keys
from replicator.session import Ask, RangeSession

LO, HI = key_range(Table.OBJECT, 0, 0)
FANOUT = 8
SPAN = 4

Replica = dict[bytes, Entry]


def entry(number: int, ms: int, kind: Kind = Kind.DATA) -> Entry:
    key = make_key(Table.OBJECT, (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big") + bytes(8))
    return Entry(key, make_stamp(ms, 0, 1), kind, 1, b"v%d" % ms)


def ranges(replica: Replica, ask: Ask) -> list[Range]:
    """Answer as a node does: cut by equal counts, or at the bounds given."""
    keys = sorted(replica)
    held = keys[bisect_left(keys, ask.lo) : bisect_left(keys, ask.hi)]
    if ask.bounds is None:
        size = max(1, -(-len(held) // FANOUT))
        edges = [ask.lo, *held[size::size], ask.hi]
    else:
        edges = [ask.lo, *ask.bounds, ask.hi]
    found = []
    for low, high in itertools.pairwise(edges):
        inside = [key for key in held if low <= key < high]
        found.append(
            Range(low, high, len(inside), sum(fingerprint(replica[key]) for key in inside) % (1 << 128))
        )
    return found


def converse(replicas: Mapping[int, Replica]) -> tuple[RangeSession, int]:
    """Run a session to its end; return it and how many questions it asked."""
    cutter = max(replicas, key=lambda device: len(replicas[device]))
    session = RangeSession(tuple(replicas), LO, HI, cutter=cutter, span_entries=SPAN)
    count = 0
    while asks := session.asks():
        count += len(asks)
        session.feed({ask: ranges(replicas[ask.device], ask) for ask in asks})
    return session, count


def exchange(replicas: dict[int, Replica]) -> Plan:
    """Mend the spans that a session found, in place."""
    session, _ = converse(replicas)
    whole = Plan()
    for span in session.spans:
        rows = {
            device: {
                key: RawEntry(key, held.to_row(), 0)
                for key, held in replica.items()
                if span.lo <= key < span.hi
            }
            for device, replica in replicas.items()
        }
        plan = plan_keys(rows, Rules((tuple(replicas),)))
        for transfer in plan.transfers:
            whole.transfers.append(transfer)
            for device in transfer.targets:
                held = replicas[device].get(transfer.entry.key)
                replicas[device][transfer.entry.key] = merge(held, transfer.entry)
    return whole


entries = st.builds(
    entry, st.integers(0, 200), st.integers(1, 5), st.sampled_from([Kind.DATA, Kind.TOMBSTONE])
)
replica_sets = st.lists(st.lists(entries, max_size=120), min_size=2, max_size=3)


@settings(max_examples=150, deadline=None)
@given(replica_sets)
def test_replicas_of_any_content_converge_to_their_merge(contents: list[list[Entry]]) -> None:
    replicas: dict[int, Replica] = {}
    merged: Replica = {}
    for device, content in enumerate(contents):
        replica = replicas[device] = {}
        for one in content:
            # One stamp has one content: writers never use a stamp twice.
            whole = Entry(one.key, one.stamp, Kind(1 + one.stamp[5] % 2), 1, one.value)
            replica[one.key] = merge(replica.get(one.key), whole)
            merged[one.key] = merge(merged.get(one.key), whole)
    exchange(replicas)
    assert all(replica == merged for replica in replicas.values())
    assert not exchange(replicas).transfers


def test_replicas_in_step_are_compared_by_one_question_each() -> None:
    replica = {one.key: one for one in (entry(number, 1) for number in range(1000))}
    session, count = converse({1: replica, 2: dict(replica), 3: dict(replica)})
    assert not session.spans
    assert count == 3


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 3999), min_size=1, max_size=20))
def test_questions_grow_with_the_difference_and_not_with_the_replicas(changed: set[int]) -> None:
    ours = {one.key: one for one in (entry(number, 1) for number in range(4000))}
    theirs = dict(ours)
    for number in changed:
        newer = entry(number, 2)
        theirs[newer.key] = newer
    session, count = converse({1: ours, 2: theirs})
    # Two questions for each level of each differing key: 4,000 is below 8 to the fourth.
    assert count <= 2 * (1 + 4 * len(changed))
    assert sum(span.counts[1] for span in session.spans) <= SPAN * 4 * len(changed)


def test_an_empty_replica_is_filled_without_descending() -> None:
    full = {one.key: one for one in (entry(number, 1) for number in range(2000))}
    _, count = converse({1: full, 2: {}})
    assert count == 2


def test_neighbouring_small_spans_are_fetched_as_one() -> None:
    ours = {one.key: one for one in (entry(number, 1) for number in range(3))}
    theirs = {key: Entry(key, make_stamp(2, 0, 1), Kind.DATA) for key in ours}
    session, _ = converse({1: ours, 2: theirs})
    assert [(span.lo, span.hi) for span in session.spans] == [(LO, HI)]
