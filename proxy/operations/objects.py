"""Objects: put, open, post, each one round of messages where it can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from model.containers import Versioning
from model.entry import Entry, Kind, only_sides
from model.errors import Denied, NoSuchVersion
from model.names import HIDDEN, NULL_VERSION, ContainerPath, ObjectPath, version_of_key
from model.objects import (
    EXPIRES,
    POSTED,
    Manifest,
    PostedMetadata,
    pack_posted,
    pack_record,
    row_value,
    unpack_posted,
)
from model.retention import may_delete
from model.stamp import Stamp, just_after, stamp_ms, version_id
from proxy.encryption.key_manager import KeyManager, NoKeys
from proxy.encryption.sealed import SSE, Seal
from proxy.operations.body import ReceivedBody, receive
from proxy.operations.entries import Places, record_of
from proxy.operations.locking import DefaultLock, locked_sides
from proxy.operations.look_up import LookUps
from proxy.operations.manifests import Manifests, as_stored
from proxy.operations.object_writes import write_object, write_object_if
from proxy.operations.parts import read_parts
from proxy.operations.read import read_payload
from proxy.operations.sealing import begin_sealing, unlock
from proxy.operations.types import (
    BodySource,
    Buffer,
    NewObject,
    OpenObject,
    Precondition,
    StoredObject,
)
from proxy.operations.versions import observe_versions
from proxy.operations.write import Update

POSTS_MAX: Final = 3
"""Tries to update the metadata of an object whose data is replaced each time meanwhile."""


class Objects:
    """The object operations of one colony."""

    def __init__(self, look_ups: LookUps, *, inline_bytes_max: int) -> None:
        """Objects of at most `inline_bytes_max` go to the nodes in one message, larger ones as streams."""
        self.look_ups = look_ups
        self.nodes = nodes = look_ups.nodes
        self.inline_bytes_max = inline_bytes_max
        self._manifests = Manifests(nodes)
        self.keys: KeyManager = NoKeys()
        self.default_seal: Callable[[ContainerPath], Awaitable[Seal | None]] | None = None
        self.default_lock: DefaultLock | None = None

    # Read.

    async def head_object(self, path: ObjectPath, *, version: str | None = None) -> StoredObject:
        """Return an object's record: the current version's, or that of a version id ("null" is one).

        Raises NoSuchObject, NoSuchVersion, and DeleteMarkerFound where what is asked for is a marker.
        """
        return await self._manifests.with_parts(*await self.look_ups.readable(path, version=version))

    async def open_object(
        self, path: ObjectPath, *, version: str | None = None, customer_key: bytes | None = None
    ) -> OpenObject:
        """Return an object's record and a way to its bytes, opened where they are encrypted.

        Raises as `head_object` does; of an object that cannot be opened the result says why.
        """
        opened = await self._open(path, version, customer_key)
        if customer_key is not None or SSE in opened.stored.record.extra:
            return await unlock(self.keys, opened, customer_key)
        return opened

    async def _open(self, path: ObjectPath, version: str | None, customer_key: bytes | None) -> OpenObject:
        stored, found = await self.look_ups.readable(path, version=version, payload=True)
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
            await self.look_ups.look_up(path)
        else:
            looked_up = False
        sealer = None
        seal = new.seal or await self._default_seal(path, new)
        if seal is not None:
            new, sealer = await begin_sealing(self.keys, path, new, seal)
        places = self.look_ups.places(path)
        received = await receive(
            self.nodes,
            places.key(None),
            body,
            new.checksums,
            inline_bytes_max=self.inline_bytes_max,
            sealer=sealer,
        )
        try:
            if new.verify is not None:
                new.verify(received.digests)
            if sealer is not None:
                new = sealer.with_etag(new, received.digests)
            return await self._store(places, new, received, precondition, looked_up=looked_up)
        finally:
            received.close()

    async def _default_seal(self, path: ObjectPath, new: NewObject) -> Seal | None:
        """Return how the container has an object encrypted whose writer says nothing of it."""
        if path.container.startswith(HIDDEN) or new.manifest is not Manifest.NONE:
            return None
        return None if self.default_seal is None else await self.default_seal(path.parent)

    async def _check(self, path: ObjectPath, precondition: Precondition) -> None:
        looked_up = await self.look_ups.look_up(path)
        precondition(None if looked_up is None else looked_up[0])

    async def _store(
        self,
        places: Places,
        new: NewObject,
        received: ReceivedBody,
        precondition: Precondition | None,
        *,
        looked_up: bool,
    ) -> StoredObject:
        path = places.path
        record = record_of(path, new, received.digests)
        value = pack_record(record)
        listed = row_value(record)
        guard = places.guard
        of_new = await locked_sides(self.default_lock, path, new.sides, stamp_ms(self.nodes.clock.next()))
        # Asked only now, since the body may have been long in coming.
        versioning = await self.look_ups.versioning(path.parent)
        if versioning is not Versioning.OFF:
            await observe_versions(self.nodes, places.digest)
            looked_up = True
        keeps = versioning is Versioning.ENABLED

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            version = stamp if keeps else None
            sides = {name: (just_after(stamp), side) for name, side in of_new.items()}
            entry = Entry(places.key(version), stamp, Kind.DATA, record.size, value, sides)
            row = Entry(places.row_key(version), stamp, Kind.DATA, record.size, listed)
            return Update(entry, received.payload, received.staged), Update(row, guard=guard)

        if precondition is None:
            stamp = await write_object(self.nodes, path, updates, looked_up=looked_up)
        else:
            judge = self.look_ups.judged(path, versioning, precondition)
            glance = partial(self._check, path, precondition)
            won = await write_object_if(self.nodes, path, places.key(None), judge, updates, glance=glance)
            assert won is not None, "the judge of a precondition raises or says yes"
            stamp = won
        named = version_id(stamp) if keeps else NULL_VERSION
        return StoredObject(path, record, stamp, stamp, of_new, named, versioning is not Versioning.OFF)

    async def post_object(self, path: ObjectPath, posted: PostedMetadata) -> StoredObject:
        """Replace an object's metadata, leaving its bytes. Raises NoSuchObject, Denied of a locked one."""
        for _ in range(POSTS_MAX):
            stored, found = await self.look_ups.readable(path)
            if stored.sides and not may_delete(stored.sides, stamp_ms(self.nodes.clock.next())):
                # Metadata is part of a version, and may even say whose bytes Swift reads in its place.
                raise Denied("the object is locked")
            # The update replaces the one before it: so it carries the type along that this one has set.
            # The type of the data itself is left to the data, which may be replaced at this moment.
            before = found.entry.sides.get(POSTED)
            kept = unpack_posted(before[1]).content_type if before is not None and before[1] else None
            update = replace(posted, content_type=posted.content_type or kept or None)
            row_sides = {"type": (update.content_type or "").encode("utf-8", "surrogateescape")}
            if update.delete_at != stored.record.delete_at:
                row_sides[EXPIRES] = b"%d" % update.delete_at
            await self._write_sides(path, found.entry, {POSTED: pack_posted(update)}, row_sides)
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

        `precondition` is called with that version, and what it allows is done only if nothing about the
        object changes meanwhile. Raises as `head_object` does, and what it raises.
        """
        stored, found = await self.look_ups.readable(path, version=version)
        if precondition is None:
            await self._write_sides(path, found.entry, {name: value}, {})
            return
        # Looked at beforehand: what fails already needs no ballot.
        precondition(stored)
        key = found.entry.key
        versioning = await self.look_ups.versioning(path.parent)

        async def judge(state: tuple[Entry, ...]) -> bool:
            entry = next((one for one in state if one.key == key), None)
            live = None if entry is None else self.look_ups.live(path, entry, versioning)
            if live is None:
                raise NoSuchVersion(f"{path.name} has no version {version}")
            precondition(live)
            return True

        def updates(stamp: Stamp) -> tuple[Update]:
            return (Update(only_sides(key, {name: (stamp, value)})),)

        await write_object_if(self.nodes, path, key, judge, updates)

    async def _write_sides(
        self, path: ObjectPath, entry: Entry, sides: Mapping[str, bytes], row_sides: Mapping[str, bytes]
    ) -> None:
        places = self.look_ups.places(path)
        key, row_key, guard = entry.key, places.row_key(version_of_key(entry.key)), places.guard

        def updates(stamp: Stamp) -> tuple[Update, ...]:
            of_object = only_sides(key, {name: (stamp, value) for name, value in sides.items()})
            if not row_sides:
                return (Update(of_object),)
            of_row = only_sides(row_key, {name: (stamp, value) for name, value in row_sides.items()})
            return Update(of_object), Update(of_row, guard=guard)

        await write_object(self.nodes, path, updates, looked_up=True)
