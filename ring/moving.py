"""One level of a rebalance: which child of its node each replica is in, and vectorised moves between
children. Pure.

An entry is a slot of the table, `partition * replicas + replica`. It is *settled* while it stays on the
device that holds it and *loose* once it must move; a loose entry is in a node, and comes to rest on a device
when the last level is done. A device may release no more entries than its surplus (its budget): as long as
that holds, the moves of the whole rebalance equal the sum of the deficits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ring.tree import DEVICE, Ints, Tree

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int32]
LOOSE = -1


@dataclass(slots=True)
class Stock:
    """What lasts through all levels: the device node of each settled entry (LOOSE if none) and the budgets.

    `origin` is the device node that held each entry at first (LOOSE if it left the tree); `pressure` is at
    how many levels an entry crowds its node, less at how many its node has to keep it. `budgets[level][node]`
    is how many entries more the node holds than its quota; only settled entries count.
    """

    tree: Tree
    replicas: int
    device: Places
    origin: Places
    pressure: npt.NDArray[np.int8]
    budgets: list[Ints]
    chance: np.random.Generator

    def release(self, entries: Ints) -> None:
        """Let settled entries go, at the cost of the budgets of their devices and of all nodes above."""
        devices = self.device[entries]
        ids = self.tree.device_ids[devices]
        for level, budget in enumerate(self.budgets):
            np.subtract.at(budget, self.tree.node_of[level][ids], 1)
        self.device[entries] = LOOSE

    def affordable(self, entries: Ints, level: int) -> Ints:
        """Return the entries, in the order given, that can go without overdrawing a budget at or below
        `level`.
        """
        for depth in range(DEVICE, level - 1, -1):
            nodes = self.tree.node_of[depth][self.tree.device_ids[self.device[entries]]]
            entries = entries[rank_within(nodes) < self.budgets[depth][nodes]]
        return entries


@dataclass(slots=True)
class Floor:
    """The children of one level's nodes: where each entry is, and how many each child may and shall hold.

    `child[entry]` is a node of level `level`, or LOOSE. `quota`, `low`, `high` are per node: entries in all,
    and the least and most replicas of one partition. `held` counts the entries in each child.
    """

    stock: Stock
    level: int
    child: Places
    quota: Ints
    low: Ints
    high: Ints
    held: Ints

    def count(self, entries: Ints, children: npt.NDArray[np.integer]) -> Ints:
        """Return how many replicas of each entry's partition the given child holds."""
        rows = self.child.reshape(-1, self.stock.replicas)[entries // self.stock.replicas]
        counts: Ints = (rows == children[:, None]).sum(axis=1)
        return counts

    def fits(self, entries: Ints, children: npt.NDArray[np.integer]) -> Bools:
        """Return whether each entry may enter the given child without crowding its partition there."""
        fits: Bools = (self.count(entries, children) < self.high[children]) & (
            self.child[entries] != children
        )
        return fits

    def spare(self, entries: Ints) -> Bools:
        """Return whether each placed entry may leave its child without leaving its partition short there."""
        children = self.child[entries]
        spare: Bools = self.count(entries, children) > self.low[children]
        return spare

    def need(self) -> Ints:
        """Return how many entries each child lacks (negative: has too many)."""
        return self.quota - self.held

    def take_out(self, entries: Ints) -> None:
        """Make placed entries loose in their node."""
        settled = entries[self.stock.device[entries] >= 0]
        self.stock.release(settled)
        placed = entries[self.child[entries] >= 0]
        np.subtract.at(self.held, self.child[placed], 1)
        self.child[entries] = LOOSE

    def put_in(self, entries: Ints, children: npt.NDArray[np.integer]) -> None:
        """Place loose entries."""
        self.child[entries] = children
        np.add.at(self.held, children, 1)

    def move(self, entries: Ints, children: npt.NDArray[np.integer]) -> None:
        """Take entries out, if they are placed, and place them elsewhere."""
        self.take_out(entries)
        self.put_in(entries, children)

    def one_each(self, entries: Ints) -> Bools:
        """Return a mask with the first entry of each partition: a batch judges each partition just once."""
        mask = np.zeros(len(entries), dtype=bool)
        mask[np.unique(entries // self.stock.replicas, return_index=True)[1]] = True
        return mask


def rank_within(groups: npt.NDArray[np.integer]) -> Ints:
    """Return for each element how many equal ones stand before it."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    heads = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    sizes = np.diff(np.append(heads, len(groups)))
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(heads, sizes)
    return rank
