"""A ring answers for a partition, names stand-ins, and remembers what it was."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.change import changed, first_ring, next_device_ids, suggest_part_power
from ring.errors import RingError, RingFileDamaged
from ring.meta import PlacementRules
from ring.table import Ring
from ring.topology import Topology
from tests.unit.ring.topologies import device, regular, topologies

SALT = bytes(16)


def ring_of(topology: Topology, part_power: int = 8, replicas: int = 3) -> Ring:
    """Return version 1 of a ring."""
    rules = PlacementRules(0.1, None, 3)
    return first_ring(
        topology, part_power=part_power, replicas=replicas, salt=SALT, rules=rules, created_ms=1000
    )


def test_homes_are_the_rows_of_the_table() -> None:
    """As tuples of plain ints."""
    ring = ring_of(regular(1, 2, 2, 2))
    assert [ring.homes(p) for p in range(ring.partition_count)] == [tuple(row) for row in ring.table.tolist()]
    assert all(type(device_id) is int for device_id in ring.homes(0))
    assert ring.partitions_of(3) == [p for p in range(256) if 3 in ring.homes(p)]
    assert sum(ring.counts.values()) == 256 * 3


def test_a_partition_beyond_the_table_is_no_partition() -> None:
    """A lookup never answers from beyond the table."""
    ring = ring_of(regular(1, 2, 2, 2))
    with pytest.raises(Exception, match="unpack_from requires a buffer"):
        ring.homes(256)


def test_the_table_cannot_be_written() -> None:
    """A ring is immutable."""
    ring = ring_of(regular(1, 2, 2, 2))
    with pytest.raises(ValueError, match="read-only"):
        ring.table[0, 0] = 1
    with pytest.raises(RingFileDamaged):
        Ring(ring.meta, ring.table[:7])


@given(topology=topologies(), partition=st.integers(0, 255))
def test_stand_ins_are_all_other_devices_once_in_a_fixed_order(topology: Topology, partition: int) -> None:
    """Homes and stand-ins together are all devices that take data."""
    ring = ring_of(topology)
    stand_ins = list(ring.handoffs(partition))
    assert sorted([*stand_ins, *ring.homes(partition)]) == [d.id for d in topology]
    assert stand_ins == list(ring_of(topology).handoffs(partition))


def test_stand_ins_come_from_other_failure_domains_first() -> None:
    """Unused regions, then unused zones, then unused hosts."""
    ring = ring_of(regular(5, 2, 2, 2))
    for partition in range(64):
        used = {ring.devices[home].region for home in ring.homes(partition)}
        first, second = (ring.devices[i] for i in islice(ring.handoffs(partition), 2))
        assert {first.region, second.region}.isdisjoint(used)
        assert first.region != second.region
    narrow = ring_of(regular(1, 4, 2, 2))
    for partition in range(64):
        zones = {narrow.devices[home].zone for home in narrow.homes(partition)}
        assert narrow.devices[next(narrow.handoffs(partition))].zone not in zones


def test_stand_ins_spread_the_load_of_a_lost_device() -> None:
    """Not one neighbour takes all."""
    ring = ring_of(regular(1, 1, 10, 1), part_power=10)
    firsts = [next(ring.handoffs(partition)) for partition in ring.partitions_of(0)]
    assert len(set(firsts)) == 9
    assert max(firsts.count(other) for other in set(firsts)) < len(firsts) / 4


def test_drained_devices_do_not_stand_in() -> None:
    """They are on their way out."""
    topology = Topology.of([*regular(1, 1, 4, 1), device(9, "r0/z0/h9/d", 0.0)])
    assert 9 not in list(ring_of(topology).handoffs(0))


def test_a_ring_reconstructs_the_versions_before_it() -> None:
    """Devices, table and times of each, and no more than are kept."""
    rings = [ring_of(regular(1, 2, 2, 2))]
    for step in range(4):
        topology = rings[-1].topology.with_devices([device(20 + step, f"r0/z{step}/h9/d")])
        rings.append(
            changed(rings[-1], topology, created_ms=2000 + step, comment=f"step {step}", keep=3).ring
        )
    newest = rings[-1]
    assert newest.version == 5
    for earlier in rings[1:]:
        found = newest.at_version(earlier.version)
        assert found is not None
        assert (found.table == earlier.table).all()
        assert found.meta == earlier.meta
        assert found.digest == earlier.digest
    assert newest.at_version(1) is None
    previous = newest.previous()
    assert previous is not None
    assert previous.digest == newest.meta.parent
    assert rings[0].previous() is None


def test_staged_devices_change_no_lookup() -> None:
    """They wait for a rebalance, which forgets them."""
    ring = ring_of(regular(1, 2, 2, 2))
    later = ring.topology.with_devices([device(20, "r0/z5/h9/d")])
    staged = ring.staged(later)
    assert (staged.table == ring.table).all()
    assert staged.version == ring.version
    assert staged.digest == ring.digest
    assert changed(staged, later, created_ms=1).ring.meta.staged is None


def test_ids_of_lost_devices_are_not_given_away_while_a_version_knows_them() -> None:
    """A proxy that holds two versions must not take one device for another."""
    ring = ring_of(regular(1, 2, 2, 2))
    assert next_device_ids(ring, 2) == [8, 9]
    shrunk = changed(ring, ring.topology.without([7]), created_ms=1).ring
    assert next_device_ids(shrunk, 1) == [8]
    assert next_device_ids(changed(ring, ring.topology.without([7]), created_ms=1, keep=0).ring, 1) == [7]
    with pytest.raises(RingError, match="ids are free"):
        next_device_ids(ring, 65_530)


def test_the_suggested_part_power_leaves_room_to_grow() -> None:
    """100 replicas for each of sixteen times the devices."""
    assert [suggest_part_power(count, 3) for count in (1, 4, 100, 10_080)] == [10, 12, 16, 22]
