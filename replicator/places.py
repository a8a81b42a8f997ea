"""Where partitions lie: their key ranges, all of their homes, and which node leads their comparison. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Final

from model.entry import KEY_HEAD_BYTES, Table
from ring.epoch import Epoch

PARTITION_BYTES: Final = 4
"""Leading bytes of a placement digest that hold its partition, whatever the partition power."""


def majority(count: int) -> int:
    """Return how many of `count` replicas any two majorities must share one of."""
    return count // 2 + 1


def first_digest(partition: int, part_power: int) -> bytes:
    """Return the first placement digest of a partition."""
    head = (partition << (8 * PARTITION_BYTES - part_power)).to_bytes(PARTITION_BYTES, "big")
    return head + bytes(KEY_HEAD_BYTES - 1 - PARTITION_BYTES)


def key_range(table: Table, partition: int, part_power: int) -> tuple[bytes, bytes]:
    """Return the first key of a table's partition, and the first key after it."""
    start = bytes((table,)) + first_digest(partition, part_power)
    if partition + 1 == 1 << part_power:
        return start, bytes((table + 1,))
    return start, bytes((table,)) + first_digest(partition + 1, part_power)


def home_sets(epoch: Epoch, partition: int) -> tuple[tuple[int, ...], ...]:
    """Return the sets of devices of which a write needs a majority each: one, or old and new."""
    return epoch.home_sets(first_digest(partition, epoch.part_power))


@lru_cache(maxsize=1 << 16)
def all_homes(epoch: Epoch, partition: int) -> tuple[int, ...]:
    """Return the homes of a partition, those it moves away from first; each round asks for all."""
    return tuple(dict.fromkeys(device for homes in home_sets(epoch, partition) for device in homes))


def has_majority(sets: Iterable[Sequence[int]], devices: Collection[int]) -> bool:
    """Say whether devices are a majority of each set."""
    return all(sum(device in devices for device in homes) >= majority(len(homes)) for homes in sets)


def leading_device(
    homes: Sequence[int], partition: int, *, live: Collection[int], filling: Collection[int] = ()
) -> int | None:
    """Return the live home whose node compares a partition, so that no two do the same work.

    It is a home that fills, since what it lacks is read by nobody; else the lowest id, counted from
    a place that the partition chooses: so the work spreads over the nodes.
    """
    ordered = sorted(homes)
    start = partition % len(ordered)
    turn = [device for device in ordered[start:] + ordered[:start] if device in live]
    for device in turn:
        if device in filling:
            return device
    return turn[0] if turn else None


def partitions_led(
    epoch: Epoch, node: str, *, live: Collection[int], filling: Collection[int] = ()
) -> Callable[[int], bool]:
    """Return a test whether a node leads a partition, given which devices live and which fill."""

    def leads(partition: int) -> bool:
        device = leading_device(all_homes(epoch, partition), partition, live=live, filling=filling)
        return device is not None and epoch.node_of(device) == node

    return leads
