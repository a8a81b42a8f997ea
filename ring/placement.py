"""Builds a placement from nothing: quotas met exactly, replicas as dispersed as the quotas allow, in O(R·P).
Pure.

Systematic sampling does both at once. Write the devices, in tree order, each as often as its quota, on a line
of R·P slots, and give partition p the slots p, p + P, p + 2P, … Any subtree is an interval of that line, so
it holds its share of each partition rounded down or up: as dispersed as can be at every level of the tree,
with no search. The line is cut into blocks (slot modulo block count) that each shuffle the order of siblings,
and subtrees then exchange what they hold alone between partitions, so that devices share partitions with as
many others as can be. With a scatter width, only a few orders are drawn and nothing is exchanged: copysets
(Cidon et al., USENIX ATC 2013).
"""

import numpy as np
import numpy.typing as npt

from ring.errors import RingError
from ring.hashing import PART_POWER_MAX
from ring.history import Table
from ring.meta import REPLICAS_MAX, PlacementRules
from ring.topology import Topology
from ring.tree import DEVICE, REGION, Ints, Tree, build_tree, ideal_quotas, whole_quotas

_BLOCKS_MAX = 512
_SLOTS_PER_BLOCK = 4
_PARTNERS_PER_ORDER = 2
"""A device overlaps about two others in each further stride of one order."""


def place(
    topology: Topology,
    *,
    part_power: int,
    replicas: int,
    overload: float = 0.0,
    scatter_width: int | None = None,
    seed: int,
) -> Table:
    """Return a new table, uint16[2**part_power, replicas] of device ids; the same arguments give the same
    table.

    Raises PlacementImpossible when fewer devices take data than there are replicas.
    """
    if not 1 <= part_power <= PART_POWER_MAX or not 1 <= replicas <= REPLICAS_MAX:
        raise RingError(f"part power must be 1 to {PART_POWER_MAX}, replicas 1 to {REPLICAS_MAX}")
    rules = PlacementRules(overload, scatter_width, seed)
    tree = build_tree(topology)
    quotas = whole_quotas(tree, ideal_quotas(tree, replicas, rules), part_power)
    chance = np.random.default_rng(seed)
    table = _systematic(tree, quotas[DEVICE], part_power, replicas, scatter_width, chance)
    if scatter_width is None:
        _exchange_subtrees(tree, table, chance)
    return _relabel(tree, table, chance)


def _systematic(
    tree: Tree,
    quotas: Ints,
    part_power: int,
    replicas: int,
    scatter_width: int | None,
    chance: np.random.Generator,
) -> npt.NDArray[np.uint16]:
    """Return device nodes, uint16[replica, partition], by systematic sampling in blocks."""
    devices = len(quotas)
    line = np.repeat(np.arange(devices, dtype=np.uint16), quotas)
    blocks = _block_count(part_power, replicas, devices, scatter_width)
    orders = blocks if scatter_width is None else min(blocks, _order_count(replicas, scatter_width))
    slots = np.ascontiguousarray(line.reshape(-1, blocks).T)
    rank = np.empty(devices, dtype=np.uint16)
    for order in range(orders):
        members = slice(order, None, orders)
        lengths = None if scatter_width is None else np.bincount(slots[order], minlength=devices)
        sequence = _shuffled_tree(tree, chance, lengths, quotas, 1 << part_power)
        rank[sequence] = np.arange(devices, dtype=np.uint16)
        slots[members] = sequence[np.sort(rank[slots[members]], axis=1, kind="stable")]
    per_block = (1 << part_power) // blocks
    return slots.reshape(blocks, replicas, per_block).transpose(1, 0, 2).reshape(replicas, -1)


def _order_count(replicas: int, scatter_width: int) -> int:
    return max(1, scatter_width // (_PARTNERS_PER_ORDER * max(1, replicas - 1)))


def _block_count(part_power: int, replicas: int, devices: int, scatter_width: int | None) -> int:
    """Return how many blocks to cut the line into: a power of two, so that blocks cut partitions evenly."""
    if scatter_width is not None:
        wanted = _order_count(replicas, scatter_width)
        power = (wanted - 1).bit_length()
    else:
        mean = (replicas << part_power) // devices
        power = min(_BLOCKS_MAX, max(1, mean // _SLOTS_PER_BLOCK)).bit_length() - 1
    return 1 << min(power, part_power)


def _shuffled_tree(
    tree: Tree, chance: np.random.Generator, lengths: Ints | None, quotas: Ints, partitions: int
) -> npt.NDArray[np.uint16]:
    """Return the device nodes in an order in which siblings are shuffled at every level, subtrees staying
    whole.

    With `lengths` (slots of each device in the block) devices are ordered by them below the highest nodes
    that hold no partition twice, where the order is free: devices of equal length in different regions then
    face each other, and partner with one device there instead of two.
    """
    keys: list[npt.NDArray[np.int64]] = []
    free = np.zeros(len(quotas), dtype=bool)
    for level in range(REGION, DEVICE + 1):
        members = tree.node_of[level][tree.device_ids]
        shuffled = chance.permutation(tree.size(level))[members]
        if lengths is not None and level == DEVICE:
            keys.append(np.where(free, -lengths, 0))
        keys.append(np.where(free & (level < DEVICE), 0, shuffled))
        if lengths is not None:
            free |= tree.sum_up(level, quotas.astype(np.float64))[members] <= partitions
    return np.lexsort(keys[::-1]).astype(np.uint16)


def _exchange_subtrees(tree: Tree, table: npt.NDArray[np.uint16], chance: np.random.Generator) -> None:
    """Shuffle, in place, what each subtree holds alone of a partition among the partitions of which it does
    so.

    Of a partition's replicas the highest subtree that holds just one is taken. Counts of that subtree and of
    all above it do not change, and below it there is but the one replica: quotas and dispersion stay as they
    are.
    """
    group = np.full(table.shape, -1, dtype=np.int64)
    offset = 0
    for level in range(REGION, DEVICE):
        nodes = tree.node_of[level][tree.device_ids].astype(np.uint16)[table]
        alone = np.ones(table.shape, dtype=bool)
        for replica in range(1, len(table)):
            same = nodes == np.roll(nodes, replica, axis=0)
            alone &= ~same
        free = alone & (group < 0)
        group[free] = nodes[free].astype(np.int64) + offset
        offset += tree.size(level)
        if (group >= 0).all():
            break
    where = np.flatnonzero(group >= 0)
    key = group.reshape(-1)[where] << 32
    flat = table.reshape(-1)
    ordered = where[np.argsort(key, kind="stable")]
    shuffled = where[np.argsort(key | chance.integers(0, 1 << 32, len(where)))]
    flat[ordered] = flat[shuffled]


def _relabel(tree: Tree, table: npt.NDArray[np.uint16], chance: np.random.Generator) -> Table:
    """Return device ids as uint16[partition, replica], partitions in random order, the first replica any of
    them.
    """
    replicas, partitions = table.shape
    rows = np.ascontiguousarray(tree.device_ids[table].T)[chance.permutation(partitions)]
    turn = chance.integers(0, replicas, partitions)
    columns = (np.arange(replicas).reshape(1, -1) + turn.reshape(-1, 1)) % replicas
    return np.ascontiguousarray(np.take_along_axis(rows, columns, axis=1))
