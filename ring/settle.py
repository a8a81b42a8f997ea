"""Brings the children of one node to their quotas: first what dispersion demands, then surplus to deficit.
Pure.
"""

import numpy as np
import numpy.typing as npt

from ring.augment import augment
from ring.moving import LOOSE, Floor, rank_within
from ring.tree import DEVICE, Ints

_ROUNDS_WITHOUT_GAIN = 3
_SAMPLE_FACTOR = 8
_SAMPLE_MIN = 4096


def settle(floor: Floor, members: Ints, children: Ints) -> None:
    """Move entries of one node (`members`) among its `children` until each holds its quota.

    The quotas of the children must sum to the number of members. What dispersion forbids is moved out even at
    the cost of moves above the deficits; where nothing else helps quotas give way, the distinctness of
    devices never does.
    """
    if floor.level == DEVICE:
        _return_home(floor, members, children)
    _relieve_crowded(floor, members)
    _supply_short(floor, members, children)
    _place_loose(floor, members, children)
    _drain_surplus(floor, members, children)
    augment(floor, members, children)


def _return_home(floor: Floor, members: Ints, children: Ints) -> None:
    """Let devices that released too much, on account of levels above, keep what they had."""
    loose = members[(floor.child[members] == LOOSE) & (floor.stock.origin[members] >= 0)]
    homes = floor.stock.origin[loose]
    here = (homes >= children[0]) & (homes <= children[-1])
    loose, homes = loose[here], homes[here]
    lacking = floor.need()[homes] > 0
    _put_where_it_fits(floor, loose[lacking], homes[lacking])


def _relieve_crowded(floor: Floor, members: Ints) -> None:
    """Take out one entry at a time of each partition that a child holds more of than it may."""
    while True:
        placed = members[floor.child[members] != LOOSE]
        children = floor.child[placed]
        crowded = placed[floor.count(placed, children) > floor.high[children]]
        if not len(crowded):
            return
        _take_one_of_each(floor, crowded)


def _take_one_of_each(floor: Floor, entries: Ints) -> None:
    """Take out one entry for each (partition, child) among `entries`, within budgets as far as that goes."""
    settled = entries[floor.stock.device[entries] >= 0]
    settled = floor.stock.chance.permutation(settled)
    cheap = settled[_first_of_pair(floor, settled, _wealth(floor, settled))]
    cheap = floor.stock.affordable(cheap, floor.level)
    if not len(cheap):
        # No device can spare one: dispersion goes before the count of moves.
        cheap = entries[_first_of_pair(floor, entries, np.zeros(len(entries)))]
    floor.take_out(cheap)


def _wealth(floor: Floor, settled: Ints) -> npt.NDArray[np.float64]:
    """Return how willingly entries are given: those under more nodes with surplus first."""
    stock = floor.stock
    ids = stock.tree.device_ids[stock.device[settled]]
    # What crowds a node further down has to go anyway; what a node further down must keep had better stay.
    wealth: npt.NDArray[np.float64] = stock.pressure[settled] * np.float64(8.0)
    for level in range(floor.level, DEVICE + 1):
        wealth += (stock.budgets[level][stock.tree.node_of[level][ids]] > 0) * (
            4.0 if level == DEVICE else 1.0
        )
    return wealth


def _first_of_pair(floor: Floor, entries: Ints, wealth: npt.NDArray[np.float64]) -> Ints:
    """Return the index of the wealthiest entry of each (partition, child)."""
    order = np.argsort(-wealth, kind="stable")
    pair = entries[order] // floor.stock.replicas * (1 << 17) + floor.child[entries[order]]
    chosen: Ints = order[np.unique(pair, return_index=True)[1]]
    return chosen


def _supply_short(floor: Floor, members: Ints, children: Ints) -> None:
    """Give each child at least `low` replicas of every partition, of loose entries if there are any."""
    replicas = floor.stock.replicas
    needy = children[floor.low[children] > 0].tolist()
    if not needy:
        return
    rows = members // replicas
    # Members come in order, so that equal partitions are neighbours.
    rows = rows[np.diff(rows, prepend=-1) > 0]
    for child in needy:
        while True:
            have = (floor.child.reshape(-1, replicas)[rows] == child).sum(axis=1)
            short = rows[have < floor.low[child]]
            candidates = members[np.isin(members // replicas, short) & (floor.child[members] != child)]
            loose = floor.child[candidates] == LOOSE
            able = loose.copy()
            able[~loose] = floor.spare(candidates[~loose])
            candidates, loose = candidates[able], loose[able]
            if not len(candidates):
                break
            rank = np.full(len(candidates), 100.0)
            settled = floor.stock.device[candidates] >= 0
            rank[settled] = _wealth(floor, candidates[settled])
            rank[~loose] += np.sign(-floor.need()[floor.child[candidates[~loose]]])
            order = np.argsort(-rank, kind="stable")
            candidates = candidates[order]
            candidates = candidates[floor.one_each(candidates)]
            floor.move(candidates, np.full(len(candidates), child))


def _place_loose(floor: Floor, members: Ints, children: Ints) -> None:
    """Place loose entries on children that lack some, at random in proportion to what they lack."""
    idle = 0
    while idle < _ROUNDS_WITHOUT_GAIN:
        loose = members[floor.child[members] == LOOSE]
        targets = _targets(floor, children)
        if not len(loose) or not len(targets):
            return
        loose = floor.stock.chance.permutation(loose)
        targets = np.resize(targets, len(loose))
        placed = _put_where_it_fits(floor, loose, targets)
        idle = 0 if placed * 50 > len(loose) else idle + 1


def _drain_surplus(floor: Floor, members: Ints, children: Ints) -> None:
    """Move settled entries of devices with a surplus from children that have too many to those that lack
    some.
    """
    stock = floor.stock
    idle, strict = 0, True
    donors = _donors(floor, members)
    while idle < _ROUNDS_WITHOUT_GAIN:
        need = floor.need()
        wanted = int(np.maximum(need[children], 0).sum())
        if not wanted or not len(donors):
            return
        some = min(len(donors), max(_SAMPLE_MIN, _SAMPLE_FACTOR * wanted))
        entries = (
            donors[stock.chance.choice(len(donors), some, replace=False)] if some < len(donors) else donors
        )
        if some == len(donors):
            entries = stock.chance.permutation(entries)
        entries = entries[np.argsort(-stock.pressure[entries], kind="stable")]
        entries = entries[floor.one_each(entries) & (need[floor.child[entries]] < 0)]
        entries = entries[floor.spare(entries)]
        targets = stock.chance.permutation(np.resize(_targets(floor, children), len(entries)))
        good = floor.fits(entries, targets)
        moved = _afford_and_move(floor, entries[good], targets[good], strict)
        idle = 0 if moved * 50 > wanted else idle + 1
        if idle == _ROUNDS_WITHOUT_GAIN and strict:
            idle, strict = 0, False
        donors = _donors(floor, donors)


def _donors(floor: Floor, members: Ints) -> Ints:
    """Return settled entries of devices with a surplus, in children that have too many."""
    stock = floor.stock
    settled = members[(stock.device[members] >= 0) & (floor.child[members] != LOOSE)]
    settled = settled[floor.need()[floor.child[settled]] < 0]
    rich: Ints = settled[stock.budgets[DEVICE][stock.device[settled]] > 0]
    return rich


def _afford_and_move(floor: Floor, entries: Ints, targets: Ints, strict: bool) -> int:
    need = floor.need()
    room = rank_within(targets) < need[targets]
    entries, targets = entries[room], targets[room]
    position = np.argsort(entries)
    paid = floor.stock.affordable(entries, floor.level if strict else DEVICE)
    paid = paid[rank_within(floor.child[paid]) < -need[floor.child[paid]]]
    chosen = position[np.searchsorted(entries, paid, sorter=position)]
    floor.move(entries[chosen], targets[chosen])
    return len(chosen)


def _targets(floor: Floor, children: Ints) -> Ints:
    """Return the children that lack entries, each as often as it lacks some, shuffled."""
    need = np.maximum(floor.need()[children], 0)
    targets: Ints = floor.stock.chance.permutation(np.repeat(children, need))
    return targets


def _put_where_it_fits(floor: Floor, loose: Ints, targets: npt.NDArray[np.integer]) -> int:
    """Place those loose entries that fit their target while it lacks some; returns how many."""
    first = floor.one_each(loose)
    loose, targets = loose[first], targets[first]
    good = floor.fits(loose, targets)
    loose, targets = loose[good], targets[good]
    good = rank_within(targets) < floor.need()[targets]
    floor.put_in(loose[good], targets[good])
    return int(good.sum())
