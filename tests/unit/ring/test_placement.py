"""What a new placement holds to: quotas, distinct devices, dispersion at every level."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.errors import PlacementImpossible, RingError
from ring.meta import PlacementRules
from ring.placement import place
from ring.report import health, scatter_width
from ring.topology import Topology
from ring.tree import DEVICE, build_tree, ideal_quotas
from tests.unit.ring.oracle import dispersion_faults
from tests.unit.ring.topologies import device, regular, topologies


@given(
    topology=topologies(),
    replicas=st.integers(1, 4),
    overload=st.sampled_from([0.0, 0.1, 1.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_every_placement_meets_quotas_and_is_dispersed_at_every_level(
    topology: Topology, replicas: int, overload: float, seed: int
) -> None:
    """Each node's total is its ideal share rounded, and each partition has its share of it rounded."""
    if replicas > len(topology):
        with pytest.raises(PlacementImpossible):
            place(topology, part_power=6, replicas=replicas, seed=seed)
        return
    table = place(topology, part_power=6, replicas=replicas, overload=overload, seed=seed)
    rows = table.tolist()
    assert all(len(set(row)) == replicas for row in rows)
    assert not dispersion_faults(rows, topology)
    tree = build_tree(topology)
    ideal = ideal_quotas(tree, replicas, PlacementRules(overload))[DEVICE] * 64
    held = Counter(table.reshape(-1).tolist())
    for node, share in enumerate(ideal.tolist()):
        assert abs(held[int(tree.device_ids[node])] - share) < 1 + 1e-6


@given(topology=topologies(), overload=st.sampled_from([0.0, 0.1, 0.5]))
def test_no_device_is_lifted_above_its_weight_by_more_than_the_overload(
    topology: Topology, overload: float
) -> None:
    """The overload bounds what dispersion may cost any one device."""
    tree = build_tree(topology)
    by_weight = ideal_quotas(tree, 3, PlacementRules(0.0))[DEVICE]
    lifted = ideal_quotas(tree, 3, PlacementRules(overload))[DEVICE]
    assert (lifted <= by_weight * (1 + overload) + 1e-9).all()
    assert lifted.sum() == pytest.approx(3)
    assert (lifted <= 1 + 1e-9).all()


def test_without_overload_a_device_holds_by_its_weight() -> None:
    """Twice the weight is twice the replicas, as long as no partition would have to come twice."""
    table = place(regular(1, 1, 8, 1, lambda n: 1.0 + n % 2), part_power=12, replicas=3, seed=1)
    held = np.bincount(table.reshape(-1))
    assert held.tolist() == [1024, 2048] * 4


def test_four_devices_on_one_host_share_evenly_in_all_combinations() -> None:
    """The colony that `make up` starts."""
    table = place(regular(1, 1, 1, 4), part_power=10, replicas=3, seed=7)
    assert np.bincount(table.reshape(-1)).tolist() == [768] * 4
    assert (
        Counter(frozenset(row) for row in table.tolist()).values() == Counter()
        or len({frozenset(row) for row in table.tolist()}) == 4
    )


def test_three_hosts_of_one_device_each_hold_every_partition() -> None:
    """With as many devices as replicas there is only one placement."""
    table = place(regular(1, 1, 3, 1, lambda n: 1.0 + n), part_power=8, replicas=3, seed=7)
    assert all(set(row) == {0, 1, 2} for row in table.tolist())


def test_one_device_alone_holds_everything_once() -> None:
    """A colony of one device works with one replica and says why not with three."""
    alone = regular(1, 1, 1, 1)
    assert set(place(alone, part_power=4, replicas=1, seed=0).reshape(-1).tolist()) == {0}
    with pytest.raises(PlacementImpossible, match="3 replicas need 3 devices"):
        place(alone, part_power=4, replicas=3, seed=0)


def test_drained_and_weightless_devices_take_nothing() -> None:
    """They are in the tree but hold no replica, and do not count as room."""
    topology = Topology.of([*regular(1, 1, 3, 1), device(9, "r0/z0/h9/d9", 0.0)])
    assert 9 not in place(topology, part_power=6, replicas=3, seed=0)
    with pytest.raises(PlacementImpossible):
        place(topology, part_power=6, replicas=4, seed=0)


def test_uneven_regions_disperse_as_far_as_the_overload_lets_them() -> None:
    """A small third region takes one replica of each partition only when it may be overloaded so."""
    topology = Topology.of([*regular(2, 1, 1, 3), device(6, "r2/z0/h0/d0"), device(7, "r2/z0/h0/d1")])
    strict = place(topology, part_power=10, replicas=3, seed=0)
    lifted = place(topology, part_power=10, replicas=3, overload=0.5, seed=0)
    assert health(strict, topology, PlacementRules()).undispersed["region"] > 0
    assert health(lifted, topology, PlacementRules()).undispersed["region"] == 0


def test_the_seed_decides_and_nothing_else() -> None:
    """The same seed gives the same table, another one another."""
    topology = regular(2, 2, 2, 2)
    tables = [place(topology, part_power=8, replicas=3, seed=seed) for seed in (1, 1, 2)]
    assert (tables[0] == tables[1]).all()
    assert (tables[0] != tables[2]).any()


@pytest.mark.parametrize("width", [6, 20])
def test_a_scatter_width_bounds_the_partners_of_a_device(width: int) -> None:
    """Copysets: a device shares partitions with about so many others; quotas and dispersion hold."""
    topology = regular(3, 2, 5, 4)
    free = place(topology, part_power=14, replicas=3, seed=3)
    bound = place(topology, part_power=14, replicas=3, scatter_width=width, seed=3)
    partners = [scatter_width(bound, device.id) for device in topology]
    assert np.mean(partners) <= width
    assert max(partners) <= 1.5 * width
    assert min(scatter_width(free, device.id) for device in topology) > 60
    assert (
        health(bound, topology, PlacementRules()).undispersed
        == health(free, topology, PlacementRules()).undispersed
    )
    assert np.ptp(np.bincount(bound.reshape(-1))) <= 1


def test_a_lost_device_is_healed_by_many_others() -> None:
    """Without a scatter width the partners of a device are spread over the other regions."""
    topology = regular(3, 4, 7, 4)
    table = place(topology, part_power=14, replicas=3, seed=3)
    share = np.bincount(table[(table == 0).any(axis=1)].reshape(-1), minlength=len(topology))[1:]
    assert (share > 0).sum() > 100
    assert share.max() <= 12


@pytest.mark.parametrize(("part_power", "replicas"), [(0, 3), (25, 3), (8, 0), (8, 17)])
def test_impossible_sizes_are_refused(part_power: int, replicas: int) -> None:
    """The limits are named in the error."""
    with pytest.raises(RingError, match="part power must be 1 to 24"):
        place(regular(1, 1, 1, 4), part_power=part_power, replicas=replicas, seed=0)
