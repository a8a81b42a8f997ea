"""What an operator wants to know of a placement: how even, how dispersed, and what a change moves. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ring.history import Table
from ring.meta import PlacementRules
from ring.rebalance import Rebalanced
from ring.topology import Topology
from ring.tree import DEVICE, LEVEL_NAMES, REGION, Floats, Ints, build_tree, ideal_quotas


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """What a device holds, in replicas of partitions, and what it would hold by weight alone."""

    device_id: int
    held: int
    by_weight: float

    @property
    def fill(self) -> float:
        """Held in relation to the share by weight; 1.0 is even, inf what a drained one still holds."""
        if self.by_weight > 0:
            return self.held / self.by_weight
        return float("inf") if self.held else 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """How a table suits a topology.

    `fullest` and `emptiest` are the extremes of `DeviceLoad.fill` over devices that take data; `undispersed`
    is, for each level's name, the share of replicas that stand in a region, zone, host or device with another
    replica of their partition although the tree has enough of them; `unplaced` counts replicas on devices
    outside the topology.
    """

    loads: tuple[DeviceLoad, ...]
    fullest: float
    emptiest: float
    undispersed: Mapping[str, float]
    unplaced: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What a change brings to and takes from a device, in replicas and (when usage is known) bytes."""

    device_id: int
    arriving: int
    leaving: int
    arriving_bytes: int | None
    leaving_bytes: int | None


def health(table: Table, topology: Topology, rules: PlacementRules) -> Health:
    """Return how even and how dispersed a table is on a topology."""
    tree = build_tree(topology)
    partitions, replicas = table.shape
    strict = PlacementRules(0.0, rules.scatter_width, rules.seed)
    by_weight = ideal_quotas(tree, replicas, strict)[DEVICE] * partitions
    nodes = tree.node_of[DEVICE][table]
    held = np.bincount(nodes[nodes >= 0], minlength=tree.size(DEVICE))
    loads = tuple(
        DeviceLoad(device_id, count, share)
        for device_id, count, share in zip(
            tree.device_ids.tolist(), held.tolist(), by_weight.tolist(), strict=True
        )
    )
    fills = [load.fill for load in loads if load.by_weight > 0]
    undispersed = {}
    for level in range(REGION, DEVICE + 1):
        usable = int((tree.sum_up(level, tree.weights) > 0).sum())
        undispersed[LEVEL_NAMES[level]] = _undispersed(tree.node_of[level][table], min(replicas, usable))
    return Health(loads, max(fills), min(fills), undispersed, int((nodes < 0).sum()))


def flows(before: Table, done: Rebalanced, partition_bytes: Floats | None) -> tuple[Flow, ...]:
    """Return what each device takes part in, busiest first; `partition_bytes` is float64[partition]."""
    old, new = before.reshape(-1)[done.moved], done.table.reshape(-1)[done.moved]
    size = int(max(old.max(initial=0), new.max(initial=0))) + 1
    arriving, leaving = np.bincount(new, minlength=size), np.bincount(old, minlength=size)
    coming = going = None
    if partition_bytes is not None:
        moved_bytes = partition_bytes[done.moved // before.shape[1]]
        coming = np.bincount(new, weights=moved_bytes, minlength=size)
        going = np.bincount(old, weights=moved_bytes, minlength=size)
    order: Ints = np.argsort(-(arriving + leaving), kind="stable")
    return tuple(
        Flow(
            device,
            int(arriving[device]),
            int(leaving[device]),
            None if coming is None else round(float(coming[device])),
            None if going is None else round(float(going[device])),
        )
        for device in order.tolist()
        if arriving[device] or leaving[device]
    )


def scatter_width(table: Table, device_id: int) -> int:
    """Return with how many other devices a device shares partitions."""
    rows = table[(table == device_id).any(axis=1)]
    return max(len(np.unique(rows)) - 1, 0)


def _undispersed(nodes: Ints | np.ndarray[tuple[int, ...], np.dtype[np.int32]], distinct_max: int) -> float:
    """Return the share of replicas missing from distinct nodes; nodes is int[partition, replica]."""
    ordered = np.sort(nodes, axis=1)
    distinct = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    return float(np.maximum(distinct_max - distinct, 0).sum() / nodes.size)
