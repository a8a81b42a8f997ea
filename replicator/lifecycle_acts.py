"""What lifecycle rules demand of one key or one upload, done on the very versions that were judged.

Rows only say where to look: what is done is judged on what a majority of the homes says of every version
of the key. Every act is safe to repeat, also by two nodes at once:

- A deletion is a tombstone just after what was judged: it hides nothing written since.
- A delete marker bears the moment at which its version was due, and a writer id that is the same on every
  node: whoever judges the same version makes the same marker, so there is never a second one. It is made
  once that moment is SETTLE_MS past, so that writes since are newer than the marker.
- A row that does not agree with its version, since whoever wrote the version died, is made to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from model.containers import Versioning, registers
from model.entry import Entry, Kind, Table, from_row, make_key, merge
from model.errors import NotEnoughReplicas
from model.lifecycle import Act, Due, Rules, Version, What, abort_of, judge
from model.names import ContainerPath, ObjectPath, object_key, uploads_of
from model.objects import TAGS, marker_value, pack_names
from model.retention import may_delete
from model.stamp import Stamp, next_stamp, stamp_ms
from model.tags import unpack_tags
from model.versions import order_stamp
from replicator.compare import Comparer
from replicator.keys import Keys, is_live
from replicator.places import has_majority
from replicator.reconcile import Reconciler

SETTLE_MS: Final = 1_000
WRITER: Final = int.from_bytes(b"lifecycl")
"""The writer id in the stamps of what rules write, on every node."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A container with rules, as a majority of its homes has it.

    `set_ms` is when the rules were set, milliseconds since the epoch.
    """

    path: ContainerPath
    digest: bytes
    rules: Rules
    set_ms: int
    versioning: Versioning


@dataclass(slots=True)
class Counts:
    """What was done since the process started."""

    expired: int = 0
    """Current versions deleted, or hidden by a marker."""
    removed: int = 0
    """Noncurrent versions and lone markers deleted for good."""
    aborted: int = 0
    """Uploads ended."""
    held: int = 0
    """Removals left undone for an object lock."""


class Acts:
    """Judges and acts on single keys."""

    def __init__(
        self,
        comparer: Comparer,
        keys: Keys,
        reconciler: Reconciler,
        *,
        day_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        """Count days of `day_ms` milliseconds."""
        self._comparer = comparer
        self._keys = keys
        self._reconciler = reconciler
        self._day_ms = day_ms
        self._now_ms = now_ms
        self.counts = Counts()

    def due_by_rows(self, bucket: Bucket, name: str, versions: Sequence[Version]) -> list[Due]:
        """Return what may be due with a key, as its rows have it."""
        return judge(bucket.rules, name, versions, now_ms=self._now_ms(), day_ms=self._day_ms)

    # Keys.

    async def act(self, bucket: Bucket, name: str, listed: Collection[Stamp]) -> None:
        """Do what is due with a key, of which rows list the versions of some stamps.

        Raises NotEnoughReplicas, CorruptRecord.
        """
        path = bucket.path.object(name)
        entries = await self._versions(path)
        live = sorted(
            (entry for entry in entries if entry.kind in (Kind.DATA, Kind.MARKER)),
            key=order_stamp,
            reverse=True,
        )
        judged = {order_stamp(entry): entry for entry in live}
        await self._mend_rows(path, entries, listed)
        versions = [_version_of(entry) for entry in live]
        found = self.due_by_rows(bucket, name, versions)
        if not found:
            return
        # What makes another version noncurrent must be there for good before that one goes.
        await self._keys.agree(live[0].key)
        for due in found:
            entry = judged[due.version.stamp]
            if due.act is Act.EXPIRE:
                await self._expire(bucket, path, entry, due)
            else:
                await self._remove(path, entry)

    async def _versions(self, path: ObjectPath) -> list[Entry]:
        """Return all that a majority of the homes has of the versions of a key, deleted ones too."""
        peers = self._keys.peers
        digest = peers.epoch.digest(path.account, path.container, path.name)
        homes = peers.epoch.home_sets(digest)
        lo, hi = make_key(Table.OBJECT, digest), make_key(Table.OBJECT, digest, b"\xff" * 17)
        merged: dict[bytes, Entry] = {}
        answered = []
        for device in dict.fromkeys(one for of in homes for one in of):
            if device not in peers.around.live or device in peers.around.filling:
                continue
            async for page in self._comparer.pages(device, lo, hi):
                for raw in page:
                    merged[raw.key] = merge(merged.get(raw.key), from_row(raw.key, raw.row))
            answered.append(device)
        if not has_majority(homes, answered):
            raise NotEnoughReplicas(f"{len(answered)} homes of {path} answer")
        return list(merged.values())

    async def _mend_rows(self, path: ObjectPath, entries: Sequence[Entry], listed: Collection[Stamp]) -> None:
        for entry in entries:
            is_listed = order_stamp(entry) in listed
            if is_listed != (entry.kind in (Kind.DATA, Kind.MARKER)) and entry.kind is not Kind.EMPTY:
                await self._reconciler.row_follows(path, entry)

    async def _expire(self, bucket: Bucket, path: ObjectPath, entry: Entry, due: Due) -> None:
        if bucket.versioning is Versioning.OFF:
            await self._delete(path, entry)
            self.counts.expired += 1
            return
        # Not before the rules were set, nor before the last change of the version: tags, say. The time since
        # which what the marker hides is noncurrent begins here.
        at_ms = max(due.due_ms, bucket.set_ms, stamp_ms(entry.newest))
        if at_ms + SETTLE_MS > self._now_ms():
            return
        stamp = next_stamp(entry.newest, at_ms, WRITER)
        version = stamp if bucket.versioning is Versioning.ENABLED else None
        key = object_key(entry.digest, version)
        marker = Entry(key, stamp, Kind.MARKER, 0, marker_value(path))
        await self._keys.write(marker)
        await self._reconciler.row_follows(path, marker)
        self.counts.expired += 1

    async def _remove(self, path: ObjectPath, entry: Entry) -> None:
        if not may_delete(registers(entry.sides), self._now_ms()):
            self.counts.held += 1
            return
        await self._delete(path, entry)
        self.counts.removed += 1

    async def _delete(self, path: ObjectPath, entry: Entry) -> None:
        stamp = next_stamp(entry.newest, 0, WRITER)
        tombstone = Entry(entry.key, stamp, Kind.TOMBSTONE, 0, pack_names(path))
        await self._keys.write(tombstone)
        await self._reconciler.row_follows(path, tombstone)

    # Uploads.

    def is_abandoned(self, bucket: Bucket, row_name: str, begun: Stamp) -> bool:
        """Say whether the rules end an upload, whose row has a name `key NUL upload`."""
        key, _, _ = row_name.rpartition("\0")
        found = abort_of(bucket.rules, key, stamp_ms(begun), self._day_ms)
        return found is not None and found[1] <= self._now_ms()

    async def abort(self, bucket: Bucket, row_name: str) -> None:
        """End an upload whose time has passed; its parts go later, as those of any upload that ended.

        Raises NotEnoughReplicas.
        """
        path = uploads_of(bucket.path).object(row_name)
        digest = self._keys.peers.epoch.digest(path.account, path.container, path.name)
        looked = await self._keys.look_up(object_key(digest))
        entry = looked.merged
        if not looked.known or entry is None:
            return
        if not is_live(entry):
            await self._reconciler.row_follows(path, entry)
        elif self.is_abandoned(bucket, row_name, entry.stamp):
            await self._delete(path, entry)
            self.counts.aborted += 1


def _version_of(entry: Entry) -> Version:
    if entry.kind is Kind.MARKER:
        return Version(order_stamp(entry), What.MARKER)
    tags = unpack_tags(registers(entry.sides).get(TAGS, b""))
    return Version(order_stamp(entry), What.DATA, entry.size, tags)
