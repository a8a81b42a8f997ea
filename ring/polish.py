"""Last touches to a rebalance: finds moves that turned out to be needless, and takes them back. Pure.

Levels are decided one after the other, so a device may have released a replica for one level's sake and
received another for a lower level's. Such a detour is a negative cycle: replicas that move on, one from each
device of a circle to the next, leaving all totals as they are, with fewer replicas away from home than
before. Cancelling such cycles is Klein's method for minimum-cost flows (Management Science 14, 1967), here on
the devices, with all partitions' moves at once.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ring.history import Table
from ring.tree import DEVICE, REGION, ROOT, Ints, Tree

_CELLS_MAX = 1 << 24
_DEVICES_MAX = 256
_PASSES_MAX = 48
_UNITS_MAX = 1 << 14
_NO_EDGE = 1 << 20

Counts = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


def keep_columns(before: Table, after: Table) -> None:
    """Put replicas that stayed on their device back, in place, into the column they had."""
    rows = np.flatnonzero((before != after).any(axis=1))
    old, new = before[rows], after[rows]
    stayed = (old[:, :, None] == new[:, None, :]) & ~np.eye(before.shape[1], dtype=bool)
    for index in np.flatnonzero(stayed.any(axis=(1, 2))).tolist():
        was, now = old[index].tolist(), new[index].tolist()
        arrived = iter([device for device in now if device not in was])
        after[rows[index]] = [device if device in now else next(arrived) for device in was]


def cancel_cycles(tree: Tree, before: Table, after: Table, fewest: int, chance: np.random.Generator) -> None:
    """Reduce, in place, the replicas away from home until `fewest` are, or no cycle is found.

    Totals of all devices stay, and with them what dispersion asks of every node.
    """
    totals = [
        np.bincount(tree.node_of[level][after.reshape(-1)], minlength=tree.size(level)) for level in range(5)
    ]
    for _ in range(_PASSES_MAX):
        if away(before, after) <= fewest:
            return
        circle = _Circle.of(tree, before, after, totals, chance)
        if not circle.cancel(after):
            return


def away(before: Table, after: Table) -> int:
    """Return how many replicas are on devices that did not hold their partition before."""
    rows = np.flatnonzero((before != after).any(axis=1))
    old, new = before[rows], after[rows]
    return int((~(new[:, :, None] == old[:, None, :]).any(axis=2)).sum())


@dataclass(slots=True)
class _Circle:
    """The single moves that dispersion permits now, from device to device, and what each costs.

    `entries` are slots of the table, `source` and `target` positions in `devices`, `cost` -1 (back home), 0
    or 1; `rows` is the partition of each move.
    """

    devices: npt.NDArray[np.uint16]
    entries: Ints
    source: Ints
    target: Ints
    cost: Ints
    rows: Ints

    @classmethod
    def of(
        cls, tree: Tree, before: Table, after: Table, totals: list[Ints], chance: np.random.Generator
    ) -> "_Circle":
        """Find the moves among the partitions and devices that matter, as many as a pass can look at."""
        devices = _devices_of_interest(tree, before, after, chance)
        rows = _rows_of_interest(before, after, _CELLS_MAX // (len(devices) * after.shape[1]), chance)
        table, home = after[rows], before[rows]
        place = np.full(1 << 16, -1, dtype=np.int64)
        place[devices] = np.arange(len(devices))
        may_leave, may_enter, meet = _limits(tree, table, totals, devices, len(after))
        source = place[table]
        known = np.flatnonzero(source.reshape(-1) >= 0)
        index = known // table.shape[1]
        first_apart = meet[source.reshape(-1)[known]] + 1
        good = (first_apart >= may_leave.reshape(-1)[known][:, None]) & (first_apart >= may_enter[index])
        which, target = np.nonzero(good & (first_apart <= DEVICE))
        was_home = (home[:, :, None] == devices).any(axis=1)
        from_home = (home[:, :, None] == table[:, None, :]).any(axis=1).reshape(-1)[known]
        cost = from_home[which].astype(np.int64) - was_home[index[which], target]
        order = chance.permutation(len(which))
        which, target, cost = which[order], target[order], cost[order]
        entries = rows[index[which]] * table.shape[1] + known[which] % table.shape[1]
        return cls(devices, entries, source.reshape(-1)[known[which]], target, cost, rows[index[which]])

    def cancel(self, table: Table) -> int:
        """Carry out disjoint negative cycles in the table; returns how many."""
        size = len(self.devices)
        kind = (self.source * size + self.target) * 3 + self.cost + 1
        order = np.argsort(kind, kind="stable")
        edges = np.searchsorted(kind[order], np.arange(size * size * 3 + 1))
        left = [order[start:end] for start, end in pairwise(edges.tolist())]
        some = np.diff(edges) > 0
        used = np.zeros(len(table), dtype=bool)
        cancelled = 0
        while True:
            by_pair = some.reshape(size, size, 3)
            costs = np.where(by_pair.any(axis=2), by_pair.argmax(axis=2) - 1, _NO_EDGE)
            cycle = negative_cycle(costs)
            if cycle is None:
                return cancelled
            steps = zip(cycle, cycle[1:] + cycle[:1], strict=True)
            slots = [(start * size + end) * 3 + int(costs[start, end]) + 1 for start, end in steps]
            moves = self._disjoint(slots, left, some, used)
            table.reshape(-1)[self.entries[moves]] = self.devices[self.target[moves]]
            cancelled += len(moves) // len(slots)

    def _disjoint(
        self, slots: list[int], left: list[Ints], some: npt.NDArray[np.bool_], used: npt.NDArray[np.bool_]
    ) -> Ints:
        """Take from each slot as many moves as all of them can give, each of another partition.

        A partition is judged as it stands, so that it may take part only once.
        """
        taken: list[Ints] = []
        for slot in slots:
            fresh = left[slot][~used[self.rows[left[slot]]]]
            left[slot] = fresh
            some[slot] = len(fresh) > 0
            first = fresh[np.sort(np.unique(self.rows[fresh], return_index=True)[1])]
            taken.append(first[: len(taken[-1])] if taken else first[:_UNITS_MAX])
            used[self.rows[taken[-1]]] = True
        units = len(taken[-1])
        for moves in taken:
            used[self.rows[moves[units:]]] = False
        return np.concatenate([moves[:units] for moves in taken])


def negative_cycle(costs: Counts) -> list[int] | None:
    """Return the nodes of a cycle of negative cost, in order, or None (Bellman and Ford)."""
    size = len(costs)
    distance = np.zeros(size, dtype=np.int64)
    came = np.full(size, -1, dtype=np.int64)
    columns = np.arange(size)
    for _ in range(size):
        through = distance[:, None] + costs
        best = through.argmin(axis=0)
        reached = through[best, columns]
        better = reached < distance
        if not better.any():
            return None
        distance = np.where(better, reached, distance)
        came = np.where(better, best, came)
        cycle = _cycle_among(came)
        if cycle is not None:
            return cycle
    return None


def _cycle_among(came: Ints) -> list[int] | None:
    """Return a cycle of the graph in which each node points to its predecessor, in forward order."""
    parents = came.tolist()
    color = [0] * len(parents)
    for start in range(len(parents)):
        trail = []
        node = start
        while node >= 0 and color[node] == 0:
            color[node] = start + 1
            trail.append(node)
            node = parents[node]
        if node >= 0 and color[node] == start + 1:
            cycle = trail[trail.index(node) :]
            return cycle[::-1]
    return None


def _devices_of_interest(
    tree: Tree, before: Table, after: Table, chance: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Return all devices, or if they are many those that released and received, and some others."""
    if tree.size(DEVICE) <= _DEVICES_MAX:
        return tree.device_ids
    moved = before != after
    both = np.intersect1d(before[moved], after[moved])
    both = both[np.isin(both, tree.device_ids)][:_DEVICES_MAX]
    others = np.setdiff1d(tree.device_ids, both)
    few = chance.choice(others, min(len(others), _DEVICES_MAX - len(both)), replace=False)
    return np.concatenate((both, few)).astype(np.uint16)


def _rows_of_interest(before: Table, after: Table, limit: int, chance: np.random.Generator) -> Ints:
    """Return all partitions, or if they are many those that moved and some others."""
    if len(after) <= limit:
        return np.arange(len(after))
    moved = chance.permutation(np.flatnonzero((before != after).any(axis=1)))[: limit // 2]
    others = chance.choice(len(after), limit - len(moved), replace=False)
    return np.union1d(moved, others)


def _limits(
    tree: Tree, table: Table, totals: list[Ints], devices: npt.NDArray[np.uint16], partitions: int
) -> tuple[Levels, Levels, Levels]:
    """Return the highest level from which on downwards a replica may leave, may enter, and where devices
    part.

    A replica may move from x to y when, at each level at which they stand in different nodes, that of x can
    spare one and that of y has room: so at all levels below the one where they `meet`.
    """
    leave = np.full(table.shape, DEVICE + 1, dtype=np.int8)
    enter = np.full((len(table), len(devices)), DEVICE + 1, dtype=np.int8)
    meet = np.full((len(devices), len(devices)), ROOT, dtype=np.int8)
    leaves = np.ones(leave.shape, dtype=bool)
    enters = np.ones(enter.shape, dtype=bool)
    for level in range(DEVICE, ROOT, -1):
        low, high = totals[level] // partitions, -(-totals[level] // partitions)
        nodes, targets = tree.node_of[level][table], tree.node_of[level][devices]
        here = np.zeros(nodes.shape, dtype=np.int64)
        room = np.zeros(enter.shape, dtype=np.int64)
        for replica in range(nodes.shape[1]):
            here += nodes == nodes[:, replica : replica + 1]
            room += targets == nodes[:, replica : replica + 1]
        leaves &= here > low[nodes]
        enters &= room < high[targets]
        leave[leaves] = level
        enter[enters] = level
    for level in range(REGION, DEVICE + 1):
        targets = tree.node_of[level][devices]
        meet[targets[:, None] == targets[None, :]] = level
    return leave, enter, meet
