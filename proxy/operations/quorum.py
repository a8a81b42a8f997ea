"""When a write is durable and when a read has seen the newest: majorities of home devices. Pure.

A write must be on a majority of each *home set*: one set when the ring is settled, two (old homes
and new homes) while it changes. Stand-ins are not homes and never count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from model.entry import Entry, fingerprint, merge


class Verdict(Enum):
    """What the answers so far amount to."""

    WAITING = 1
    DURABLE = 2
    FAILED = 3


def majority(count: int) -> int:
    """Return how many of `count` replicas any two majorities must share one of: count // 2 + 1."""
    return count // 2 + 1


class WriteQuorum:
    """Counts the answers to one write."""

    __slots__ = ("_open", "_sets")

    def __init__(self, home_sets: Sequence[Sequence[int]]) -> None:
        """Expect answers from the devices of every home set."""
        self._sets = [(frozenset(homes), majority(len(homes)), set[int]()) for homes in home_sets]
        self._open: set[int] = set().union(*(homes for homes, _, _ in self._sets))

    def acked(self, device_id: int) -> Verdict:
        """Note that a device has the write durable; answers of stand-ins change nothing."""
        self._open.discard(device_id)
        for homes, _, acked in self._sets:
            if device_id in homes:
                acked.add(device_id)
        return self.verdict()

    def failed(self, device_id: int) -> Verdict:
        """Note that a device will not have the write."""
        self._open.discard(device_id)
        return self.verdict()

    def verdict(self) -> Verdict:
        """Return what the answers so far amount to."""
        verdict = Verdict.DURABLE
        for homes, needed, acked in self._sets:
            if len(acked) >= needed:
                continue
            if len(acked) + len(homes & self._open) < needed:
                return Verdict.FAILED
            verdict = Verdict.WAITING
        return verdict


class ReadQuorum:
    """Merges what the homes of one key hold, and tells who lags behind."""

    __slots__ = ("answers", "homes", "needed")

    def __init__(self, homes: Sequence[int]) -> None:
        """Expect answers from a majority of these homes."""
        self.homes = tuple(homes)
        self.needed = majority(len(homes))
        self.answers: dict[int, Entry | None] = {}

    def answered(self, device_id: int, entry: Entry | None) -> None:
        """Note what a home holds of the key."""
        if device_id in self.homes:
            self.answers[device_id] = entry

    @property
    def enough(self) -> bool:
        """Whether a majority has answered."""
        return len(self.answers) >= self.needed

    def newest(self) -> Entry | None:
        """Return the merge of all answers."""
        newest: Entry | None = None
        for entry in self.answers.values():
            if entry is not None:
                newest = merge(newest, entry)
        return newest

    def holders(self, newest: Entry) -> list[int]:
        """Return the homes that hold all of the newest entry's registers."""
        wanted = fingerprint(newest)
        return [
            device
            for device, entry in self.answers.items()
            if entry is newest or (entry is not None and fingerprint(entry) == wanted)
        ]

    def laggards(self, newest: Entry) -> list[int]:
        """Return the homes that answered and lack some register of the newest entry."""
        holding = set(self.holders(newest))
        return [device for device in self.answers if device not in holding]

    def unasked(self, asked: Iterable[int]) -> list[int]:
        """Return the homes not among those asked."""
        seen = set(asked)
        return [device for device in self.homes if device not in seen]
