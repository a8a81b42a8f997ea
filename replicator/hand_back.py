"""Hands back what a device holds of partitions that it is no home of: to all homes, then it is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.entry import Entry, Table, fingerprint, from_row, merge
from model.errors import StaleRing, Unavailable
from model.stamp import Stamp
from objectd.contract import RawEntry
from replicator.compare import Comparer, is_cut
from replicator.containers import Settlement
from replicator.keys import Keys, Looked
from replicator.peers import Peers
from replicator.places import all_homes, key_range
from replicator.plan import Drop, Plan, Rules, Transfer, plan_key, transfers
from replicator.promised import is_barred
from replicator.survey import Survey

TABLES: Final = (Table.PROMISE, Table.INDEX, Table.OBJECT, Table.CONTAINER, Table.ACCOUNT)
"""In the order in which they are brought in step: promises before what they refuse, rows before the
container that they must allow to go."""
CLOSE_ENTRIES_MIN: Final = 256
CLOSE_RATIO: Final = 8
"""A home that holds no more than so many times a page's entries between its ends gives them all at once."""
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

    async def pending_keys(self, device: int) -> frozenset[bytes]:
        """Return the keys on a device whose writes are not known to be finished."""
        client = self._peers.of_device(device)
        pending = await client.pending(device, 0, epoch=self._peers.epoch.number)
        return frozenset(one.key for one in pending)

    async def run(
        self, device: int, partition: int, survey: Survey, pending: frozenset[bytes], reclaimed: Stamp
    ) -> bool:
        """Hand back one partition of a device; say whether nothing of it is left there.

        Entries stay where a home is away, and where their write is among the `pending`: the reconciler
        comes first.
        """
        peers = self._peers
        done = True
        try:
            for table in TABLES:
                if not survey.digest(device, table, partition):
                    continue
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
        if not page:
            return True
        return await self._give(device, page, await self._look_up(page), reclaimed)

    async def give(
        self,
        device: int,
        rows: Mapping[int, Mapping[bytes, RawEntry]],
        pending: frozenset[bytes],
        reclaimed: Stamp,
    ) -> bool:
        """Hand back one partition of which all devices' rows are at hand; say whether nothing is left."""
        ours = rows.get(device, {})
        page = [raw for key, raw in ours.items() if key not in pending]
        if not page:
            return not ours
        homes = self._peers.epoch.home_sets(page[0].key[1:17])
        devices = tuple(dict.fromkeys(one for of in homes for one in of))
        held = {one: rows.get(one, {}) for one in devices if one in self._peers.around.live}
        looked = [_looked(raw.key, homes, {one: of.get(raw.key) for one, of in held.items()}) for raw in page]
        return len(page) == len(ours) and await self._give(device, page, looked, reclaimed)

    async def _give(
        self, device: int, page: Sequence[RawEntry], looked: Sequence[Looked], reclaimed: Stamp
    ) -> bool:
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
            if stray.everybody_answered and not self._peers.around.filling.intersection(stray.looked.devices):
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
            if targets <= delivery.held.get(drop.key, set()) or (
                is_barred(delivery.refused, drop.key) and await self._is_dead(drop)
            ):
                drops.append(drop)
            else:
                done = False
        self.forgotten_count += await self._comparer.mover.forget(drops)
        return done

    async def _is_dead(self, drop: Drop) -> bool:
        """Say whether an entry that homes refuse for a promise was never finished, and never will be.

        Were it on a majority of the homes, one that answers would hold it, or something newer; and settled
        under a newer ballot, they take it from nobody any more.
        """
        if await self._keys.settler.settle(drop.key) is None:
            return False
        looked = await self._keys.look_up(drop.key)
        everybody = all(device in looked.held for device in looked.devices)
        return everybody and (looked.merged is None or looked.merged.newest < drop.stamp)

    async def _look_up(self, page: Sequence[RawEntry]) -> list[Looked]:
        """Return what the homes hold of a page's keys: by one call for each home where they lie close."""
        homes = self._peers.epoch.home_sets(page[0].key[1:17])
        devices = tuple(dict.fromkeys(device for of in homes for device in of))
        limit = max(CLOSE_ENTRIES_MIN, CLOSE_RATIO * len(page))
        answers = await asyncio.gather(*(self._held_between(device, page, limit) for device in devices))
        if any(answer is None for answer in answers):
            return list(await asyncio.gather(*(self._keys.look_up(raw.key) for raw in page)))
        looked = []
        for raw in page:
            held = {
                device: answer.get(raw.key)
                for device, answer in zip(devices, answers, strict=True)
                if answer is not None
            }
            looked.append(_looked(raw.key, homes, held))
        return looked

    async def _held_between(
        self, device: int, page: Sequence[RawEntry], limit: int
    ) -> dict[bytes, RawEntry] | None:
        """Return all that a home holds between the ends of a page; None where it is away or that is much."""
        if device not in self._peers.around.live:
            return None
        try:
            found = await self._peers.of_device(device).entries(
                device, page[0].key, page[-1].key + b"\0", limit=limit, epoch=self._peers.epoch.number
            )
        except StaleRing:
            raise
        except Unavailable:
            return None
        return None if len(found) >= limit or is_cut(found) else {raw.key: raw for raw in found}


def _looked(key: bytes, homes: tuple[tuple[int, ...], ...], held: Mapping[int, RawEntry | None]) -> Looked:
    merged: Entry | None = None
    for found in held.values():
        if found is not None:
            merged = merge(merged, from_row(key, found.row))
    return Looked(key, homes, held, merged)


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
