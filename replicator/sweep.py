"""Compares many partitions at once, window by window over the whole key space, for when much differs.

Partition by partition costs a few calls each, which is right for a few; a node that comes back after
an hour differs in all of them, by a little in each. A sweep reads what every device holds between two keys,
some thousand entries at a time, and mends all partitions of that window together: so calls and flushes are
shared. Entries are small next to payloads, and only payloads that are lacked are read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.entry import Table
from model.errors import Unavailable
from objectd.contract import RawEntry
from replicator.compare import Comparer, Pass
from replicator.peers import Peers
from replicator.places import key_range
from replicator.plan import Plan, Rules, plan_keys
from ring.hashing import partition_of

WINDOW_ENTRIES: Final = 2_000
"""About how many entries each device holds in one window."""
WINDOWS_AT_ONCE: Final = 2
SHARE_MIN: Final = 16
"""A sweep is worth while from one partition in so many on."""
DENSE_ENTRIES: Final = 64
"""And where partitions hold no more than so many entries on average: else descent reads far less."""

_log = logging.getLogger(__name__)

Rows = dict[int, dict[bytes, RawEntry]]
Visit = Callable[[Mapping[int, Mapping[bytes, RawEntry]]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Target:
    """A partition to be mended: the homes to compare, and the rules."""

    reached: tuple[int, ...]
    rules: Rules


def is_worth_while(wanted_count: int, partition_count: int, entry_count: int) -> bool:
    """Say whether to sweep rather than descend; `entry_count` is that of the fullest device."""
    few = entry_count <= DENSE_ENTRIES * partition_count
    return few and wanted_count * SHARE_MIN >= partition_count


class Sweep:
    """Sweeps tables."""

    def __init__(self, peers: Peers, comparer: Comparer) -> None:
        self._peers = peers
        self._comparer = comparer

    async def run(self, table: Table, targets: Mapping[int, Target], entry_count: int) -> set[int]:
        """Mend partitions of a table; return those that are in step now."""
        devices = sorted({device for target in targets.values() for device in target.reached})

        async def mend(first: int, last: int) -> set[int]:
            wanted = [part for part in range(first, last) if part in targets]
            rows = await self.rows(table, first, last, devices)
            found = Pass()
            if rows is None or not await self._mend(rows, {part: targets[part] for part in wanted}, found):
                return set()
            return set(wanted)

        whole = await self._windows(mend, targets, entry_count)
        return set().union(*whole)

    async def _windows(
        self,
        visit: Callable[[int, int], Awaitable[set[int]]],
        wanted: Collection[int],
        entry_count: int,
    ) -> list[set[int]]:
        count = self._peers.epoch.ring.partition_count
        step = max(1, WINDOW_ENTRIES * count // max(1, entry_count))
        slots = asyncio.Semaphore(WINDOWS_AT_ONCE)

        async def one(first: int) -> set[int]:
            async with slots:
                return await visit(first, min(first + step, count))

        starts = sorted({part - part % step for part in wanted})
        return list(await asyncio.gather(*(one(first) for first in starts)))

    async def rows(self, table: Table, first: int, last: int, devices: Sequence[int]) -> Rows | None:
        """Return what devices hold of partitions first <= p < last, or None where one does not answer."""
        power = self._peers.epoch.part_power
        lo, hi = key_range(table, first, power)[0], key_range(table, last - 1, power)[1]
        try:
            answers = await asyncio.gather(*(self._all(device, lo, hi) for device in devices))
        except Unavailable as error:
            _log.info("window not compared", extra={"reason": str(error)})
            return None
        return dict(zip(devices, answers, strict=True))

    async def _all(self, device: int, lo: bytes, hi: bytes) -> dict[bytes, RawEntry]:
        return {raw.key: raw async for page in self._comparer.pages(device, lo, hi) for raw in page}

    async def _mend(self, rows: Rows, targets: Mapping[int, Target], found: Pass) -> bool:
        """Plan all partitions of a window, and carry the plans out as one."""
        plan = Plan()
        parts = self.by_partition(rows)
        for partition, target in targets.items():
            held = parts.get(partition, {})
            of_partition = plan_keys({one: held.get(one, {}) for one in target.reached}, target.rules)
            plan.transfers += of_partition.transfers
            plan.consents += of_partition.consents
            plan.drops += of_partition.drops
        await self._comparer.carry_out(plan, found)
        return found.complete

    def by_partition(self, rows: Rows) -> dict[int, Rows]:
        """Return the rows of a window by partition."""
        power = self._peers.epoch.part_power
        parts: dict[int, Rows] = {}
        for device, held in rows.items():
            for key, raw in held.items():
                parts.setdefault(partition_of(key[1:17], power), {}).setdefault(device, {})[key] = raw
        return parts

    async def strays(self, table: Table, wanted: Collection[int], entry_count: int, visit: Visit) -> set[int]:
        """Have `visit` look at all rows of each wanted partition; return those for which it said yes."""
        devices = sorted(self._peers.around.live)

        async def look(first: int, last: int) -> set[int]:
            rows = await self.rows(table, first, last, devices)
            if rows is None:
                return set()
            parts = self.by_partition(rows)
            here = [part for part in range(first, last) if part in wanted]
            done = await asyncio.gather(*(visit(parts.get(part, {})) for part in here))
            return {part for part, one in zip(here, done, strict=True) if one}

        return set().union(*await self._windows(look, wanted, entry_count))
