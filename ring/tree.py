"""The tree of devices as arrays, and water-filled quotas down it. Pure.

Levels are 0 root, 1 region, 2 zone, 3 host, 4 device. The nodes of a level are numbered depth first, so that
the children of a node are neighbours: `child_start[level][node] : child_start[level][node + 1]` at the level
below.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ring.errors import PlacementImpossible
from ring.meta import PlacementRules
from ring.topology import DEVICE_ID_MAX, Topology

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

ROOT, REGION, ZONE, HOST, DEVICE = range(5)
LEVEL_NAMES = ("colony", "region", "zone", "host", "device")
_EPSILON = 1e-9
_SNAP = 1e-6


@dataclass(frozen=True, slots=True)
class Tree:
    """A topology as arrays, each indexed by level.

    `device_ids[node]` is the id of a node of the device level; `node_of[level][device id]` the node a device
    stands under (-1 for ids outside the tree).
    """

    device_ids: npt.NDArray[np.uint16]
    weights: Floats
    child_start: tuple[Ints, ...]
    node_of: tuple[Nodes, ...]
    names: tuple[tuple[tuple[str, ...], ...], ...]

    def size(self, level: int) -> int:
        """Return how many nodes a level has."""
        return len(self.names[level])

    def sum_up(self, level: int, values: Floats) -> Floats:
        """Return, for the nodes of `level`, the sums of a value of the devices under them."""
        members = self.node_of[level][self.device_ids]
        return np.bincount(members, weights=values, minlength=self.size(level)).astype(np.float64)


def build_tree(topology: Topology) -> Tree:
    """Return the tree of a topology; devices that are drained or weigh nothing are in it with weight 0."""
    ordered = sorted(topology, key=lambda d: (d.region, d.zone, d.host, d.name))
    paths = [(d.region, d.zone, d.host, d.name) for d in ordered]
    ids = np.array([d.id for d in ordered], dtype=np.uint16)
    names: list[tuple[tuple[str, ...], ...]] = []
    members: list[list[int]] = []
    for level in range(5):
        seen: dict[tuple[str, ...], int] = {}
        members.append([seen.setdefault(path[:level], len(seen)) for path in paths])
        names.append(tuple(seen))
    node_of, child_start = [], []
    for level in range(5):
        lookup = np.full(DEVICE_ID_MAX + 2, -1, dtype=np.int32)
        lookup[ids] = members[level]
        node_of.append(lookup)
        if level < DEVICE:
            parents = np.zeros(len(names[level + 1]), dtype=np.int64)
            parents[members[level + 1]] = members[level]
            child_start.append(np.searchsorted(parents, np.arange(len(names[level]) + 1)))
    weights = np.array([d.effective_weight for d in ordered], dtype=np.float64)
    return Tree(ids, weights, tuple(child_start), tuple(node_of), tuple(names))


def ideal_quotas(tree: Tree, replicas: int, rules: PlacementRules) -> tuple[Floats, ...]:
    """Return for each level the share of each node, in replicas per partition (real numbers; a level sums to
    `replicas`).

    By weight alone, at most one replica of a partition to a device; then moved towards dispersion, no device
    being lifted above (1 + overload) times its share by weight. Raises PlacementImpossible when there are too
    few devices.
    """
    usable = int((tree.weights > 0).sum())
    if replicas > usable:
        raise PlacementImpossible(
            f"{replicas} replicas need {replicas} devices that take data, there are {usable}: "
            "add devices, or give a weight to drained ones"
        )
    by_weight = water_fill(
        tree.weights, np.zeros(len(tree.weights)), (tree.weights > 0).astype(float), float(replicas)
    )
    ceiling = np.minimum((1.0 + rules.overload) * by_weight, (tree.weights > 0).astype(float))
    capacity = (tree.weights > 0).astype(np.float64)
    levels: list[Floats] = [np.array([float(replicas)])]
    for level in range(DEVICE):
        below = level + 1
        sums = [tree.sum_up(below, values) for values in (by_weight, ceiling, capacity)]
        shares = np.zeros(tree.size(below))
        start = tree.child_start[level]
        for node in range(tree.size(level)):
            part = slice(start[node], start[node + 1])
            if part.stop - part.start == 1:
                shares[part] = levels[level][node]
            else:
                share, most, room = (values[part] for values in sums)
                shares[part] = _divide(float(levels[level][node]), share, most, room)
        levels.append(shares)
    return tuple(levels)


def whole_quotas(tree: Tree, ideal: tuple[Floats, ...], part_power: int) -> tuple[Ints, ...]:
    """Return for each level the replicas each node shall hold: the ideal share rounded down or up."""
    levels = [np.array([round(float(ideal[ROOT][0]) * (1 << part_power))], dtype=np.int64)]
    for level in range(DEVICE):
        levels.append(
            round_level(tree, level, ideal[level + 1] * float(1 << part_power), levels[level], None)
        )
    return tuple(levels)


def round_level(tree: Tree, level: int, target: Floats, totals: Ints, held: Ints | None) -> Ints:
    """Return whole quotas for the children of a level's nodes: each target rounded down or up, summing to
    `totals`.

    Rounding sticks to what is held now: of the children of a node, those that hold more than their target
    rounded down are rounded up first, then those with the largest fraction.
    """
    target = _snap(target)
    quotas = np.floor(target).astype(np.int64)
    fraction = target - quotas
    stuck = np.zeros(len(quotas), bool) if held is None else held > quotas
    start = tree.child_start[level]
    extra = totals - np.add.reduceat(quotas, start[:-1])
    # Rank the children of each node: no fraction last, then stuck ones first, then by fraction, then by
    # number.
    parent = np.repeat(np.arange(tree.size(level)), np.diff(start))
    order = np.lexsort((np.arange(len(quotas)), -fraction, ~stuck, fraction <= 0, parent))
    rank = np.arange(len(quotas)) - start[:-1][parent]
    quotas[order] += rank < extra[parent]
    # Totals may fall short by a few where dispersion could not be had within the quotas one level up.
    lowered = order[::-1]
    rank_below = start[1:][parent[::-1]] - 1 - np.arange(len(quotas))[::-1]
    quotas[lowered] -= (rank_below < -extra[parent[::-1]]) & (quotas[lowered] > 0)
    return quotas


def water_fill(weights: Floats, lower: Floats, upper: Floats, total: float) -> Floats:
    """Return `clip(scale * weights, lower, upper)` for the scale that makes it sum to `total` (or the nearest
    bound).
    """
    if upper.sum() <= total + _EPSILON:
        return np.array(upper)
    if lower.sum() >= total - _EPSILON:
        return np.array(lower)
    positive = weights > 0
    bends = np.unique(
        np.concatenate((lower[positive] / weights[positive], upper[positive] / weights[positive]))
    )
    low, high = 0, len(bends) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.clip(bends[middle] * weights, lower, upper).sum() <= total:
            low = middle
        else:
            high = middle
    filled = np.clip(bends[low] * weights, lower, upper)
    rising = positive & (lower <= bends[low] * weights + _EPSILON) & (upper > bends[low] * weights + _EPSILON)
    if not rising.any():
        return np.array(filled)
    scale = bends[low] + (total - filled.sum()) / weights[rising].sum()
    result: Floats = np.where(rising, np.clip(scale * weights, lower, upper), filled)
    return result


def _divide(share: float, by_weight: Floats, most: Floats, room: Floats) -> Floats:
    """Divide a node's share among its children: dispersed as far as `most` lets each one rise above its
    weight.
    """
    up = int(np.ceil(share - _SNAP))
    down = int(np.floor(share + _SNAP))
    deepest = max(int(room.max()), 1)
    high = next((n for n in range(1, up + 1) if np.minimum(room, n).sum() >= up), deepest)
    low = max((n for n in range(down + 1) if np.minimum(room, n).sum() <= down), default=0)
    upper = np.minimum(np.minimum(room, high), most)
    lower = np.minimum(np.minimum(room, low), upper)
    if upper.sum() >= share - _EPSILON:
        return water_fill(by_weight, lower, upper, share)
    return water_fill(by_weight, upper, most, share)


def _snap(values: Floats) -> Floats:
    """Take away the dust of floating point from what are whole numbers."""
    whole = np.rint(values)
    return np.where(np.abs(values - whole) < _SNAP, whole, values)
