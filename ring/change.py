"""A step from one version of a ring to the next: which devices, which table, what moved. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ring.errors import RingError
from ring.meta import PlacementRules, RingMeta
from ring.placement import place
from ring.rebalance import Rebalanced, rebalance
from ring.table import HISTORY_VERSIONS, Ring
from ring.topology import DEVICE_ID_MAX, Device, Topology

GROWTH = 16
REPLICAS_PER_DEVICE = 100
PART_POWER_SUGGESTED_MIN = 8
PART_POWER_SUGGESTED_MAX = 22


@dataclass(frozen=True, slots=True)
class Change:
    """The next version of a ring, and the rebalance that made it."""

    ring: Ring
    rebalanced: Rebalanced


def first_ring(
    devices: Iterable[Device],
    *,
    part_power: int,
    replicas: int,
    salt: bytes,
    rules: PlacementRules,
    created_ms: int,
) -> Ring:
    """Return version 1 of a ring over these devices; raises PlacementImpossible when they are too few."""
    topology = Topology.of(devices)
    table = place(
        topology,
        part_power=part_power,
        replicas=replicas,
        overload=rules.overload,
        scatter_width=rules.scatter_width,
        seed=rules.seed,
    )
    return Ring(
        RingMeta(1, part_power, replicas, salt, topology, created_ms, rules=rules, comment="created"), table
    )


def changed(
    ring: Ring, topology: Topology, *, created_ms: int, comment: str = "", keep: int = HISTORY_VERSIONS
) -> Change:
    """Return the ring moved onto another topology by the fewest moves; raises PlacementImpossible."""
    done = rebalance(ring.table, topology, rules=ring.rules, version=ring.version)
    return Change(
        ring.successor(done.table, topology, created_ms=created_ms, comment=comment, keep=keep), done
    )


def next_device_ids(ring: Ring, count: int) -> list[int]:
    """Return ids for new devices that no kept version of the ring has used, lowest after the highest first.

    Raises RingError when the 65,535 ids are used up.
    """
    used = {device.id for device in ring.topology}
    used.update(device.id for device in ring.meta.staged or ())
    earlier = ring.previous()
    while earlier is not None:
        used.update(earlier.devices)
        earlier = earlier.previous()
    first = max(used, default=-1) + 1
    free = [i for i in (*range(first, DEVICE_ID_MAX + 1), *range(first)) if i not in used][:count]
    if len(free) < count:
        raise RingError(f"no {count} device ids are free; remove devices, or let their history expire")
    return free


def suggest_part_power(device_count: int, replicas: int) -> int:
    """Return a part power that leaves each device 100 replicas even after the colony grew sixteenfold."""
    wanted = max(1, device_count * GROWTH * REPLICAS_PER_DEVICE // replicas)
    return min(max((wanted - 1).bit_length(), PART_POWER_SUGGESTED_MIN), PART_POWER_SUGGESTED_MAX)
