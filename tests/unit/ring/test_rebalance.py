"""What a rebalance holds to: fewest moves, quotas, dispersion, columns, and an honest certificate."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ring.errors import PlacementImpossible
from ring.history import Table
from ring.meta import PlacementRules
from ring.placement import place
from ring.rebalance import Rebalanced, rebalance
from ring.topology import Topology
from ring.tree import DEVICE, build_tree, ideal_quotas
from tests.unit.ring.oracle import deficits, dispersion_faults, fewest_moves, moves
from tests.unit.ring.topologies import device, regular, successors, topologies


def _grown(topology: Topology, *places: str) -> Topology:
    first = max(d.id for d in topology) + 1
    return topology.with_devices(device(first + index, place) for index, place in enumerate(places))


@given(data=st.data(), topology=topologies(), replicas=st.integers(2, 4), seed=st.integers(0, 9))
def test_no_rebalance_could_have_moved_less(
    data: st.DataObject, topology: Topology, replicas: int, seed: int
) -> None:
    """Against the oracle: the moves are the fewest for the quotas, and quotas and dispersion hold."""
    assume(replicas <= len(topology))
    rules = PlacementRules(data.draw(st.sampled_from([0.0, 0.1, 0.5, 10.0])), None, seed)
    before = place(topology, part_power=4, replicas=replicas, overload=rules.overload, seed=seed)
    changed = data.draw(successors(topology))
    assume(sum(d.effective_weight > 0 for d in changed) >= replicas)
    done = rebalance(before, changed, rules=rules)
    old, new = before.tolist(), done.table.tolist()
    assert all(len(set(row)) == replicas for row in new)
    assert not dispersion_faults(new, changed)
    _quotas_hold(done.table, changed, rules)
    assert done.certificate.moves == moves(old, new) == len(done.moved)
    assert done.certificate.deficits == deficits(old, new)
    if not done.certificate.holds:
        assert done.certificate.moves == fewest_moves(old, new, changed)


def _quotas_hold(table: Table, topology: Topology, rules: PlacementRules) -> None:
    tree = build_tree(topology)
    ideal = ideal_quotas(tree, table.shape[1], rules)[DEVICE] * len(table)
    held = Counter(table.reshape(-1).tolist())
    for node, share in enumerate(ideal.tolist()):
        assert abs(held[int(tree.device_ids[node])] - share) < 1 + 1e-6


@given(topology=topologies(), seed=st.integers(0, 9), overload=st.sampled_from([0.0, 0.1, 10.0]))
def test_a_rebalance_without_a_change_moves_nothing(topology: Topology, seed: int, overload: float) -> None:
    """Rounding sticks."""
    table = place(topology, part_power=6, replicas=3, overload=overload, seed=seed)
    done = rebalance(table, topology, rules=PlacementRules(overload, None, seed))
    assert done.certificate.moves == 0
    assert (done.table == table).all()


def test_a_new_device_takes_its_share_and_nobody_else_receives() -> None:
    """Adding one device moves only what it needs."""
    topology = regular(3, 4, 3, 3, lambda n: 1.0 + n % 4)
    before = place(topology, part_power=14, replicas=3, overload=0.1, seed=5)
    done = rebalance(before, _grown(topology, "r0/z1/h1/new"), rules=PlacementRules(0.1, None, 5))
    arrivals = np.unique(done.table.reshape(-1)[done.moved])
    assert arrivals.tolist() == [len(topology)]
    assert done.certificate.holds


def test_replicas_that_stay_keep_their_column() -> None:
    """Erasure code fragments are numbered by column."""
    topology = regular(1, 3, 2, 2)
    before = place(topology, part_power=8, replicas=4, seed=5)
    done = rebalance(before, topology.without([3]), rules=PlacementRules(seed=5))
    for old, new in zip(before.tolist(), done.table.tolist(), strict=True):
        for column, device_id in enumerate(old):
            assert device_id not in new or new[column] == device_id


CHANGES: dict[str, Callable[[Topology], Topology]] = {
    "a device joins": lambda t: _grown(t, "r1/z1/h1/new"),
    "a zone joins": lambda t: _grown(t, "r1/z9/h0/a", "r1/z9/h0/b", "r1/z9/h1/a"),
    "a device leaves": lambda t: t.without([5]),
    "a zone leaves": lambda t: t.without(d.id for d in t if (d.region, d.zone) == ("r2", "z1")),
    "a region joins": lambda t: _grown(t, *(f"r7/z{n % 4}/h{n}/d" for n in range(16))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_moves_equal_the_sum_of_deficits(change: str) -> None:
    """The certificate holds in regular colonies for what happens to them."""
    topology = regular(3, 4, 2, 2, lambda n: 1.0 + n % 4)
    before = place(topology, part_power=13, replicas=3, overload=0.1, seed=2)
    changed = CHANGES[change](topology)
    done = rebalance(before, changed, rules=PlacementRules(0.1, None, 2))
    assert done.certificate.holds, done.certificate
    assert not dispersion_faults(done.table.tolist(), changed)


def test_a_drained_device_ends_empty_and_a_removed_one_too() -> None:
    """What leaves gives all, whatever dispersion thinks of it."""
    topology = regular(1, 1, 1, 5)
    before = place(topology, part_power=8, replicas=3, seed=0)
    done = rebalance(before, topology.without([2]))
    assert 2 not in done.table
    assert done.certificate.moves == int((before == 2).sum())


def test_three_of_three_cannot_lose_one() -> None:
    """Fewer devices than replicas is an error, not a degraded ring."""
    topology = regular(1, 1, 3, 1)
    before = place(topology, part_power=8, replicas=3, seed=0)
    with pytest.raises(PlacementImpossible, match="add devices"):
        rebalance(before, topology.without([0]))


def test_many_small_changes_leave_a_placement_as_good_as_new() -> None:
    """Balance and dispersion do not wear out: twenty changes in a row, each with its certificate."""
    topology = regular(2, 3, 2, 2)
    rules = PlacementRules(0.1, None, 4)
    table = place(topology, part_power=10, replicas=3, overload=0.1, seed=4)
    for step in range(20):
        if step % 2:
            topology = topology.without([min(d.id for d in topology)])
        else:
            topology = _grown(topology, f"r{step % 4 // 2}/z{step % 3}/h{step % 2}/n{step}")
        done: Rebalanced = rebalance(table, topology, rules=rules, version=step)
        table = done.table
        assert done.certificate.crowded == 0
        assert not dispersion_faults(table.tolist(), topology)
        _quotas_hold(table, topology, rules)


@pytest.mark.slow
def test_ten_thousand_devices_are_placed_and_rebalanced_in_full() -> None:
    """10,080 devices, 2^20 partitions, 3 replicas: the size the design is made for."""
    topology = regular(3, 4, 70, 12, lambda n: 1.0 + n % 4)
    rules = PlacementRules(0.1, None, 6)
    before = place(topology, part_power=20, replicas=3, overload=0.1, seed=6)
    tree = build_tree(topology)
    ideal = ideal_quotas(tree, 3, rules)[DEVICE] * (1 << 20)
    assert np.abs(np.bincount(before.reshape(-1))[tree.device_ids] - ideal).max() < 1
    regions = np.sort(tree.node_of[1][before], axis=1)
    assert (np.diff(regions, axis=1) > 0).all()
    zoneless = topology.without(d.id for d in topology if (d.region, d.zone) == ("r0", "z1"))
    for changed in (_grown(topology, "r0/z0/h0/new"), zoneless):
        done = rebalance(before, changed, rules=rules)
        assert done.certificate.holds
        assert (np.diff(np.sort(done.table, axis=1).astype(np.int32), axis=1) > 0).all()
