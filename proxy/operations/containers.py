"""Containers and accounts: create, look up, set, delete; each an entry with a register per setting."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from model.containers import VERSIONING, ContainerRecord, Versioning, pack_container, unpack_container
from model.entry import Entry, Kind, Table, make_key, only_sides
from model.errors import (
    BadRequest,
    ContainerNotEmpty,
    DeviceFull,
    NoSuchAccount,
    NoSuchContainer,
    NotEnoughReplicas,
)
from model.listing import Query, Shape, pack_listed
from model.names import HIDDEN, ContainerPath, index_key
from model.objects import pack_names
from model.stamp import Stamp, just_after
from objectd.contract import Outcome
from proxy.operations.listing import list_index
from proxy.operations.nodes import Nodes
from proxy.operations.read import find, revived
from proxy.operations.stamping import Build, write_stamped
from proxy.operations.types import Container
from proxy.operations.write import Update, Written, write

CACHED_MAX: Final = 10_000
DELETIONS_MAX: Final = 3
"""Tries to delete a container that lists nothing, yet not so on every home."""


class Containers:
    """The container and account operations of one colony.

    An account is kept like a container, in a table of its own, with the empty container name.
    """

    def __init__(self, nodes: Nodes, *, cache_ms: int) -> None:
        """Settings of a container may be served from memory for `cache_ms`."""
        self.nodes = nodes
        self._cache_s = cache_ms / 1000
        self._cached: OrderedDict[ContainerPath, tuple[float, Container]] = OrderedDict()
        self._changed = 0
        nodes.on_settings = self._forget

    # Look-up.

    async def container(self, path: ContainerPath, *, fresh: bool = False) -> Container:
        """Return a container's settings, at most `cache_ms` old unless `fresh`. Raises NoSuchContainer."""
        container = None if fresh else self.remembered(path)
        if container is None and (container := await self.look_up(path)) is None:
            raise NoSuchContainer(path.container)
        return container

    async def account(self, name: str, *, fresh: bool = False) -> Container:
        """Return an account's settings. Raises NoSuchAccount."""
        path = ContainerPath(name, "")
        account = None if fresh else self.remembered(path)
        if account is None:
            account = await self.look_up(path)
        if account is None:
            raise NoSuchAccount(name)
        return account

    def remembered(self, path: ContainerPath) -> Container | None:
        """Return a container as it was at most `cache_ms` ago, or None where that is not known."""
        cached = self._cached.get(path)
        return cached[1] if cached is not None and cached[0] > time.monotonic() else None

    async def look_up(self, path: ContainerPath) -> Container | None:
        """Return a container as it is now, or None where there is none."""
        now = time.monotonic()
        changed = self._changed
        found = await find(self.nodes, self._key(path))
        if found is not None:
            self.nodes.clock.observe(found.entry.newest)
        if found is None or found.entry.kind is not Kind.DATA:
            # Absence is never cached: who creates a container may use it at once, through any proxy.
            self._cached.pop(path, None)
            return None
        container = Container.of(path, unpack_container(found.entry.value), found.entry)
        if changed == self._changed:
            # Nothing changed while this was fetched, so it is not older than the latest notice.
            self._cached[path] = (now + self._cache_s, container)
        if len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)
        return container

    def _forget(self, key: bytes) -> None:
        """Drop what is remembered under a key: a node says that it has just changed."""
        self._changed += 1
        for path, (_, container) in self._cached.items():
            if container.entry.key == key:
                del self._cached[path]
                return

    # Change.

    async def create_container(
        self,
        path: ContainerPath,
        owner: str,
        settings: Mapping[str, bytes],
        *,
        born_with: Mapping[str, bytes] | None = None,
    ) -> bool:
        """Make a container, or merge settings into one that exists; say whether it was made.

        A new one has the registers of `born_with` from its first moment; one that exists is left as it is
        by them. The account is made where it does not exist yet.
        """
        if await self.look_up(path) is not None:
            if settings:
                await self.set_container(path, settings)
            return False
        in_account = path.container and not path.account.startswith(HIDDEN)
        if in_account and await self._account_is_absent(path.account):
            await self.create_account(path.account, owner, {})
        value = pack_container(ContainerRecord(path.account, path.container, owner))
        account_row = self._account_row(path)
        listed = pack_listed("", "", {})

        def updates(stamp: Stamp) -> list[Update]:
            sides = {name: (just_after(stamp), first) for name, first in (born_with or {}).items()}
            made = [Update(Entry(self._key(path), stamp, Kind.DATA, 0, value, sides))]
            if account_row is not None:
                made.append(Update(Entry(account_row, stamp, Kind.DATA, 0, listed)))
            return made

        await self._write(updates)
        if settings:
            await self.set_container(path, settings)
        self._cached.pop(path, None)
        return True

    async def _account_is_absent(self, name: str) -> bool:
        path = ContainerPath(name, "")
        return self.remembered(path) is None and await self.look_up(path) is None

    async def create_account(self, name: str, owner: str, settings: Mapping[str, bytes]) -> bool:
        """Make an account, or merge settings into one that exists; say whether it was made."""
        return await self.create_container(ContainerPath(name, ""), owner, settings)

    async def set_container(self, path: ContainerPath, settings: Mapping[str, bytes]) -> None:
        """Set registers of a container; an empty value removes. Raises NoSuchContainer."""
        if await self.look_up(path) is None:
            raise NoSuchContainer(path.container)
        key = self._key(path)

        def updates(stamp: Stamp) -> list[Update]:
            return [Update(only_sides(key, {name: (stamp, value) for name, value in settings.items()}))]

        await self._write(updates)
        self._cached.pop(path, None)

    async def set_versioning(self, path: ContainerPath, wanted: Versioning) -> None:
        """Turn versioning on or suspend it; once this returns, no proxy goes by what was before.

        Proxies remember settings for `cache_ms`, so that long is waited. Where versioning was never on,
        it is suspended first: all readers then look for versions before anybody makes one.
        Raises NoSuchContainer, and BadRequest where it would be turned off altogether.
        """
        if wanted is Versioning.OFF:
            raise BadRequest("versioning can be suspended, not turned off")
        container = await self.look_up(path)
        if container is None:
            raise NoSuchContainer(path.container)
        if container.versioning is Versioning.OFF and wanted is Versioning.ENABLED:
            await self._set_known(path, Versioning.SUSPENDED)
        # Also where nothing changes: who set it may not have waited to the end.
        await self._set_known(path, wanted)

    async def _set_known(self, path: ContainerPath, versioning: Versioning) -> None:
        await self.set_container(path, {VERSIONING: versioning.value})
        await asyncio.sleep(self._cache_s)

    async def set_account(self, name: str, settings: Mapping[str, bytes]) -> None:
        """Set registers of an account; an empty value removes. Raises NoSuchAccount."""
        try:
            await self.set_container(ContainerPath(name, ""), settings)
        except NoSuchContainer as error:
            raise NoSuchAccount(name) from error

    async def delete_container(self, path: ContainerPath) -> None:
        """Delete an empty container. Raises NoSuchContainer, ContainerNotEmpty.

        Each home refuses the tombstone while it lists a live object, so a majority of homes that
        take it shares one with the majority of any object that was acknowledged.
        """
        container = await self.look_up(path)
        if container is None:
            raise NoSuchContainer(path.container)
        key = self._key(path)
        digest = key[1:17]
        names = pack_names(path.object(""))
        for _ in range(DELETIONS_MAX):
            page, _ = await list_index(self.nodes, digest, Query(limit=1, shape=Shape.VERSIONS))
            if page.items:
                break
            tombstone = Entry(key, self.nodes.clock.next(), Kind.TOMBSTONE, 0, names)
            (written,) = await write(self.nodes, (Update(tombstone, if_empty=True),))
            self._cached.pop(path, None)
            if written.durable:
                await self._delete_row(path, tombstone, written.devices)
                return
            if Outcome.NOT_EMPTY not in written.refusals:
                _raise_unless_durable((written,))
            await self._restore(container)
        raise ContainerNotEmpty(f"container {path.container!r} is not empty")

    async def _delete_row(self, path: ContainerPath, tombstone: Entry, devices: tuple[int, ...]) -> None:
        self.nodes.confirm(tombstone.key, tombstone.stamp, devices)
        row = self._account_row(path)
        if row is not None:
            await self._write(lambda stamp: [Update(Entry(row, stamp, Kind.TOMBSTONE, 0, tombstone.value))])

    async def _restore(self, container: Container) -> None:
        """Bring back a container that some homes took for empty while others list an object."""
        await self._write(lambda stamp: [Update(revived(container.entry, stamp))])

    async def delete_account(self, name: str) -> None:
        """Delete an account without containers. Raises NoSuchAccount, ContainerNotEmpty."""
        try:
            await self.delete_container(ContainerPath(name, ""))
        except NoSuchContainer as error:
            raise NoSuchAccount(name) from error

    # Helpers.

    async def _write(self, build: Build) -> None:
        _, _, written = await write_stamped(self.nodes, build, looked_up=True)
        _raise_unless_durable(written)

    def _key(self, path: ContainerPath) -> bytes:
        if not path.container:
            return make_key(Table.ACCOUNT, self.nodes.epoch.digest(path.account))
        return make_key(Table.CONTAINER, self.nodes.epoch.digest(path.account, path.container))

    def _account_row(self, path: ContainerPath) -> bytes | None:
        """Return the key of the row that lists a container in its account; hidden ones are not listed."""
        if not path.container or path.container.startswith(HIDDEN):
            return None
        return index_key(self.nodes.epoch.digest(path.account), path.container)


def _raise_unless_durable(written: Sequence[Written]) -> None:
    if all(one.durable for one in written):
        return
    if any(Outcome.FULL in one.refusals for one in written):
        raise DeviceFull("too many of the devices that should hold this are full")
    raise NotEnoughReplicas("the write did not reach a majority of its replicas")
