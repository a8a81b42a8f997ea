"""Hands back what a device holds of partitions that it is no home of: to all homes, then it is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from model.entry import Entry, Table, fingerprint, from_row, merge
from model.errors import Unavailable
from model.stamp import Stamp
from objectd.contract import RawEntry
from replicator.compare import Comparer
from replicator.containers import Settlement
from replicator.keys import Keys, Looked
from replicator.peers import Peers
from replicator.places import all_homes, key_range
from replicator.plan import Drop, Plan, Rules, Transfer, plan_key, transfers
from replicator.survey import Survey

TABLES: Final = (Table.INDEX, Table.OBJECT, Table.CONTAINER, Table.ACCOUNT)
"""In the order in which they are brought in step: rows before the container that they must allow to go."""
_DIGEST_MODULUS: Final = 1 << 128

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stray:
    """One entry of the device, and what the homes of its key hold."""

    raw: RawEntry
    looked: Looked

    @property
    def everybody_answered(self) -> bool:
        return all(device in self.looked.held for device in self.looked.devices)


class HandBack:
    """Empties devices of what is not theirs."""

    def __init__(self, peers: Peers, comparer: Comparer, keys: Keys, settlement: Settlement) -> None:
        self._peers = peers
        self._comparer = comparer
        self._keys = keys
        self._settlement = settlement
        self.forgotten_count = 0

    async def run(self, device: int, partition: int, survey: Survey, reclaimed: Stamp) -> bool:
        """Hand back one partition of a device; say whether nothing of it is left there.

        Entries stay where a home is away, or where their write is pending: the reconciler comes first.
        """
        peers = self._peers
        number = peers.epoch.number
        done = True
        try:
            local = peers.of_device(device)
            pending = {one.key for one in await local.pending(device, 0, epoch=number)}
            for table in TABLES:
                lo, hi = key_range(table, partition, peers.epoch.part_power)
                if await self._forget_known(device, table, partition, survey, pending):
                    continue
                async for page in self._comparer.pages(device, lo, hi):
                    free = [raw for raw in page if raw.key not in pending]
                    done &= len(free) == len(page) and await self._page(device, free, reclaimed)
        except Unavailable as error:
            _log.info("not handed back", extra={"device": device, "reason": str(error)})
            return False
        return done

    async def _forget_known(
        self, device: int, table: Table, partition: int, survey: Survey, pending: Collection[bytes]
    ) -> bool:
        """Forget a partition at once where all homes were seen to hold exactly the same of it."""
        homes = all_homes(self._peers.epoch, partition)
        if any(home not in survey.digests or home in survey.filling for home in homes):
            return False
        digest = survey.digest(device, table, partition)
        if not survey.in_step((device, *homes), table, partition):
            return False
        lo, hi = key_range(table, partition, self._peers.epoch.part_power)
        drops: list[Drop] = []
        total = 0
        async for page in self._comparer.pages(device, lo, hi):
            for raw in page:
                entry = from_row(raw.key, raw.row)
                total += fingerprint(entry)
                drops.append(Drop(device, raw.key, entry.newest))
        if total % _DIGEST_MODULUS != digest or any(drop.key in pending for drop in drops):
            return False
        self.forgotten_count += await self._comparer.mover.forget(drops)
        return True

    async def _page(self, device: int, page: Sequence[RawEntry], reclaimed: Stamp) -> bool:
        looked = await asyncio.gather(*(self._keys.look_up(raw.key) for raw in page))
        strays = [_Stray(raw, one) for raw, one in zip(page, looked, strict=True)]
        planned: list[Transfer] = []
        drops: list[Drop] = []
        waiting: list[tuple[Drop, set[int]]] = []
        done = True
        for stray in strays:
            key = stray.raw.key
            plan = Plan()
            rules = Rules(stray.looked.homes, frozenset((device,)), reclaimed)
            held = {**stray.looked.held, device: stray.raw}
            entry = from_row(key, stray.raw.row)
            if stray.everybody_answered:
                plan_key(plan, key, held, rules)
                drops += plan.drops
                if plan.drops:
                    continue
            for tombstone in plan.consents:
                done &= await self._settlement.settle(tombstone)
            if plan.consents:
                continue
            lacking = [one for one in _missing(key, held, entry) if set(one.targets) - {device}]
            planned += [_without(one, device) for one in lacking]
            if stray.everybody_answered:
                targets = {home for one in lacking for home in one.targets} - {device}
                waiting.append((Drop(device, key, entry.newest), targets))
            else:
                done = False
        delivery = await self._comparer.mover.run(planned)
        for drop, targets in waiting:
            if targets <= delivery.held.get(drop.key, set()):
                drops.append(drop)
            else:
                done = False
        self.forgotten_count += await self._comparer.mover.forget(drops)
        return done


def _missing(key: bytes, held: dict[int, RawEntry | None], ours: Entry) -> list[Transfer]:
    """Return what devices lack of the merge of what they hold and `ours`."""
    entries = {device: from_row(key, raw.row) for device, raw in held.items() if raw is not None}
    merged = ours
    for entry in entries.values():
        merged = merge(merged, entry)
    return list(transfers(merged, entries, held))


def _without(transfer: Transfer, device: int) -> Transfer:
    targets = tuple(target for target in transfer.targets if target != device)
    return Transfer(transfer.entry, targets, transfer.payload_bytes, transfer.sources)
