"""Finishes what random rounds left: augmenting paths over the children of one node. Pure.

A child that lacks an entry may be out of reach of the entry that needs a place. Then a chain does it: the
entry enters a child that passes another of its entries on, and so forth to the child that lacks one. Chains
are sought breadth first, at first through entries that move anyway or that a device can spare, so that they
cost nothing above the deficits.
"""

from collections import deque
from enum import Enum

import numpy as np

from ring.moving import LOOSE, Floor, rank_within
from ring.tree import DEVICE, Ints

_CANDIDATES_MAX = 1 << 15
_FAILURES_MAX = 3


Chain = list[tuple[Ints, int]]


class Thrift(Enum):
    """Which entries a chain may pass on: those that cost no further move, or any."""

    FREE = "free"
    ANY = "any"


def augment(floor: Floor, members: Ints, children: Ints) -> None:
    """Place every loose entry and fill every child that lacks some, as far as chains reach."""
    for thrift in Thrift:
        failures = 0
        while failures < _FAILURES_MAX:
            sinks = children[floor.need()[children] > 0]
            if not len(sinks):
                break
            chain = _find_chain(floor, members, children, thrift)
            if chain is None:
                break
            failures = 0 if _apply(floor, chain) else failures + 1
    loose = members[floor.child[members] == LOOSE]
    if len(loose):
        _force(floor, loose, children)


def _find_chain(floor: Floor, members: Ints, children: Ints, thrift: Thrift) -> Chain | None:
    """Return (entries that may go, child they enter) from the sink backwards, or None."""
    need = floor.need()
    loose = members[floor.child[members] == LOOSE]
    by_child = _by_child(floor, members)
    came: dict[int, tuple[Ints, int]] = {}
    queue: deque[int] = deque()
    if len(loose):
        starts = [(LOOSE, floor.stock.chance.permutation(loose)[:_CANDIDATES_MAX])]
    else:
        starts = [(int(c), _movable(floor, by_child[int(c)], thrift)) for c in children if need[c] < 0]
    seen = np.zeros(len(need), dtype=bool)
    for source, _ in starts:
        if source != LOOSE:
            seen[source] = True
    for source, entries in starts:
        reached = _expand(floor, entries, children, seen, need, came, source, queue)
        if reached is not None:
            return _trace(came, reached)
    while queue:
        child = queue.popleft()
        entries = _movable(floor, by_child.get(child, members[:0]), thrift)
        reached = _expand(floor, entries, children, seen, need, came, child, queue)
        if reached is not None:
            return _trace(came, reached)
    return None


def _by_child(floor: Floor, members: Ints) -> dict[int, Ints]:
    placed = members[floor.child[members] != LOOSE]
    where = floor.child[placed]
    order = np.argsort(where, kind="stable")
    names, starts = np.unique(where[order], return_index=True)
    return dict(zip(names.tolist(), np.split(placed[order], starts[1:]), strict=True))


def _movable(floor: Floor, entries: Ints, thrift: Thrift) -> Ints:
    """Return a sample of the entries of a child that may be passed on."""
    stock = floor.stock
    devices = stock.device[entries]
    if thrift is Thrift.FREE:
        entries = entries[(devices < 0) | (stock.budgets[DEVICE][devices] > 0)]
    entries = stock.chance.permutation(entries)[: 4 * _CANDIDATES_MAX]
    return entries[floor.spare(entries)][:_CANDIDATES_MAX]


def _expand(
    floor: Floor,
    entries: Ints,
    children: Ints,
    seen: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    need: Ints,
    came: dict[int, tuple[Ints, int]],
    source: int,
    queue: deque[int],
) -> int | None:
    """Mark the children that some entry of `source` can enter; return one that lacks entries, if reached."""
    if not len(entries):
        return None
    unseen = children[~seen[children]]
    # Those that lack entries first: the search ends there.
    for child in unseen[np.argsort(-need[unseen], kind="stable")].tolist():
        fits = np.flatnonzero(floor.fits(entries, np.full(len(entries), child)))
        if len(fits):
            seen[child] = True
            came[child] = (entries[fits], source)
            if need[child] > 0:
                return int(child)
            queue.append(int(child))
    return None


def _trace(came: dict[int, tuple[Ints, int]], sink: int) -> Chain:
    chain: Chain = []
    child = sink
    while child != LOOSE and child in came:
        entries, source = came[child]
        chain.append((entries, child))
        child = source
    return chain


def _apply(floor: Floor, chain: Chain) -> int:
    """Move as many entries along a chain as all its links can give; returns how many.

    Each is of another partition, so that what was found true of one stays true. The first link gives no more
    than its child has too many of, and none overdraws a device that the search found able to spare one.
    """
    need, replicas = floor.need(), floor.stock.replicas
    units = int(need[chain[0][1]])
    first_source = int(floor.child[chain[-1][0][0]])
    if first_source != LOOSE:
        units = min(units, int(-need[first_source]))
    links: list[Ints] = []
    taken = np.zeros(0, dtype=np.int64)
    for entries, _ in chain:
        fresh = entries[~np.isin(entries // replicas, taken)]
        fresh = fresh[floor.one_each(fresh)]
        fresh = _within_budget(floor, fresh)[:units]
        units = len(fresh)
        links.append(fresh)
        taken = np.concatenate((taken, fresh // replicas))
    for entries, (_, child) in zip(links, chain, strict=True):
        floor.move(entries[:units], np.full(units, child))
    return units


def _within_budget(floor: Floor, entries: Ints) -> Ints:
    """Leave out settled entries that together would overdraw a device which has a surplus to give."""
    devices = floor.stock.device[entries]
    budget = np.where(devices >= 0, floor.stock.budgets[DEVICE][devices], len(entries))
    return entries[rank_within(devices) < np.where(budget > 0, budget, len(entries))]


def _force(floor: Floor, loose: Ints, children: Ints) -> None:
    """Place entries that no chain could: where they crowd least, then where most is lacking; never twice on a
    device.
    """
    for entry in loose.tolist():
        one = np.full(len(children), entry)
        counts = floor.count(one, children)
        crowding = np.maximum(counts + 1 - floor.high[children], 0)
        if floor.level == DEVICE:
            crowding = crowding * 1000
        best = int(np.lexsort((-floor.need()[children], crowding))[0])
        floor.put_in(one[:1], children[best : best + 1])
