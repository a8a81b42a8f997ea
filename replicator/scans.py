"""Slow walks over the partitions this node leads: tombstones to reclaim, objects expired, parts orphaned.

Each step takes one partition; a pass over all begins anew once the last is done. The partition
reached is all there is to remember, and forgetting it costs a repeated look.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Set

from kit.clock import wall_clock_ms
from model.containers import registers
from model.entry import Entry, Kind, Table, from_row, row_kind, row_stamp
from model.errors import CorruptRecord, Unavailable
from model.listing import Listed, unpack_listed
from model.names import ObjectPath, object_key
from model.objects import EXPIRES, POSTED, WITHIN, marker_value, pack_names, unpack_posted, unpack_record
from model.retention import may_delete
from model.stamp import Stamp, next_stamp, stamp_ms
from objectd.contract import RawEntry
from replicator.compare import Comparer
from replicator.histories import Histories
from replicator.keys import Keys, is_live
from replicator.orphans import GRACE_MS, Orphans, is_part
from replicator.peers import Peers
from replicator.places import all_homes, key_range, partitions_led
from replicator.plan import Drop, stamp_before
from replicator.reconcile import Reconciler, version_of_row
from replicator.survey import Survey, strays
from replicator.sync import DOUBT_AGE_S_MIN
from ring.epoch import Phase

_log = logging.getLogger(__name__)


class Scanner:
    """Walks partitions one by one, calling what each kind of walk wants of it."""

    def __init__(
        self,
        peers: Peers,
        comparer: Comparer,
        keys: Keys,
        reconciler: Reconciler,
        *,
        tombstone_age_s: int,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._peers = peers
        self._comparer = comparer
        self._keys = keys
        self._reconciler = reconciler
        self._tombstone_age_s = tombstone_age_s
        self._now_ms = now_ms
        self._orphans = Orphans(peers, comparer, keys, now_ms=now_ms)
        self._histories = Histories(peers, comparer, keys)
        self._reclaim_at = 0
        self._strays_of: Survey | None = None
        self._strays: Set[int] = frozenset()
        self._rows_at = 0
        self.reclaimed_count = 0
        self.expired_count = 0
        self.orphans_count = 0

    # Tombstones.

    async def reclaim_step(self, survey: Survey | None) -> bool:
        """Reclaim the old tombstones of one partition; say whether more partitions are left in this pass."""
        epoch = self._peers.epoch
        settled = epoch.phase in (Phase.INITIAL, Phase.SETTLED)
        if survey is None or survey.epoch != epoch.number or not settled:
            return False
        partition = self._next(self._reclaim_at)
        if partition is None:
            self._reclaim_at = 0
            return False
        self._reclaim_at = partition + 1
        homes = all_homes(epoch, partition)
        if self._may_reclaim(survey, partition, homes):
            for table in Table:
                # Where objects differ, a promise may still keep something from being finished.
                guards = (table, Table.OBJECT) if table is Table.PROMISE else (table,)
                if all(survey.in_step(homes, one, partition) for one in guards):
                    await self._reclaim(table, partition, homes)
        return True

    def _may_reclaim(self, survey: Survey, partition: int, homes: tuple[int, ...]) -> bool:
        """Say whether no copy of what was deleted can come back: all homes answer, and no stray is seen.

        A device that is away may hold one; below DOUBT_AGE_S_MIN its age would not give it away.
        """
        around = self._peers.around
        if not all(device in survey.digests and device not in around.filling for device in homes):
            return False
        if partition in self._stray_partitions(survey):
            return False
        everybody = all(device.id in around.live for device in self._peers.epoch.devices())
        return everybody or self._tombstone_age_s >= DOUBT_AGE_S_MIN

    def _stray_partitions(self, survey: Survey) -> Set[int]:
        """Return the partitions that some device holds without being their home; found once for a survey."""
        if self._strays_of is not survey:
            self._strays_of = survey
            self._strays = {part for _, part in strays(self._peers.epoch, survey, survey.reached)}
        return self._strays

    async def _reclaim(self, table: Table, partition: int, homes: tuple[int, ...]) -> None:
        cutoff = stamp_before(self._now_ms(), self._tombstone_age_s)
        lo, hi = key_range(table, partition, self._peers.epoch.part_power)
        async for page in self._comparer.pages(homes[0], lo, hi):
            old = [raw for raw in page if row_kind(raw.row) == Kind.TOMBSTONE and row_stamp(raw.row) < cutoff]
            for raw in old:
                await self._reclaim_one(raw, cutoff)

    async def _reclaim_one(self, raw: RawEntry, cutoff: Stamp) -> None:
        """Forget one tombstone on all homes, if each of them has just this and nothing else of the key."""
        looked = await self._keys.look_up(raw.key)
        newest = from_row(raw.key, raw.row).newest
        same = all(
            (held := looked.held.get(device)) is not None and held.row == raw.row for device in looked.devices
        )
        if same and newest < cutoff:
            forgotten = await self._comparer.mover.forget(
                Drop(device, raw.key, newest) for device in looked.devices
            )
            self.reclaimed_count += forgotten > 0

    # Rows: expiry and orphans.

    async def rows_step(self) -> bool:
        """Look at the listing rows of one partition; say whether more partitions are left in this pass."""
        partition = self._next(self._rows_at)
        if partition is None:
            self._rows_at = 0
            return False
        self._rows_at = partition + 1
        self._orphans.begin_pass()
        async for row, listed in self._rows(partition):
            try:
                await self._look_at(row, listed)
            except (Unavailable, CorruptRecord) as error:
                _log.info("row passed over", extra={"key": row.key.hex(), "reason": str(error)})
        return True

    async def _rows(self, partition: int) -> AsyncIterator[tuple[Entry, Listed]]:
        epoch = self._peers.epoch
        lo, hi = key_range(Table.INDEX, partition, epoch.part_power)
        homes = [device for device in all_homes(epoch, partition) if device in self._peers.around.live]
        if not homes:
            return
        async for page in self._comparer.pages(homes[0], lo, hi):
            for raw in page:
                if row_kind(raw.row) == Kind.DATA:
                    row = from_row(raw.key, raw.row)
                    yield row, unpack_listed((row.suffix, raw.row))

    async def _look_at(self, row: Entry, listed: Listed) -> None:
        expires = row_expires(row, listed)
        if expires and expires * 1000 <= self._now_ms():
            path = await self._reconciler.path_of_row(row)
            if path is not None:
                self.expired_count += await self._expire(path, version_of_row(row, path))
            return
        within = listed.extra.get(WITHIN)
        old = stamp_ms(row.newest) + GRACE_MS < self._now_ms()
        if within is not None and old and is_part(within[1]):
            path = ObjectPath(within[0], within[1], listed.name)
            if await self._orphans.is_orphan(path):
                entry = (await self._keys.look_up(self._object_key(path))).merged
                if entry is not None and is_live(entry):
                    await self._replace(path, entry, Kind.TOMBSTONE)
                    self.orphans_count += 1

    async def _expire(self, path: ObjectPath, version: Stamp | None) -> bool:
        """Delete a version whose record, as a majority has it, says that its time has passed.

        A marker takes the place of one that is current, so that no older version shows in its stead.
        """
        looked = await self._keys.look_up(self._object_key(path, version))
        entry = looked.merged
        if not looked.known or entry is None:
            return False
        if is_live(entry):
            delete_at = object_expires(entry)
            now_ms = self._now_ms()
            if not delete_at or delete_at * 1000 > now_ms or not may_delete(registers(entry.sides), now_ms):
                return False
            hides = await self._histories.hides_others(path, entry)
            await self._replace(path, entry, Kind.MARKER if hides else Kind.TOMBSTONE)
        else:
            await self._reconciler.row_follows(path, entry)
        return True

    async def _replace(self, path: ObjectPath, entry: Entry, kind: Kind) -> None:
        """Put a tombstone or a marker in the place of an entry as it was seen.

        A stamp just after its own hides nothing written since.
        """
        stamp = next_stamp(entry.newest, 0, self._peers.clock.writer_id)
        value = marker_value(path) if kind is Kind.MARKER else pack_names(path)
        placed = Entry(entry.key, stamp, kind, 0, value)
        await self._keys.write(placed)
        await self._reconciler.row_follows(path, placed)

    def _object_key(self, path: ObjectPath, version: Stamp | None = None) -> bytes:
        return object_key(self._peers.epoch.digest(path.account, path.container, path.name), version)

    def _next(self, start: int) -> int | None:
        around = self._peers.around
        leads = partitions_led(
            self._peers.epoch, self._peers.local_node, live=around.live, filling=around.filling
        )
        return next((one for one in range(start, self._peers.epoch.ring.partition_count) if leads(one)), None)


def row_expires(row: Entry, listed: Listed) -> int:
    """Return when a row says that its object expires, in seconds since the epoch; 0 for never."""
    register = row.sides.get(EXPIRES)
    if register is not None and register[1].isdigit():
        return int(register[1])
    value = listed.extra.get(EXPIRES, 0)
    return value if isinstance(value, int) else 0


def object_expires(entry: Entry) -> int:
    """Return when an OBJECT entry with data expires, in seconds since the epoch; 0 for never."""
    register = entry.sides.get(POSTED)
    if register is not None and register[1]:
        return unpack_posted(register[1]).delete_at
    return unpack_record(entry.value).delete_at
