"""Objects: put, find, open, post and delete, each one round of messages where it can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn

from model.entry import Entry, Kind, make_key, only_sides
from model.entry import Table as EntryTable
from model.errors import DeviceFull, NoSuchContainer, NoSuchObject, NoSuchVersion, NotEnoughReplicas
from model.listing import Query, unpack_listed
from model.names import HIDDEN, NULL_VERSION, ContainerPath, ObjectPath, decode_name, index_key, object_key
from model.objects import (
    EXPIRES,
    LISTED,
    POSTED,
    Manifest,
    ObjectRecord,
    PostedMetadata,
    pack_names,
    pack_posted,
    pack_record,
    row_value,
    unpack_posted,
    unpack_record,
)
from model.stamp import Stamp, just_after, stamp_ms
from objectd.contract import Outcome
from proxy.encryption.key_manager import KeyManager, NoKeys
from proxy.encryption.sealed import SSE, Seal
from proxy.operations.body import ReceivedBody, receive
from proxy.operations.listing import list_index
from proxy.operations.locking import DefaultLock, locked_sides
from proxy.operations.manifests import Manifests, as_stored
from proxy.operations.nodes import Nodes
from proxy.operations.parts import read_parts
from proxy.operations.read import Found, find, read_payload
from proxy.operations.sealing import begin_sealing, unlock
from proxy.operations.stamping import write_stamped
from proxy.operations.types import (
    BodySource,
    Buffer,
    Deletion,
    ListedVersion,
    NewObject,
    OpenObject,
    Precondition,
    StoredObject,
    VersionPage,
    VersionQuery,
)
from proxy.operations.write import Update, Written, write

POSTS_MAX: Final = 3
"""Tries to update the metadata of an object whose data is replaced each time meanwhile."""


class Objects:
    """The object operations of one colony."""

    def __init__(self, nodes: Nodes, *, inline_bytes_max: int) -> None:
        """Objects of at most `inline_bytes_max` go to the nodes in one message, larger ones as streams."""
        self.nodes = nodes
        self.inline_bytes_max = inline_bytes_max
        self._manifests = Manifests(nodes)
        self.keys: KeyManager = NoKeys()
        self.default_seal: Callable[[ContainerPath], Awaitable[Seal | None]] | None = None
        self.default_lock: DefaultLock | None = None

    # Read.

    async def look_up(self, path: ObjectPath, *, payload: bool = False) -> tuple[StoredObject, Found] | None:
        """Return what is stored under a name now, or None for nothing, deleted or expired."""
        found = await find(self.nodes, self._key(path), payload=payload)
        if found is None:
            return None
        self.nodes.clock.observe(found.entry.newest)
        if found.entry.kind is not Kind.DATA:
            return None
        stored = stored_object(path, found.entry)
        delete_at = stored.record.delete_at
        if delete_at and delete_at * 1000 <= stamp_ms(self.nodes.clock.next()):
            return None
        return stored, found

    async def head_object(self, path: ObjectPath, *, version: str | None = None) -> StoredObject:
        """Return an object's record: the current version's, or that of a version id ("null" is one).

        Raises NoSuchObject, NoSuchVersion, and DeleteMarkerFound where what is asked for is a marker.
        """
        _refuse_version(version)
        looked_up = await self.look_up(path)
        if looked_up is None:
            raise NoSuchObject(path.name)
        return await self._manifests.with_parts(*looked_up)

    async def open_object(
        self, path: ObjectPath, *, version: str | None = None, customer_key: bytes | None = None
    ) -> OpenObject:
        """Return an object's record and a way to its bytes, opened where they are encrypted.

        Raises as `head_object` does; of an object that cannot be opened the result says why.
        """
        _refuse_version(version)
        opened = await self._open(path, customer_key)
        if customer_key is not None or SSE in opened.stored.record.extra:
            return await unlock(self.keys, opened, customer_key)
        return opened

    async def _open(self, path: ObjectPath, customer_key: bytes | None) -> OpenObject:
        looked_up = await self.look_up(path, payload=True)
        if looked_up is None:
            raise NoSuchObject(path.name)
        stored, found = looked_up
        if stored.record.manifest is not Manifest.NONE:
            stored = await self._manifests.with_parts(stored, found)
            parts = stored.record.parts
            open_part = partial(self.open_object, customer_key=customer_key)

            def read_joined(offset: int, length: int) -> AsyncIterator[Buffer]:
                return read_parts(open_part, parts, offset, length)

            return OpenObject(stored, None, read_joined)

        def read(offset: int, length: int) -> AsyncIterator[Buffer]:
            return read_payload(self.nodes, found, offset, length)

        data = b"" if stored.record.size == 0 else found.payload
        return OpenObject(stored, data, read)

    # Write.

    async def put_object(
        self, path: ObjectPath, new: NewObject, body: BodySource, *, precondition: Precondition | None = None
    ) -> StoredObject:
        """Store an object, replacing what is there. Nothing is visible before all of it is durable.

        Raises NoSuchContainer, NotEnoughReplicas, DeviceFull, what the body raises, what
        `new.verify` raises and what `precondition` raises.
        """
        new, body = as_stored(new, body)
        looked_up = True
        if precondition is not None:
            await self._check(path, precondition)
        elif body.length is None or body.length > self.inline_bytes_max:
            # Staged bytes can be committed only once: learn the newest stamp before, so that what may
            # hide this write was under way at the same time.
            await self.look_up(path)
        else:
            looked_up = False
        sealer = None
        seal = new.seal or await self._default_seal(path, new)
        if seal is not None:
            new, sealer = await begin_sealing(self.keys, path, new, seal)
        key = self._key(path)
        received = await receive(
            self.nodes, key, body, new.checksums, inline_bytes_max=self.inline_bytes_max, sealer=sealer
        )
        try:
            if new.verify is not None:
                new.verify(received.digests)
            if sealer is not None:
                new = sealer.with_etag(new, received.digests)
            return await self._store(path, key, new, received, looked_up=looked_up)
        finally:
            received.close()

    async def _default_seal(self, path: ObjectPath, new: NewObject) -> Seal | None:
        """Return how the container has an object encrypted whose writer says nothing of it."""
        if path.container.startswith(HIDDEN) or new.manifest is not Manifest.NONE:
            return None
        return None if self.default_seal is None else await self.default_seal(path.parent)

    async def _check(self, path: ObjectPath, precondition: Precondition) -> None:
        looked_up = await self.look_up(path)
        precondition(None if looked_up is None else looked_up[0])

    async def _store(
        self, path: ObjectPath, key: bytes, new: NewObject, received: ReceivedBody, *, looked_up: bool
    ) -> StoredObject:
        record = _record(path, new, received)
        value = pack_record(record)
        listed = row_value(record)
        row_key, guard = self._row_keys(path)
        of_new = await locked_sides(self.default_lock, path, new.sides, stamp_ms(self.nodes.clock.next()))

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            sides = {name: (just_after(stamp), side) for name, side in of_new.items()}
            entry = Entry(key, stamp, Kind.DATA, record.size, value, sides)
            row = Entry(row_key, stamp, Kind.DATA, record.size, listed)
            return Update(entry, received.payload, received.staged), Update(row, guard=guard)

        stamp = await self._write_stamped(path, updates, looked_up=looked_up)
        return StoredObject(path, record, stamp, stamp, of_new)

    async def post_object(self, path: ObjectPath, posted: PostedMetadata) -> StoredObject:
        """Replace an object's metadata, leaving its bytes. Raises NoSuchObject."""
        for _ in range(POSTS_MAX):
            looked_up = await self.look_up(path)
            if looked_up is None:
                raise NoSuchObject(path.name)
            stored, found = looked_up
            # The update replaces the one before it: so it carries the type along that this one has set.
            # The type of the data itself is left to the data, which may be replaced at this moment.
            before = found.entry.sides.get(POSTED)
            kept = unpack_posted(before[1]).content_type if before is not None and before[1] else None
            update = replace(posted, content_type=posted.content_type or kept or None)
            row_sides = {"type": (update.content_type or "").encode("utf-8", "surrogateescape")}
            if update.delete_at != stored.record.delete_at:
                row_sides[EXPIRES] = b"%d" % update.delete_at
            await self._write_sides(path, {POSTED: pack_posted(update)}, row_sides)
            updated = await self.head_object(path)
            if updated.stamp == stored.stamp:
                return updated
            # The data was replaced meanwhile: what was carried along may be that of the old data.
        return updated

    async def set_side(
        self,
        path: ObjectPath,
        name: str,
        value: bytes,
        *,
        version: str | None = None,
        precondition: Precondition | None = None,
    ) -> None:
        """Set a side register of an object, or of one version; empty removes it.

        `precondition` is called with that version. Raises as `head_object` does, and what it raises.
        """
        _refuse_version(version)
        stored = await self.head_object(path)
        if precondition is not None:
            precondition(stored)
        await self._write_sides(path, {name: value}, {})

    async def _write_sides(
        self, path: ObjectPath, sides: Mapping[str, bytes], row_sides: Mapping[str, bytes]
    ) -> None:
        key = self._key(path)
        row_key, guard = self._row_keys(path)

        def updates(stamp: Stamp) -> tuple[Update, ...]:
            of_object = only_sides(key, {name: (stamp, value) for name, value in sides.items()})
            if not row_sides:
                return (Update(of_object),)
            of_row = only_sides(row_key, {name: (stamp, value) for name, value in row_sides.items()})
            return Update(of_object), Update(of_row, guard=guard)

        await self._write_stamped(path, updates, looked_up=True)

    async def delete_object(
        self, path: ObjectPath, *, version: str | None = None, precondition: Precondition | None = None
    ) -> Deletion:
        """Delete an object, or one version of it for good; where there is nothing, nothing is done.

        `precondition` is called with what would be removed for good, or, where a marker would be made,
        with the current version.
        """
        _refuse_version(version)
        found = await find(self.nodes, self._key(path))
        stored = None
        if found is not None:
            self.nodes.clock.observe(found.entry.newest)
            if found.entry.kind is Kind.DATA:
                stored = stored_object(path, found.entry)
        delete_at = stored.record.delete_at if stored is not None else 0
        expired = bool(delete_at) and delete_at * 1000 <= stamp_ms(self.nodes.clock.next())
        if precondition is not None:
            precondition(None if expired else stored)
        if stored is None:
            return Deletion(version_id=version)
        key = self._key(path)
        row_key, _ = self._row_keys(path)
        names = pack_names(path)

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            tombstones = (Entry(of, stamp, Kind.TOMBSTONE, 0, names) for of in (key, row_key))
            entry, row = map(Update, tombstones)
            return entry, row

        await self._write_stamped(path, updates, looked_up=True)
        return Deletion(None if expired else stored, version)

    async def list_versions(self, path: ContainerPath, query: VersionQuery) -> VersionPage:
        """Return one page of all versions and markers of a container, in S3's order."""
        wanted = Query(query.prefix, query.delimiter, query.key_marker, limit=query.limit)
        page, _ = await list_index(self.nodes, self.nodes.epoch.digest(path.account, path.container), wanted)
        items = [
            ListedVersion(unpack_listed(item), NULL_VERSION, is_latest=True, is_marker=False)
            if item[1]
            else decode_name(item[0])
            for item in page.items
        ]
        return VersionPage(items, page.truncated, page.next_marker, None)

    # Helpers.

    async def _write_stamped(
        self, path: ObjectPath, build: Callable[[Stamp], Sequence[Update]], *, looked_up: bool = False
    ) -> Stamp:
        """Write updates under a new stamp, and once more where a clock ahead of ours hides them.

        See proxy.operations.stamping. `looked_up` says that the newest stamp was observed beforehand.
        """
        stamp, updates, written = await write_stamped(self.nodes, build, looked_up=looked_up)
        if not all(one.durable for one in written):
            await self._refuse(path, stamp, updates, written)
        return stamp

    async def _refuse(
        self, path: ObjectPath, stamp: Stamp, updates: Sequence[Update], written: Sequence[Written]
    ) -> NoReturn:
        refusals = {refusal for one in written if not one.durable for refusal in one.refusals}
        if Outcome.NO_CONTAINER in refusals:
            await self._withdraw(path, stamp, updates)
            raise NoSuchContainer(path.container)
        if Outcome.FULL in refusals:
            raise DeviceFull("too many of the devices that should hold this object are full")
        raise NotEnoughReplicas("the write did not reach a majority of its replicas")

    async def _withdraw(self, path: ObjectPath, stamp: Stamp, updates: Sequence[Update]) -> None:
        """Hide what was written although its container had gone, and nothing that came after it."""
        names = pack_names(path)
        after = just_after(stamp)
        tombstones = [
            Update(Entry(one.entry.key, after, Kind.TOMBSTONE, 0, names))
            for one in updates
            if one.entry.kind is Kind.DATA
        ]
        await write(self.nodes, tombstones, patience_ms=0)

    def _key(self, path: ObjectPath) -> bytes:
        return object_key(self.nodes.epoch.digest(path.account, path.container, path.name))

    def _row_keys(self, path: ObjectPath) -> tuple[bytes, bytes | None]:
        """Return the keys of an object's listing row, and of the container that must live."""
        container = self.nodes.epoch.digest(path.account, path.container)
        guard = None if path.container.startswith(HIDDEN) else make_key(EntryTable.CONTAINER, container)
        return index_key(container, path.name), guard


def _refuse_version(version: str | None) -> None:
    if version is not None and version != NULL_VERSION:
        raise NoSuchVersion(f"there is no version {version!r}")


def _record(path: ObjectPath, new: NewObject, received: ReceivedBody) -> ObjectRecord:
    digests = received.digests
    # A copy brings its source's extra: what that one's row showed is not what this one's shows.
    extra = {name: value for name, value in new.extra.items() if name != LISTED}
    if new.listed:
        extra[LISTED] = dict(new.listed)
    return ObjectRecord(
        path.account,
        path.container,
        path.name,
        digests.size if new.stated_size is None else new.stated_size,
        digests.md5 if new.etag is None else new.etag,
        new.content_type,
        new.headers,
        new.user,
        new.delete_at,
        new.owner,
        {**digests.checksums, **new.stated_checksums},
        new.manifest,
        new.parts,
        extra,
    )


def stored_object(path: ObjectPath, entry: Entry) -> StoredObject:
    """Return a DATA entry as an object, a later metadata update laid over its record."""
    record = unpack_record(entry.value)
    if not entry.sides:
        return StoredObject(path, record, entry.stamp, entry.stamp, {})
    sides = {name: value for name, (_, value) in entry.sides.items() if value}
    posted = sides.get(POSTED)
    modified = entry.stamp
    if posted is not None:
        update = unpack_posted(posted)
        modified = entry.sides[POSTED][0]
        record = replace(
            record,
            content_type=record.content_type if update.content_type is None else update.content_type,
            headers={**_kept_headers(record), **update.headers},
            user=update.user,
            delete_at=update.delete_at,
        )
    return StoredObject(path, record, entry.stamp, modified, sides)


def _kept_headers(record: ObjectRecord) -> dict[str, str]:
    """Return the stored headers that describe the bytes and so outlive a metadata update."""
    return {name: value for name, value in record.headers.items() if name in _DATA_HEADERS}


_DATA_HEADERS: Final = frozenset(("x-static-large-object",))
