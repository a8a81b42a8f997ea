"""Which partitions are out of step, by the digests of their homes, and which of them is most urgent. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from model.entry import Table
from replicator.places import all_homes
from ring.epoch import Epoch

Digests = Mapping[int, int]
"""Partition to digest, of one table on one device."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The digests of all devices that answered for every table, at one ring epoch."""

    epoch: int
    digests: Mapping[int, Mapping[Table, Digests]]
    filling: frozenset[int] = frozenset()
    entry_count: int = 0
    """Entries on the fullest device."""

    @property
    def reached(self) -> frozenset[int]:
        """The devices that answered."""
        return frozenset(self.digests)

    def digest(self, device: int, table: Table, partition: int) -> int:
        """Return a device's digest of a partition; 0 where it holds nothing of it."""
        return self.digests[device][table].get(partition, 0)

    def in_step(self, devices: Iterable[int], table: Table, partition: int) -> bool:
        """Say whether devices that answered hold the same of a partition."""
        return len({self.digest(device, table, partition) for device in devices}) <= 1


@dataclass(frozen=True, slots=True)
class Discord:
    """A partition whose reached homes differ in some tables.

    `agreeing` is how many homes hold the most common content: the fewer, the more urgent.
    """

    partition: int
    tables: tuple[Table, ...]
    homes: tuple[int, ...]
    reached: tuple[int, ...]
    agreeing: int


@dataclass(slots=True)
class Deferrals:
    """How often each partition was put off because clients were writing to it all the time."""

    counts: Counter[tuple[int, Table]] = field(default_factory=Counter)


def discords(epoch: Epoch, survey: Survey, wanted: Callable[[int], bool]) -> list[Discord]:
    """Return the wanted partitions whose reached homes differ, the most urgent first."""
    found = []
    for partition in range(epoch.ring.partition_count):
        homes = all_homes(epoch, partition)
        reached = tuple(device for device in homes if device in survey.digests)
        if len(reached) < 2:
            continue
        tables = tuple(table for table in Table if not survey.in_step(reached, table, partition))
        if tables and wanted(partition):
            agreeing = min(_agreeing(survey, reached, table, partition) for table in tables)
            found.append(Discord(partition, tables, homes, reached, agreeing))
    found.sort(key=lambda one: (one.agreeing, one.partition))
    return found


def _agreeing(survey: Survey, reached: Iterable[int], table: Table, partition: int) -> int:
    counts = Counter(survey.digest(device, table, partition) for device in reached)
    # A device that holds nothing is no live copy, however many agree on it.
    counts.pop(0, None)
    return max(counts.values(), default=0)


def steady(
    before: Survey, after: Survey, found: Iterable[Discord], deferrals: Deferrals, *, deferrals_max: int
) -> list[Discord]:
    """Return the discords of `after` that writes in flight do not explain.

    Where every home changed between the two surveys, clients are writing: it is put off, but no more
    than `deferrals_max` times in a row. Where they had been in step before, they will be soon.
    """
    kept = []
    for one in found:
        tables = tuple(
            table for table in one.tables if _is_steady(before, after, one, table, deferrals, deferrals_max)
        )
        if tables:
            kept.append(Discord(one.partition, tables, one.homes, one.reached, one.agreeing))
    return kept


def _is_steady(
    before: Survey, after: Survey, one: Discord, table: Table, deferrals: Deferrals, deferrals_max: int
) -> bool:
    place = (one.partition, table)
    if any(device not in before.digests for device in one.reached):
        return True
    was_in_step = before.in_step(one.reached, table, one.partition)
    moving = all(
        before.digest(device, table, one.partition) != after.digest(device, table, one.partition)
        for device in one.reached
    )
    if not was_in_step and not moving:
        deferrals.counts.pop(place, None)
        return True
    deferrals.counts[place] += 1
    if deferrals.counts[place] > deferrals_max:
        del deferrals.counts[place]
        return True
    return False


def strays(epoch: Epoch, survey: Survey, devices: Collection[int]) -> list[tuple[int, int]]:
    """Return (device, partition) for what devices hold of partitions that they are no homes of."""
    found: set[tuple[int, int]] = set()
    for device in devices:
        for of_table in survey.digests.get(device, {}).values():
            found.update((device, part) for part in of_table if device not in all_homes(epoch, part))
    return sorted(found)
