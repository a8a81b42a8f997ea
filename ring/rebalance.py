"""Moves a placement onto a changed topology with as few moves as can be. Pure.

Level by level, from the colony down to the devices, each node's entries are divided among its children: what
lies on devices that left is placed where something lacks, then surplus goes to deficit, by random rounds and
at last by augmenting paths. A device never releases more than its surplus unless dispersion forces it, so the
moves equal the sum of the deficits, which no placement with these quotas can undercut. The certificate says
whether that was reached.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ring.history import Table
from ring.meta import PlacementRules
from ring.moving import LOOSE, Floor, Places, Stock
from ring.polish import cancel_cycles, keep_columns
from ring.settle import settle
from ring.topology import Topology
from ring.tree import DEVICE, REGION, ROOT, Floats, Ints, Tree, build_tree, ideal_quotas, round_level


@dataclass(frozen=True, slots=True)
class Certificate:
    """Proof of economy: `moves` is at least `deficits` for any placement with these quotas.

    `deficits` sums, over devices, what the new quota exceeds the replicas held before; `forced` is the moves
    above that, made for dispersion; `crowded` counts replicas that share a region, zone, host or device more
    than quotas require.
    """

    moves: int
    deficits: int
    crowded: int

    @property
    def forced(self) -> int:
        """Moves above the sum of deficits."""
        return self.moves - self.deficits

    @property
    def holds(self) -> bool:
        """Whether moves equal the sum of deficits and nothing is crowded."""
        return self.moves == self.deficits and self.crowded == 0


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """A new table, the slots (`partition * replicas + replica`) that moved, and the certificate."""

    table: Table
    moved: Ints
    certificate: Certificate


def rebalance(
    table: Table, topology: Topology, *, rules: PlacementRules | None = None, version: int = 0
) -> Rebalanced:
    """Return the table moved onto `topology`; each replica that can stay stays, in its column.

    `version` varies the random choices from one rebalance to the next. Raises PlacementImpossible when fewer
    devices take data than the table has replicas.
    """
    rules = rules or PlacementRules()
    tree = build_tree(topology)
    partitions, replicas = table.shape
    ideal = ideal_quotas(tree, replicas, rules)
    flat = table.reshape(-1)
    device = tree.node_of[DEVICE][flat]
    held = [
        np.bincount(tree.node_of[level][flat][device >= 0], minlength=tree.size(level)) for level in range(5)
    ]
    plan = _plan(tree, ideal, partitions, held)
    stock = Stock(
        tree,
        replicas,
        device.copy(),
        device,
        _pressure(tree, table, plan),
        [held[level] - plan[level] for level in range(5)],
        np.random.default_rng((rules.seed, version)),
    )
    at = np.zeros(flat.size, dtype=np.int32)
    crowded = 0
    for level in range(ROOT, DEVICE):
        at, crowd = _descend(stock, level, at, plan[level + 1], ideal[level + 1] * float(partitions))
        crowded += crowd
    result = tree.device_ids[at].reshape(table.shape)
    deficits = _deficits(at, held[DEVICE])
    if np.count_nonzero(result.reshape(-1) != flat) > deficits:
        cancel_cycles(tree, table, result, deficits, stock.chance)
        keep_columns(table, result)
    moved = np.flatnonzero(result.reshape(-1) != flat)
    return Rebalanced(result, moved, Certificate(len(moved), deficits, crowded))


def _deficits(at: Places, held: Ints) -> int:
    """Return the sum of what devices hold more than before."""
    return int(np.maximum(np.bincount(at, minlength=len(held)) - held, 0).sum())


def _pressure(tree: Tree, table: Table, plan: list[Ints]) -> npt.NDArray[np.int8]:
    """Return, per entry, at how many levels it crowds its node, less at how many its node has to keep it."""
    pressure = np.zeros(table.shape, dtype=np.int8)
    for level in range(REGION, DEVICE + 1):
        nodes = tree.node_of[level][table]
        low = (plan[level] // len(table)).astype(np.int8)
        high = (-(-plan[level] // len(table))).astype(np.int8)
        count = _multiplicity(nodes)
        pressure += (count > high[nodes]).astype(np.int8) - (count <= low[nodes]).astype(np.int8)
    return pressure.reshape(-1)


def _multiplicity(nodes: Places) -> npt.NDArray[np.int8]:
    """Return for each entry how many replicas of its partition are in the same node; nodes is [partition,
    replica].
    """
    count = np.zeros(nodes.shape, dtype=np.int8)
    for replica in range(nodes.shape[1]):
        count += nodes == nodes[:, replica : replica + 1]
    return count


def _plan(tree: Tree, ideal: tuple[Floats, ...], partitions: int, held: list[Ints]) -> list[Ints]:
    """Return whole quotas level by level, rounded towards what is held."""
    plan = [np.array([round(float(ideal[ROOT][0]) * partitions)], dtype=np.int64)]
    for level in range(DEVICE):
        plan.append(
            round_level(tree, level, ideal[level + 1] * float(partitions), plan[level], held[level + 1])
        )
    return plan


def _descend(stock: Stock, level: int, at: Places, plan: Ints, target: Floats) -> tuple[Places, int]:
    """Divide each node's entries among its children; returns where entries are one level down, and the
    crowding left.
    """
    tree, below = stock.tree, level + 1
    partitions = at.size // stock.replicas
    child = np.where(stock.device >= 0, tree.node_of[below][tree.device_ids[stock.device]], LOOSE).astype(
        np.int32
    )
    held = np.bincount(child[child >= 0], minlength=tree.size(below))
    totals = np.bincount(at, minlength=tree.size(level))
    start = tree.child_start[level]
    quota = plan
    if not np.array_equal(totals, np.add.reduceat(plan, start[:-1])):
        quota = round_level(tree, level, target, totals, held)
    floor = Floor(stock, below, child, quota, quota // partitions, -(-quota // partitions), held)
    dirty = np.add.reduceat((floor.need() != 0).astype(np.int64), start[:-1]) > 0
    dirty[at[child == LOOSE]] = True
    dirty[at[_crowded(floor)]] = True
    dirty[np.searchsorted(start, _short(floor), side="right") - 1] = True
    if dirty.any():
        order = np.argsort(at.astype(np.uint16), kind="stable")
        edges = np.concatenate(([0], np.cumsum(totals)))
        for node in np.flatnonzero(dirty).tolist():
            settle(floor, order[edges[node] : edges[node + 1]], np.arange(start[node], start[node + 1]))
    return floor.child, len(_crowded(floor)) + len(_short(floor))


def _crowded(floor: Floor) -> Ints:
    """Return the entries of partitions of which their child holds more than it may."""
    count = _multiplicity(floor.child.reshape(-1, floor.stock.replicas))
    over = count.reshape(-1) > floor.high.astype(np.int8)[floor.child]
    return np.flatnonzero(over & (floor.child != LOOSE))


def _short(floor: Floor) -> Ints:
    """Return the children that hold less of some partition than they must, each as often as that is so."""
    rows = floor.child.reshape(-1, floor.stock.replicas)
    must = np.flatnonzero(floor.low > 0)
    return np.repeat(must, [int(((rows == child).sum(axis=1) < floor.low[child]).sum()) for child in must])
