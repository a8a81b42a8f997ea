"""A colony in one dictionary: enough of the operations to drive the verbs of the Swift API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from model.containers import ContainerRecord
from model.entry import Entry, Kind, Table, make_key
from model.errors import ContainerNotEmpty, NoSuchAccount, NoSuchContainer, NoSuchObject
from model.listing import Page, Query, RawRow, list_page, pack_listed
from model.names import HIDDEN, ContainerPath, ObjectPath, decode_name, encode_name
from model.objects import Manifest, ObjectRecord, PostedMetadata
from model.stamp import ZERO, Stamp, next_stamp
from proxy.operations.digester import Digester
from proxy.operations.listing import held_scan
from proxy.operations.parts import read_parts
from proxy.operations.types import (
    AccountTotals,
    BodySource,
    Buffer,
    Container,
    Deletion,
    NewObject,
    OpenObject,
    Precondition,
    StoredObject,
    Totals,
)


class FakeColony:
    """Keeps everything in memory; its clock ticks a millisecond with each write."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = start_ms
        self.objects: dict[ObjectPath, tuple[StoredObject, bytes, dict[str, Any]]] = {}
        self.containers: dict[ContainerPath, Container] = {}
        self.last: Stamp = ZERO
        self.reads = 0
        self._remembered: set[ContainerPath] = set()

    def clock_ms(self) -> int:
        return self.now_ms

    def _stamp(self) -> Stamp:
        self.now_ms += 1
        self.last = next_stamp(self.last, self.now_ms, 7)
        return self.last

    # Objects.

    async def put_object(
        self, path: ObjectPath, new: NewObject, body: BodySource, *, precondition: Precondition | None = None
    ) -> StoredObject:
        if not path.container.startswith(HIDDEN) and path.parent not in self.containers:
            raise NoSuchContainer(path.container)
        if precondition is not None:
            held = self.objects.get(path)
            precondition(None if held is None else held[0])
        digester = Digester(new.checksums)
        data = b""
        async for chunk in body.chunks():
            await digester.update(chunk)
            data += bytes(chunk)
        digests = digester.digests()
        if new.verify is not None:
            new.verify(digests)
        record = ObjectRecord(
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
            digests.checksums,
            new.manifest,
            new.parts,
            new.extra,
        )
        stamp = self._stamp()
        stored = StoredObject(path, record, stamp, stamp, new.sides)
        self.objects[path] = (stored, data, dict(new.listed))
        return stored

    def _live(self, path: ObjectPath) -> tuple[StoredObject, bytes, dict[str, Any]]:
        self.reads += 1
        held = self.objects.get(path)
        if held is None:
            raise NoSuchObject(path.name)
        delete_at = held[0].record.delete_at
        if delete_at and delete_at * 1000 <= self.now_ms:
            raise NoSuchObject(path.name)
        return held

    async def head_object(self, path: ObjectPath) -> StoredObject:
        return self._live(path)[0]

    async def open_object(self, path: ObjectPath) -> OpenObject:
        stored, data, _ = self._live(path)
        parts = stored.record.parts

        async def read_own(offset: int, length: int) -> AsyncIterator[Buffer]:
            yield data[offset : offset + length]

        def read_joined(offset: int, length: int) -> AsyncIterator[Buffer]:
            return read_parts(self.open_object, parts, offset, length)

        if stored.record.manifest is Manifest.NONE:
            return OpenObject(stored, data, read_own)
        return OpenObject(stored, None, read_joined)

    async def post_object(self, path: ObjectPath, posted: PostedMetadata) -> StoredObject:
        stored, data, listed = self._live(path)
        record = replace(
            stored.record,
            content_type=posted.content_type or stored.record.content_type,
            headers=posted.headers,
            user=posted.user,
            delete_at=posted.delete_at,
        )
        stored = replace(stored, record=record, modified=self._stamp())
        self.objects[path] = (stored, data, listed)
        return stored

    async def delete_object(self, path: ObjectPath, *, precondition: Precondition | None = None) -> Deletion:
        if precondition is not None:
            there = self.objects.get(path)
            precondition(None if there is None else there[0])
        held = self.objects.pop(path, None)
        return Deletion(None if held is None else held[0])

    # Containers and accounts.

    async def container(self, path: ContainerPath, *, fresh: bool = False) -> Container:
        if fresh or path not in self._remembered:
            self.reads += 1
        if path not in self.containers:
            raise NoSuchContainer(path.container)
        self._remembered.add(path)
        return self.containers[path]

    async def account(self, name: str, *, fresh: bool = False) -> Container:
        try:
            return await self.container(ContainerPath(name, ""))
        except NoSuchContainer as error:
            raise NoSuchAccount(name) from error

    async def create_container(self, path: ContainerPath, owner: str, settings: Mapping[str, bytes]) -> bool:
        made = path not in self.containers
        if made:
            if path.container and ContainerPath(path.account, "") not in self.containers:
                await self.create_container(ContainerPath(path.account, ""), owner, {})
            entry = Entry(make_key(Table.CONTAINER, bytes(16)), self._stamp(), Kind.DATA)
            record = ContainerRecord(path.account, path.container, owner)
            self.containers[path] = Container.of(path, record, entry)
        if settings:
            await self.set_container(path, settings)
        return made

    async def create_account(self, name: str, owner: str, settings: Mapping[str, bytes]) -> bool:
        return await self.create_container(ContainerPath(name, ""), owner, settings)

    async def set_container(self, path: ContainerPath, settings: Mapping[str, bytes]) -> None:
        container = await self.container(path)
        stamp = self._stamp()
        sides = {**container.entry.sides, **{name: (stamp, value) for name, value in settings.items()}}
        self.containers[path] = Container.of(path, container.record, replace(container.entry, sides=sides))

    async def set_account(self, name: str, settings: Mapping[str, bytes]) -> None:
        await self.set_container(ContainerPath(name, ""), settings)

    async def delete_container(self, path: ContainerPath) -> None:
        await self.container(path)
        if (await self.container_totals(path)).count:
            raise ContainerNotEmpty(path.container)
        del self.containers[path]

    # Listings.

    def _page(self, rows: list[RawRow], query: Query) -> Page:
        return list_page(held_scan(sorted(rows, reverse=query.reverse), reverse=query.reverse), query)

    async def list_objects(self, path: ContainerPath, query: Query) -> Page:
        rows = []
        for held_path, (stored, _, listed) in self.objects.items():
            if held_path.parent == path:
                record = stored.record
                value = pack_listed(record.etag, record.content_type, listed)
                entry = Entry(b"", stored.modified, Kind.DATA, record.size, value)
                rows.append((encode_name(held_path.name), entry.to_row()))
        return self._page(rows, query)

    async def list_with_totals(self, path: ContainerPath, query: Query) -> tuple[Page, Totals]:
        return await self.list_objects(path, query), await self.container_totals(path)

    async def container_totals(self, path: ContainerPath) -> Totals:
        held = [stored for at, (stored, _, _) in self.objects.items() if at.parent == path]
        return Totals(len(held), sum(stored.record.size for stored in held))

    async def list_containers(self, account: str, query: Query) -> tuple[Page, Mapping[bytes, Totals]]:
        rows = []
        for path, container in self.containers.items():
            if path.account == account and path.container:
                entry = Entry(b"", container.entry.stamp, Kind.DATA, 0, pack_listed("", ""))
                rows.append((encode_name(path.container), entry.to_row()))
        page = self._page(rows, query)
        totals = {
            name: await self.container_totals(ContainerPath(account, decode_name(name)))
            for name, row in page.items
            if row
        }
        return page, totals

    async def account_totals(self, name: str) -> AccountTotals:
        _, totals = await self.list_containers(name, Query())
        return AccountTotals(
            len(totals), sum(one.count for one in totals.values()), sum(one.bytes for one in totals.values())
        )
