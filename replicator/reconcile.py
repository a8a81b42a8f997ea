"""Finishes what proxies left half done: an object's record and its listing row come to agree.

A write that was never confirmed stays pending on the devices that took it. The record decides: what a
majority can be brought to hold of it is the truth, and the row follows. Only a row without a record (a
ghost) takes a new stamp, since its own is that of a write which never was; the record is fenced by
the same stamp first, so that the write cannot come to life late.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from model.containers import unpack_container
from model.entry import Entry, Kind, Table, is_listed, only_sides
from model.errors import CorruptRecord, NotEnoughReplicas, Unavailable
from model.listing import pack_listed, unpack_listed
from model.names import (
    HIDDEN,
    ObjectPath,
    decode_name,
    encode_name,
    index_key,
    object_key,
    split_row_name,
    version_of_key,
)
from model.objects import (
    EXPIRES,
    POSTED,
    WITHIN,
    marker_row_value,
    pack_names,
    row_value,
    unpack_names,
    unpack_posted,
    unpack_record,
)
from model.stamp import Stamp
from objectd.contract import Outcome, Pending
from replicator.containers import Settlement
from replicator.keys import Keys, Looked, account_key, container_key, is_live

PENDING_MS: Final = 10_000
"""Proxies confirm within a second; after this long, whoever wrote is gone or cannot."""
FOLLOWER_MS: Final = 20_000
"""When others than the leading node take a pending write up."""
GHOST_MS: Final = 45_000
"""How long a row may wait for its record: longer than any proxy tries to finish a write."""

_log = logging.getLogger(__name__)


class Reconciler:
    """Reconciles pending writes, each by what kind of entry it is."""

    def __init__(self, keys: Keys, settlement: Settlement) -> None:
        self._keys = keys
        self._settlement = settlement

    async def reconcile(self, pending: Pending, device: int) -> bool:
        """Finish one write that is pending on a device; say whether it is done."""
        table = Table(pending.key[0])
        try:
            if table is Table.OBJECT:
                stamp = await self._object(pending.key)
            elif table is Table.INDEX:
                stamp = await self._row(pending.key, pending.age_ms)
            else:
                stamp = await self._container(pending.key)
        except (Unavailable, CorruptRecord) as error:
            _log.info("not reconciled yet", extra={"key": pending.key.hex(), "reason": str(error)})
            return False
        if stamp is None:
            return False
        await self._keys.confirm(pending.key, max(stamp, pending.stamp), also=(device,))
        return True

    # Objects.

    async def _object(self, key: bytes) -> Stamp | None:
        looked = await self._keys.agree(key)
        entry = looked.merged
        if entry is None:
            return None
        path = object_path(entry)
        if path is not None:
            await self.row_follows(path, entry)
        return entry.newest

    async def row_follows(self, path: ObjectPath, entry: Entry) -> None:
        """Make the listing row of an object agree with its entry, unless it belongs to a newer write.

        Where the container is gone, the object goes. Raises NotEnoughReplicas.
        """
        keys = self._keys
        row_key = self.row_key(path, version_of_key(entry.key))
        looked = await keys.look_up(row_key)
        if not looked.known:
            raise NotEnoughReplicas("too few homes of a listing row answer")
        if looked.merged is None or looked.merged.stamp < entry.stamp:
            hidden = path.container.startswith(HIDDEN) or not is_listed(entry.kind)
            guard = None if hidden else container_key(row_key[1:17])
            wanted = row_of(entry, path, row_key, entry.stamp)
            refusals = await keys.write(wanted, guard=guard)
            if Outcome.NO_CONTAINER in refusals:
                await self._bury(path, entry)
                return
            await keys.confirm(row_key, wanted.stamp)
        else:
            await keys.agree(row_key)
        sides = row_sides(entry)
        held = {} if looked.merged is None else looked.merged.sides
        if any(name not in held or held[name][0] < register[0] for name, register in sides.items()):
            await keys.write(only_sides(row_key, sides))

    async def _bury(self, path: ObjectPath, entry: Entry) -> None:
        """Hide an object whose container is gone."""
        stamp = self._keys.stamp_after(entry)
        await self._keys.write(Entry(entry.key, stamp, Kind.TOMBSTONE, 0, pack_names(path)))

    def row_key(self, path: ObjectPath, version: Stamp | None) -> bytes:
        """Return the key of the listing row of an object's version, None for the null version."""
        return index_key(self._keys.peers.epoch.digest(path.account, path.container), path.name, version)

    # Rows.

    async def _row(self, key: bytes, age_ms: int) -> Stamp | None:
        looked = await self._keys.look_up(key)
        row = looked.merged
        if row is None or not looked.known:
            return None
        path = await self.path_of_row(row)
        if path is None or row.kind is Kind.EMPTY:
            # Nobody can say what it lists; what is there is at least made the same everywhere.
            await self._keys.agree(key)
            return row.newest
        if not path.name:
            return await self._container_row(path, row, age_ms)
        digest = self._keys.peers.epoch.digest(path.account, path.container, path.name)
        version = version_of_row(row, path)
        object_looked = await self._keys.agree(object_key(digest, version))
        entry = object_looked.merged
        if entry is not None and entry.stamp >= row.stamp:
            await self.row_follows(path, entry)
            return max(row.newest, entry.stamp)
        return None if age_ms < GHOST_MS else await self._lay_ghost(path, row, object_looked)

    async def _lay_ghost(self, path: ObjectPath, row: Entry, looked: Looked) -> Stamp:
        """Restamp a row whose write never reached a majority of the record's homes."""
        entry = looked.merged
        stamp = self._keys.stamp_after(row, entry)
        if entry is None or not is_listed(entry.kind):
            entry = Entry(looked.key, stamp, Kind.TOMBSTONE, 0, pack_names(path))
            await self._keys.write(entry)
        await self._keys.write(row_of(entry, path, row.key, stamp))
        return stamp

    async def path_of_row(self, row: Entry) -> ObjectPath | None:
        """Return what a row lists: an object, or with an empty name a container of an account."""
        if row.kind is Kind.TOMBSTONE and row.value:
            return unpack_names(row.value)
        if row.kind is Kind.DATA:
            within = unpack_listed((row.suffix, row.to_row())).extra.get(WITHIN)
            if within is not None:
                return ObjectPath(within[0], within[1], decode_name(row.suffix))
        name = decode_name(split_row_name(row.suffix)[0])
        container = (await self._keys.look_up(container_key(row.digest))).merged
        if container is not None and (named := container_names(container)) is not None:
            return replace(named, name=name)
        account = (await self._keys.look_up(account_key(row.digest))).merged
        if account is not None and (named := container_names(account)) is not None:
            return replace(named, container=name)
        return None

    # Containers and accounts.

    async def _container(self, key: bytes) -> Stamp | None:
        looked = await self._keys.look_up(key)
        entry = looked.merged
        if entry is None or not looked.known:
            return None
        if entry.kind is Kind.TOMBSTONE and not await self._settlement.settle(entry):
            return None
        entry = (await self._keys.agree(key)).merged
        if entry is None:
            return None
        path = container_names(entry)
        if path is not None and path.container and not path.container.startswith(HIDDEN):
            await self._account_row_follows(path, entry)
        return entry.newest

    async def _account_row_follows(self, path: ObjectPath, entry: Entry) -> None:
        row_key = index_key(self._keys.peers.epoch.digest(path.account), path.container)
        row = (await self._keys.look_up(row_key)).merged
        if entry.kind is not Kind.EMPTY and (row is None or row.stamp < entry.stamp):
            await self._keys.write(_container_row(entry, path, row_key, entry.stamp))

    async def _container_row(self, path: ObjectPath, row: Entry, age_ms: int) -> Stamp | None:
        key = container_key(self._keys.peers.epoch.digest(path.account, path.container))
        looked = await self._keys.look_up(key)
        if not looked.known:
            return None
        entry = looked.merged
        if entry is not None and is_live(entry) == is_live(row):
            await self._keys.agree(row.key)
            return row.newest
        if entry is not None and entry.stamp > row.stamp:
            await self._account_row_follows(path, entry)
            return max(row.newest, entry.stamp)
        if age_ms < GHOST_MS:
            return None
        stamp = self._keys.stamp_after(row, entry)
        wanted = entry if entry is not None else Entry(key, stamp, Kind.TOMBSTONE)
        await self._keys.write(_container_row(wanted, path, row.key, stamp))
        return stamp


def object_path(entry: Entry) -> ObjectPath | None:
    """Return the names of an OBJECT entry, or None where it does not tell. Raises CorruptRecord."""
    if is_listed(entry.kind):
        record = unpack_record(entry.value)
        return ObjectPath(record.account, record.container, record.name)
    return unpack_names(entry.value) if entry.kind is Kind.TOMBSTONE and entry.value else None


def version_of_row(row: Entry, path: ObjectPath) -> Stamp | None:
    """Return the version that a row is of, None for the null version; `path` is what it lists."""
    name = encode_name(path.name)
    return split_row_name(row.suffix)[1] if len(row.suffix) > len(name) else None


def container_names(entry: Entry) -> ObjectPath | None:
    """Return account and container of a CONTAINER or ACCOUNT entry, with an empty name, or None."""
    if entry.kind is Kind.DATA:
        record = unpack_container(entry.value)
        return ObjectPath(record.account, record.container, "")
    return unpack_names(entry.value) if entry.kind is Kind.TOMBSTONE and entry.value else None


def row_of(entry: Entry, path: ObjectPath, row_key: bytes, stamp: Stamp) -> Entry:
    """Return the listing row that belongs to an OBJECT entry, under a stamp."""
    if not is_listed(entry.kind):
        return Entry(row_key, stamp, Kind.TOMBSTONE, 0, pack_names(path))
    # A row under a later stamp than its record's still stands where the record does among the versions.
    stands_at = None if stamp == entry.stamp else entry.stamp
    if entry.kind is Kind.MARKER:
        return Entry(row_key, stamp, Kind.MARKER, 0, marker_row_value(stands_at))
    value = row_value(unpack_record(entry.value), stands_at)
    return Entry(row_key, stamp, Kind.DATA, entry.size, value)


def row_sides(entry: Entry) -> dict[str, tuple[Stamp, bytes]]:
    """Return the side registers of the row that belongs to an object with a later metadata update."""
    register = entry.sides.get(POSTED)
    if register is None or entry.kind is not Kind.DATA or not register[1]:
        return {}
    stamp, posted = register[0], unpack_posted(register[1])
    # Without a type of its own the update moves the time that the listing shows.
    sides = {"type": (stamp, (posted.content_type or "").encode("utf-8", "surrogateescape"))}
    if posted.delete_at != unpack_record(entry.value).delete_at:
        sides[EXPIRES] = (stamp, b"%d" % posted.delete_at)
    return sides


def _container_row(entry: Entry, path: ObjectPath, row_key: bytes, stamp: Stamp) -> Entry:
    if is_live(entry):
        return Entry(row_key, stamp, Kind.DATA, 0, pack_listed("", "", {}))
    return Entry(row_key, stamp, Kind.TOMBSTONE, 0, pack_names(path))
