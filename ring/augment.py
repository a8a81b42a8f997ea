"""Finishes what random rounds left: augmenting paths over the children of one node. Pure.

A child that lacks an entry may be out of reach of the entry that needs a place. Then a chain does it: the
entry enters a child that passes another of its entries on, and so forth to the child that lacks one. Chains
are sought breadth first, at first through entries that move anyway or that a device can spare, so that they
cost nothing above the deficits.
"""

from collections import deque
from enum import Enum

import numpy as np

from ring.moving import LOOSE, Floor
from ring.tree import DEVICE, Ints

_CANDIDATES_MAX = 2048
_FAILURES_MAX = 3


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
            loose = members[floor.child[members] == LOOSE]
            if not len(sinks):
                break
            chain = _find_chain(floor, members, children, thrift)
            failures = failures + 1 if chain is None or not _apply(floor, chain) else 0
            if chain is None:
                break
    loose = members[floor.child[members] == LOOSE]
    if len(loose):
        _force(floor, loose, children)


def _find_chain(floor: Floor, members: Ints, children: Ints, thrift: Thrift) -> list[tuple[int, int]] | None:
    """Return (entry, child it enters) from the sink backwards, or None when no chain exists."""
    need = floor.need()
    loose = members[floor.child[members] == LOOSE]
    by_child = _by_child(floor, members)
    came: dict[int, tuple[int, int]] = {}
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
    came: dict[int, tuple[int, int]],
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
            came[child] = (int(entries[fits[0]]), source)
            if need[child] > 0:
                return int(child)
            queue.append(int(child))
    return None


def _trace(came: dict[int, tuple[int, int]], sink: int) -> list[tuple[int, int]]:
    chain = []
    child = sink
    while child != LOOSE and child in came:
        entry, source = came[child]
        chain.append((entry, child))
        child = source
    return chain


def _apply(floor: Floor, chain: list[tuple[int, int]]) -> bool:
    """Perform a chain from its end; stops, still in a sound state, where an earlier step made a later one
    unfit.
    """
    for entry, child in chain:
        one, target = np.array([entry]), np.array([child])
        if not floor.fits(one, target)[0] or (floor.child[entry] != LOOSE and not floor.spare(one)[0]):
            return False
        floor.move(one, target)
    return True


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
