"""A colony in memory with the operations that the S3 verbs use, and requests signed for it."""

import hashlib
import itertools
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping
from typing import Any

from model.containers import VERSIONING, ContainerRecord, Versioning
from model.entry import Entry, Kind, Table, make_key
from model.errors import ContainerNotEmpty, NoSuchContainer, NoSuchObject, NoSuchVersion
from model.listing import Page, Query, RawRow, list_page, pack_listed, unpack_listed
from model.names import HIDDEN, ContainerPath, ObjectPath, decode_name, encode_name
from model.objects import Manifest, ObjectRecord, Part
from model.stamp import Stamp, make_stamp
from proxy import checksums
from proxy.encryption.local_keys import LocalKeys
from proxy.operations.sealing import begin_sealing, unlock
from proxy.operations.types import (
    BodySource,
    Buffer,
    Container,
    Deletion,
    Digests,
    ListedVersion,
    NewObject,
    OpenObject,
    Precondition,
    StoredObject,
    Totals,
    VersionPage,
    VersionQuery,
)

_DIGEST = bytes(16)


class MemoryColony:
    """Keeps objects in dictionaries; `start_ms` is the time of the first write, one second apart."""

    def __init__(self, start_ms: int) -> None:
        self.objects: dict[ContainerPath, dict[str, tuple[StoredObject, bytes, Entry]]] = {}
        self.containers: dict[ContainerPath, Container] = {}
        self.claims: dict[str, str] = {}
        self._ms = itertools.count(start_ms, 1000)
        colony: Any = self
        self.keys = LocalKeys(colony, b"c" * 32)

    def stamp(self) -> Stamp:
        return make_stamp(next(self._ms), 0, 1)

    # Objects.

    async def put_object(
        self, path: ObjectPath, new: NewObject, body: BodySource, *, precondition: Precondition | None = None
    ) -> StoredObject:
        held = self.objects.setdefault(path.parent, {})
        if precondition is not None:
            precondition(held[path.name][0] if path.name in held else None)
        sealer = None
        if new.seal is not None:
            new, sealer = await begin_sealing(self.keys, path, new, new.seal)
        data = b"".join([bytes(chunk) async for chunk in body.chunks()])
        sums = {name: checksums.checksum(name, data) for name in new.checksums}
        digests = Digests(hashlib.md5(data).hexdigest(), len(data), sums)
        if new.verify is not None:
            new.verify(digests)
        if sealer is not None:
            new = sealer.with_etag(new, digests)
        if not path.container.startswith(HIDDEN) and path.parent not in self.containers:
            raise NoSuchContainer(path.container)
        size = len(data) if new.stated_size is None else new.stated_size
        record = ObjectRecord(
            path.account,
            path.container,
            path.name,
            size,
            new.etag or digests.md5,
            new.content_type,
            new.headers,
            new.user,
            new.delete_at,
            new.owner,
            {**sums, **new.stated_checksums},
            new.manifest,
            new.parts,
            new.extra,
        )
        stamp = self.stamp()
        row = Entry(
            make_key(Table.INDEX, _DIGEST, encode_name(path.name)),
            stamp,
            Kind.DATA,
            size,
            pack_listed(record.etag, record.content_type, dict(new.listed)),
        )
        stored = StoredObject(path, record, stamp, stamp, new.sides)
        if sealer is not None:
            data = bytes(await sealer.whole(data))
        held[path.name] = (stored, data, row)
        return stored

    async def head_object(self, path: ObjectPath, *, version: str | None = None) -> StoredObject:
        _check(version)
        try:
            return self.objects[path.parent][path.name][0]
        except KeyError:
            raise NoSuchObject(path.name) from None

    async def open_object(
        self, path: ObjectPath, *, version: str | None = None, customer_key: bytes | None = None
    ) -> OpenObject:
        _check(version)
        return await unlock(self.keys, await self._open(path, customer_key), customer_key)

    async def _open(self, path: ObjectPath, customer_key: bytes | None) -> OpenObject:
        stored = await self.head_object(path)
        data = self.objects[path.parent][path.name][1]
        if stored.record.manifest is not Manifest.NONE:
            data = b"".join(
                [
                    bytes((await self.open_object(_path_of(part), customer_key=customer_key)).data or b"")
                    for part in stored.record.parts
                ]
            )

        async def read(offset: int, length: int) -> AsyncIterator[Buffer]:
            yield data[offset : offset + length]

        small = stored.record.manifest is Manifest.NONE
        return OpenObject(stored, data if small else None, read)

    async def set_side(
        self,
        path: ObjectPath,
        name: str,
        value: bytes,
        *,
        version: str | None = None,
        precondition: Precondition | None = None,
    ) -> None:
        stored = await self.head_object(path, version=version)
        if precondition is not None:
            precondition(stored)
        sides = {**stored.sides, name: value}
        changed = StoredObject(
            path, stored.record, stored.stamp, stored.modified, {n: v for n, v in sides.items() if v}
        )
        _, data, row = self.objects[path.parent][path.name]
        self.objects[path.parent][path.name] = (changed, data, row)

    async def delete_object(
        self, path: ObjectPath, *, version: str | None = None, precondition: Precondition | None = None
    ) -> Deletion:
        _check(version)
        held = self.objects.get(path.parent, {})
        stored = held[path.name][0] if path.name in held else None
        if precondition is not None:
            precondition(stored)
        held.pop(path.name, None)
        return Deletion(stored, version)

    async def list_versions(self, path: ContainerPath, query: VersionQuery) -> VersionPage:
        """Every object has its null version and no other."""
        page = await self.list_objects(
            path, Query(query.prefix, query.delimiter, query.key_marker, limit=query.limit)
        )
        items = [_null_version(item) for item in page.items]
        last = "null" if page.items and page.items[-1][1] else None
        return VersionPage(items, page.truncated, page.next_marker, last)

    async def list_objects(self, path: ContainerPath, query: Query) -> Page:
        held = self.objects.get(path, {})
        return list_page(_scan_of({name: row for name, (_, _, row) in held.items()}), query)

    # Containers.

    async def container(self, path: ContainerPath, *, fresh: bool = False) -> Container:
        try:
            return self.containers[path]
        except KeyError:
            raise NoSuchContainer(path.container) from None

    async def create_container(
        self,
        path: ContainerPath,
        owner: str,
        settings: Mapping[str, bytes],
        *,
        born_with: Mapping[str, bytes] | None = None,
    ) -> bool:
        if path in self.containers:
            return False
        entry = Entry(make_key(Table.CONTAINER, _DIGEST), self.stamp(), Kind.DATA)
        record = ContainerRecord(path.account, path.container, owner)
        self.containers[path] = Container(path, record, entry, {**(born_with or {}), **settings})
        return True

    async def set_container(self, path: ContainerPath, settings: Mapping[str, bytes]) -> None:
        held = await self.container(path)
        merged = {name: value for name, value in {**held.settings, **settings}.items() if value}
        self.containers[path] = Container(path, held.record, held.entry, merged)

    async def set_versioning(self, path: ContainerPath, wanted: Versioning) -> None:
        await self.set_container(path, {VERSIONING: wanted.value})

    async def delete_container(self, path: ContainerPath) -> None:
        await self.container(path)
        if self.objects.get(path):
            raise ContainerNotEmpty(path.container)
        del self.containers[path]

    async def list_containers(self, account: str, query: Query) -> tuple[Page, Mapping[bytes, Totals]]:
        rows = {
            path.container: Entry(
                make_key(Table.INDEX, _DIGEST, encode_name(path.container)),
                held.entry.stamp,
                Kind.DATA,
                0,
                pack_listed("", ""),
            )
            for path, held in self.containers.items()
            if path.account == account
        }
        return list_page(_scan_of(rows), query), {}

    # Claims.

    async def claim_bucket(self, name: str, account: str) -> str:
        return self.claims.setdefault(name, account)

    async def bucket_account(self, name: str) -> str | None:
        return self.claims.get(name)

    async def release_bucket(self, name: str) -> None:
        self.claims.pop(name, None)


def _path_of(part: Part) -> ObjectPath:
    return ObjectPath(part.account, part.container, part.name)


def _null_version(item: RawRow) -> ListedVersion | str:
    if not item[1]:
        return decode_name(item[0])
    listed = unpack_listed(item)
    return ListedVersion(listed, "null", is_latest=True, is_marker=False, stamp=listed.stamp)


def _check(version: str | None) -> None:
    if version not in (None, "null"):
        raise NoSuchVersion(str(version))


def _scan_of(rows: Mapping[str, Entry]) -> Any:
    ordered: list[RawRow] = sorted((encode_name(name), row.to_row()) for name, row in rows.items())
    names = [name for name, _ in ordered]

    def scan(start: bytes, end: bytes | None, limit: int) -> list[RawRow]:
        low = bisect_left(names, start)
        high = len(names) if end is None else bisect_left(names, end)
        return ordered[low : min(high, low + limit)]

    return scan
