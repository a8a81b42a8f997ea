"""The colony as the API verbs see it: one object with every operation, whatever the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model.containers import Versioning
from model.errors import NoSuchContainer, NoSuchObject
from model.listing import Page, Query, Shape
from model.names import SYSTEM_ACCOUNT, ContainerPath, decode_name
from model.retention import OBJECT_LOCK, LockRule, unpack_rule
from model.stamp import stamp_ms
from proxy.encryption.defaults import BucketEncryption, default_seal
from proxy.encryption.key_manager import KeyManager
from proxy.encryption.sealed import Seal
from proxy.operations.containers import Containers
from proxy.operations.deletion import Deletions
from proxy.operations.listing import index_totals, list_index
from proxy.operations.look_up import LookUps
from proxy.operations.nodes import Nodes
from proxy.operations.objects import Objects
from proxy.operations.types import (
    AccountTotals,
    HeldBody,
    NewObject,
    StoredObject,
    Totals,
    VersionPage,
    VersionQuery,
)
from proxy.operations.version_listing import list_versions


class _Claimed(Exception):
    """A bucket name is held by an account."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.account = account


def _refuse_claimed(claim: StoredObject | None) -> None:
    if claim is not None:
        raise _Claimed(claim.record.extra["account"])


_BUCKETS = ContainerPath(SYSTEM_ACCOUNT, "\0buckets")
_PAGE_ROWS = 10_000


class Colony:
    """Every operation on objects, containers and accounts."""

    def __init__(
        self, nodes: Nodes, *, inline_bytes_max: int = 1 << 20, container_cache_ms: int = 1000
    ) -> None:
        """Serve from these nodes; see proxy.operations.objects and .containers for the limits."""
        self.nodes = nodes
        self._containers = containers = Containers(nodes, cache_ms=container_cache_ms)
        self._look_ups = look_ups = LookUps(nodes, containers)
        self._objects = objects = Objects(look_ups, inline_bytes_max=inline_bytes_max)
        objects.default_lock = self._default_lock
        self._default_encryption: BucketEncryption | None = None
        self.head_object = objects.head_object
        self.open_object = objects.open_object
        self.put_object = objects.put_object
        self.post_object = objects.post_object
        self.set_side = objects.set_side
        self.delete_object = Deletions(look_ups).delete_object
        self.container = containers.container
        self.create_container = containers.create_container
        self.set_container = containers.set_container
        self.set_versioning = containers.set_versioning
        self.delete_container = containers.delete_container
        self.account = containers.account
        self.create_account = containers.create_account
        self.set_account = containers.set_account
        self.delete_account = containers.delete_account

    async def _default_seal(self, path: ContainerPath) -> Seal | None:
        try:
            container = await self.container(path)
        except NoSuchContainer:
            # The write itself will be refused, unless the container has just been made.
            return None
        return default_seal(container.settings, self._default_encryption)

    async def _default_lock(self, path: ContainerPath) -> LockRule | None:
        try:
            container = await self.container(path)
        except NoSuchContainer:
            return None
        return unpack_rule(container.settings.get(OBJECT_LOCK, b""))

    def use_keys(self, keys: KeyManager, default: BucketEncryption | None = None) -> None:
        """Encrypt and decrypt by these keys from now on; `default` is for containers that say nothing."""
        self._objects.keys = keys
        self._default_encryption = default
        self._objects.default_seal = self._default_seal

    @property
    def keys(self) -> KeyManager:
        """The keys that encrypted objects are written and read by."""
        return self._objects.keys

    def clock_ms(self) -> int:
        """Return milliseconds since the epoch, never behind a stamp seen."""
        return stamp_ms(self.nodes.clock.next())

    # Listings and totals.

    async def list_objects(self, path: ContainerPath, query: Query) -> Page:
        """Return one page of a container's objects; an absent container lists nothing."""
        page, _ = await self.list_with_totals(path, query)
        return page

    async def list_with_totals(self, path: ContainerPath, query: Query) -> tuple[Page, Totals]:
        """Return one page of a container's objects and the container's totals, in one message.

        Where the container has versions, the page shows the current ones, and the totals are of all.
        """
        if await self._look_ups.versioning(path) is not Versioning.OFF:
            query = replace(query, shape=Shape.CURRENT)
        return await list_index(self.nodes, self._index(path), query)

    async def list_versions(self, path: ContainerPath, query: VersionQuery) -> VersionPage:
        """Return one page of all versions and markers of a container; an absent container lists nothing."""
        return await list_versions(self.nodes, path, query)

    async def list_containers(self, account: str, query: Query) -> tuple[Page, Mapping[bytes, Totals]]:
        """Return one page of an account's containers, and the totals of those on it by name."""
        page, _ = await list_index(self.nodes, self.nodes.epoch.digest(account), query)
        names = [name for name, row in page.items if row]
        digests = [self._index(ContainerPath(account, decode_name(name))) for name in names]
        totals = await index_totals(self.nodes, digests)
        return page, dict(zip(names, totals, strict=True))

    async def container_totals(self, path: ContainerPath) -> Totals:
        """Return the count and the logical bytes of a container's objects."""
        (totals,) = await index_totals(self.nodes, [self._index(path)])
        return totals

    async def account_totals(self, name: str) -> AccountTotals:
        """Return the containers of an account, their objects and their bytes, gathered now."""
        containers = objects = size = 0
        marker = b""
        while True:
            page, totals = await self.list_containers(name, Query(marker=marker, limit=_PAGE_ROWS))
            containers += len(totals)
            objects += sum(one.count for one in totals.values())
            size += sum(one.bytes for one in totals.values())
            if not page.truncated:
                return AccountTotals(containers, objects, size)
            marker = page.next_marker

    def _index(self, path: ContainerPath) -> bytes:
        return self.nodes.epoch.digest(path.account, path.container)

    # Bucket names, one owner each in the whole colony.

    async def claim_bucket(self, name: str, account: str) -> str:
        """Claim a bucket name for an account; return the account that holds it, maybe another.

        Of those who claim a name at once exactly one gets it. Raises Contended where that cannot be
        settled just now.
        """
        claim = NewObject(extra={"account": account})
        try:
            await self.put_object(_BUCKETS.object(name), claim, HeldBody(b""), precondition=_refuse_claimed)
        except _Claimed as claimed:
            return claimed.account
        return account

    async def bucket_account(self, name: str) -> str | None:
        """Return the account that holds a bucket name, or None where it is free."""
        try:
            claim = await self.head_object(_BUCKETS.object(name))
        except NoSuchObject:
            return None
        account: str = claim.record.extra["account"]
        return account

    async def release_bucket(self, name: str) -> None:
        """Give a bucket name up; harmless where it is free."""
        await self.delete_object(_BUCKETS.object(name))

    async def close(self) -> None:
        """Send what is still to be confirmed and close every connection."""
        await self.nodes.close()
