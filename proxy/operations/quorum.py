"""When a write is durable and when a read has seen the newest: majorities of home devices. Pure.

A write must be on a majority of each *home set*: one set when the ring is settled, two (old homes
and new homes) while it changes. Stand-ins are not homes and never count.

A device that has something newer than the write hides it. That is harmless where the two were under
way at the same time, and loses an acknowledged write where the newer stamp is that of an older write
(by a clock that was ahead). Hence the count of devices that held the write as their newest: a
majority of them proves that nothing acknowledged before was newer.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from enum import Enum

from model.entry import Entry, fingerprint, merge


class Verdict(Enum):
    """What the answers so far amount to."""

    WAITING = 1
    DURABLE = 2
    """A majority of every home set has held the write as the newest: no older acknowledged one is newer."""
    HIDDEN = 3
    """A majority of every home set has the write or something newer, and the write alone never will."""
    FAILED = 4


def majority(count: int) -> int:
    """Return how many of `count` replicas any two majorities must share one of: count // 2 + 1."""
    return count // 2 + 1


class _HomeSet:
    """Counts of one home set's answers."""

    __slots__ = ("hidden", "homes", "needed", "open", "taken")

    def __init__(self, homes: Sequence[int], needed: int) -> None:
        self.homes = homes
        self.needed = needed
        self.open = len(homes)
        self.taken = 0
        self.hidden = 0


class WriteQuorum:
    """Counts the answers to one write, at most one of each device."""

    __slots__ = ("_never", "_sets")

    def __init__(self, home_sets: Sequence[Sequence[int]], *, all_of_them: bool = False) -> None:
        """Expect answers from the devices of every home set: a majority, or `all_of_them`."""
        self._sets = [
            _HomeSet(homes, len(homes) if all_of_them else len(homes) // 2 + 1) for homes in home_sets
        ]
        self._never: set[int] = set()

    def acked(self, device_id: int) -> None:
        """Note that a device has, or once had, the write as the newest; stand-ins change nothing."""
        for one in self._sets:
            if device_id in one.homes:
                one.open -= 1
                one.taken += 1

    def hidden(self, device_id: int, *, never_held: bool = True) -> None:
        """Note that a device has something newer, and if it is sure, that it never held the write."""
        for one in self._sets:
            if device_id in one.homes:
                one.open -= 1
                one.hidden += 1
        if never_held:
            self._never.add(device_id)

    def failed(self, device_id: int) -> None:
        """Note that a device will not have the write."""
        for one in self._sets:
            if device_id in one.homes:
                one.open -= 1

    def verdict(self) -> Verdict:
        """Return what the answers so far amount to."""
        taken = possible = told = True
        waiting = False
        for one in self._sets:
            if one.taken >= one.needed:
                continue
            taken = False
            if one.taken + one.open < one.needed:
                possible = False
            if one.taken + one.hidden < one.needed:
                told = False
                if one.taken + one.hidden + one.open < one.needed:
                    return Verdict.FAILED
                waiting = True
        if taken:
            return Verdict.DURABLE
        if possible or waiting or not told:
            return Verdict.WAITING
        return Verdict.HIDDEN

    def unseen(self, read_sets: Sequence[Sequence[int]]) -> bool:
        """Say whether no reader of these sets can return the write: too many devices never held it."""
        return all(
            sum(1 for home in homes if home not in self._never) < majority(len(homes)) for homes in read_sets
        )


class ReadQuorum:
    """Merges what the homes of one key hold, and tells who lags behind."""

    __slots__ = ("answers", "home_sets", "homes")

    def __init__(self, home_sets: Sequence[Sequence[int]]) -> None:
        """Expect answers from a majority of each of these sets of homes."""
        self.home_sets = home_sets
        self.homes: tuple[int, ...] = (
            tuple(home_sets[0])
            if len(home_sets) == 1
            else tuple({home: None for one in home_sets for home in one})
        )
        self.answers: dict[int, Entry | None] = {}

    def answered(self, device_id: int, entry: Entry | None) -> None:
        """Note what a home holds of the key."""
        if device_id in self.homes:
            self.answers[device_id] = entry

    def lacking(self, devices: Container[int]) -> int:
        """Return how many more devices make these a majority of every set, by the set that lacks most."""
        most = -len(self.homes)
        for homes in self.home_sets:
            lacking = len(homes) // 2 + 1
            for home in homes:
                if home in devices:
                    lacking -= 1
            most = max(most, lacking)
        return most

    @property
    def enough(self) -> bool:
        """Whether a majority of every set has answered."""
        return self.lacking(self.answers) <= 0

    def newest(self) -> Entry | None:
        """Return the merge of all answers."""
        newest: Entry | None = None
        for entry in self.answers.values():
            if entry is not None and entry is not newest:
                newest = merge(newest, entry)
        return newest

    def holders(self, newest: Entry) -> list[int]:
        """Return the homes that hold all of the newest entry's registers."""
        wanted: int | None = None
        holders = []
        for device, entry in self.answers.items():
            if entry is None:
                continue
            if entry is not newest:
                wanted = fingerprint(newest) if wanted is None else wanted
                if fingerprint(entry) != wanted:
                    continue
            holders.append(device)
        return holders

    def laggards(self, newest: Entry) -> list[int]:
        """Return the homes that answered and lack some register of the newest entry."""
        holding = set(self.holders(newest))
        return [device for device in self.answers if device not in holding]

    def unasked(self, asked: Iterable[int]) -> list[int]:
        """Return the homes not among those asked."""
        seen = set(asked)
        return [device for device in self.homes if device not in seen]
