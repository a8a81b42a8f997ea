"""A ring change goes on exactly when it may, whoever of the nodes is up."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from replicator.transition import Decision, Move, Progress, changing_partitions, decide, every_majority
from ring.change import changed, first_ring
from ring.epoch import Epoch, Phase, epoch_of
from ring.meta import PlacementRules
from ring.table import Ring
from ring.topology import Device, Topology

NODES = ("n0", "n1", "n2", "n3", "n4")


def first() -> Ring:
    devices = [Device(disk, "r", f"z{disk}", f"n{disk}", "d", 1.0, f"n{disk}", "") for disk in range(5)]
    rules = PlacementRules()
    return first_ring(devices, part_power=4, replicas=3, salt=b"s" * 16, rules=rules, created_ms=0)


def second() -> Ring:
    ring = first()
    topology = Topology.of(replace(one, weight=3.0 if one.id == 4 else 1.0) for one in ring.topology)
    return changed(ring, topology, created_ms=0).ring


BEFORE, AFTER = first(), second()


def epoch(phase: Phase) -> Epoch:
    return Epoch(AFTER, phase)


def all_at(number: int) -> dict[str, int]:
    return dict.fromkeys(NODES, number)


def complete(of: Epoch) -> Progress:
    progress = Progress.of(of)
    progress.synced = set(progress.changing)
    return progress


def may_go_on(of: Epoch, epochs: dict[str, int]) -> bool:
    """The rule by a naive count: a majority of old and of new homes of each partition has adopted it."""
    up = {disk for disk in range(5) if epochs.get(f"n{disk}", 0) >= of.number}
    return all(
        len(set(ring.homes(partition)) & up) >= 2
        for ring in (BEFORE, AFTER)
        for partition in range(AFTER.partition_count)
    )


def test_a_settled_ring_needs_nothing() -> None:
    for phase in (Phase.INITIAL, Phase.SETTLED):
        of = epoch(phase)
        assert not changing_partitions(of)
        assert decide(of, all_at(of.number), Progress.of(of)) == Decision(Move.NOTHING)


def test_changing_partitions_are_those_whose_homes_differ() -> None:
    differ = {one for one in range(16) if set(BEFORE.homes(one)) != set(AFTER.homes(one))}
    assert differ
    assert changing_partitions(epoch(Phase.WRITE_BOTH)) == differ
    assert changing_partitions(epoch(Phase.READ_NEW)) == differ


@pytest.mark.parametrize("phase", [Phase.WRITE_BOTH, Phase.READ_NEW])
def test_every_state_of_the_nodes_gives_the_step_of_the_naive_rule(phase: Phase) -> None:
    """All 3 to the 5th states: each node down, behind, or at the epoch."""
    of = epoch(phase)
    for states in product((0, of.number - 1, of.number), repeat=5):
        epochs = {node: number for node, number in zip(NODES, states, strict=True) if number}
        behind = any(number < of.number for number in epochs.values())
        decision = decide(of, epochs, complete(of))
        expected = not behind and may_go_on(of, epochs)
        assert (decision.move is Move.PUBLISH) == expected, epochs
        if expected:
            assert decision.phase is Phase(phase + 1)
        else:
            assert decision.reason


@pytest.mark.parametrize("phase", [Phase.WRITE_BOTH, Phase.READ_NEW])
def test_a_single_partition_that_is_not_copied_holds_the_change(phase: Phase) -> None:
    of = epoch(phase)
    for missing in changing_partitions(of):
        progress = complete(of)
        progress.synced.discard(missing)
        assert decide(of, all_at(of.number), progress).move is Move.WAIT


def test_a_node_ahead_counts_as_having_adopted() -> None:
    of = epoch(Phase.WRITE_BOTH)
    epochs = all_at(of.number) | {"n1": epoch_of(AFTER.version, Phase.READ_NEW)}
    assert decide(of, epochs, complete(of)).phase is Phase.READ_NEW


def test_a_change_goes_through_its_phases_in_order() -> None:
    phase = Phase.WRITE_BOTH
    seen = [phase]
    while (decision := decide(epoch(phase), all_at(epoch(phase).number), complete(epoch(phase)))).phase:
        phase = decision.phase
        seen.append(phase)
    assert seen == [Phase.WRITE_BOTH, Phase.READ_NEW, Phase.SETTLED]


def test_majorities_are_counted_for_every_partition_of_every_ring() -> None:
    assert every_majority((BEFORE, AFTER), range(5))
    assert not every_majority((BEFORE,), ())
