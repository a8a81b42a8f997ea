"""What a proposer of a conditional write concludes from what homes answer. Pure.

One *round* is a ballot: the homes promise it (`Ballot`), what they hold is settled (`model.promises.decide`),
the condition is judged on that, and the write goes out under the ballot. `after_accept` and `own_part`
say what a round that was refused leaves behind, so that a write is never tried again which may have
taken effect: its writer would count it twice, or be told of a condition that it broke itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from model.entry import Entry
from model.promises import Promised, stamps_of
from model.stamp import ZERO, Stamp
from proxy.operations.quorum import Verdict, majority


class Standing(Enum):
    """How a ballot stands."""

    WAITING = 1
    GRANTED = 2
    """A majority of every home set has promised it."""
    REFUSED = 3
    """Some home has promised, or holds, something newer; no majority may come of it any more."""
    FAILED = 4
    """Too few homes answer."""


class Ballot:
    """Counts the answers to a ballot, at most one of each home."""

    __slots__ = ("homes", "newest", "open", "replies", "sets")

    def __init__(self, home_sets: Sequence[Sequence[int]]) -> None:
        """Expect promises from a majority of each of these sets."""
        self.sets = home_sets
        self.homes = tuple(dict.fromkeys(home for homes in home_sets for home in homes))
        self.open = set(self.homes)
        self.replies: dict[int, Promised] = {}
        self.newest = ZERO

    def granted(self, device: int, reply: Promised) -> None:
        """Note that a home has promised."""
        self.open.discard(device)
        self.replies[device] = reply

    def refused(self, device: int, newest: Stamp) -> None:
        """Note that a home knows of something newer."""
        self.open.discard(device)
        self.newest = max(self.newest, newest)

    def failed(self, device: int) -> None:
        """Note that a home does not answer."""
        self.open.discard(device)

    def standing(self) -> Standing:
        """Return what the answers so far amount to."""
        if all(self._count(homes, self.replies) >= majority(len(homes)) for homes in self.sets):
            return Standing.GRANTED
        possible = all(
            self._count(homes, self.replies) + self._count(homes, self.open) >= majority(len(homes))
            for homes in self.sets
        )
        if possible:
            return Standing.WAITING
        return Standing.REFUSED if self.newest > ZERO else Standing.FAILED

    @staticmethod
    def _count(homes: Sequence[int], devices: Collection[int]) -> int:
        return sum(1 for home in homes if home in devices)


class After(Enum):
    """What became of a write that went out under a ballot."""

    DONE = 1
    """A majority holds it: it has taken effect."""
    AGAIN = 2
    """No device has it, or none that is asked can ever tell of it: it may be tried again."""
    DOUBT = 3
    """Some device has it, or may have it: whoever looks may yet find it and bring it to a majority."""


def after_accept(verdict: Verdict, *, unseen: bool, anywhere: bool) -> After:
    """Return what became of a write, by its verdict.

    `unseen` says that it is hidden and no reader can have seen it, `anywhere` that a device took it or
    did not answer. That something newer hides it is not enough to be done: a home that promised another
    ballot before it took what is newer has answered for the other, not for this one.
    """
    if verdict is Verdict.DURABLE:
        return After.DONE
    if (verdict is Verdict.HIDDEN and unseen) or not anywhere:
        return After.AGAIN
    return After.DOUBT


class Own(Enum):
    """What a settled state says of earlier tries of the same write."""

    NONE = 1
    """None has taken effect. None will, unless as the direct successor of this state."""
    DONE = 2
    """One of them is the state."""
    UNKNOWN = 3
    """Something newer is the state: whether one took effect before cannot be told."""


def own_part(state: Sequence[Entry], doubtful: Collection[Stamp]) -> Own:
    """Return what a settled state says of tries that may have taken effect (`doubtful` stamps)."""
    if not doubtful:
        return Own.NONE
    newest = ZERO
    for entry in state:
        known = stamps_of(entry).union(stamp for stamp, _ in entry.sides.values())
        if not known.isdisjoint(doubtful):
            return Own.DONE
        newest = max(newest, entry.newest)
    return Own.UNKNOWN if newest > min(doubtful) else Own.NONE
