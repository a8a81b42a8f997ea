"""The key manager of a colony that keeps its master keys in itself.

Records and versions are objects of the system account, replicated and repaired like any other. A proxy
remembers opened versions, which never change, and believes what a key's record says for two seconds.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kit.clock import monotonic_ms, wall_clock_ms
from model.errors import (
    Conflict,
    CorruptRecord,
    MasterKeyDisabled,
    MasterKeyLost,
    NoSuchMasterKey,
    PreconditionFailed,
)
from model.names import HIDDEN, SYSTEM_ACCOUNT, ContainerPath
from proxy.encryption.cipher import KEY_BYTES
from proxy.encryption.key_manager import DataKey
from proxy.encryption.master_keys import (
    KeyVersion,
    MasterKey,
    Standing,
    VersionSealer,
    check_key_id,
    pack_master_key,
    pack_version,
    unpack_master_key,
    unpack_version,
)
from proxy.encryption.sealed import OWN_KEY
from proxy.encryption.wrapping import SALT_BYTES, WrongKey, unwrap, version_of, wrap
from proxy.identity.cache import FreshCache
from proxy.identity.vault import Vault
from proxy.operations.colony import Colony

KEYS: Final = ContainerPath(SYSTEM_ACCOUNT, f"{HIDDEN}keys")
_KEY: Final = "key/"
_VERSION: Final = "version/"
_OPENED_MAX: Final = 4096
_CHANGE_TRIES: Final = 8

_log = logging.getLogger(__name__)


class LocalKeys:
    """Master keys of one colony: used by proxies, administered by `colonnade keys`.

    `cluster_key` is the secret that all nodes share. Every call may raise Unavailable.
    """

    def __init__(
        self,
        colony: Colony,
        cluster_key: bytes,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        elapsed_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._vault = Vault(colony, KEYS)
        self._sealer = VersionSealer(cluster_key)
        self._now_ms = now_ms
        self._records = FreshCache(self._load, now_ms=elapsed_ms)
        self._opened: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    # For encryption.

    async def make(self, key_id: str, bound: bytes) -> DataKey:
        """Return a new data key under the newest version of a master key.

        The colony's own key is made when it is first needed. Raises NoSuchMasterKey, MasterKeyDisabled,
        MasterKeyLost.
        """
        record = await self._records.get(key_id)
        if record is None and key_id == OWN_KEY:
            record = await self._first_own_key()
        record = _usable(record, key_id)
        master = await self._version(key_id, record.version)
        key = secrets.token_bytes(KEY_BYTES)
        version, salt = bytes.fromhex(record.version), secrets.token_bytes(SALT_BYTES)
        return DataKey(key, wrap(master, key, bound, version=version, salt=salt))

    async def open(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """Return a data key that some version of a master key wrapped.

        Raises NoSuchMasterKey, MasterKeyDisabled, MasterKeyLost, CorruptRecord.
        """
        _usable(await self._records.get(key_id), key_id)
        master = await self._version(key_id, version_of(wrapped).hex())
        try:
            return unwrap(master, wrapped, bound)
        except WrongKey as error:
            raise CorruptRecord("the wrapped data key was altered, or belongs to another object") from error

    async def _version(self, key_id: str, version: str) -> bytes:
        opened = self._opened.get((key_id, version))
        if opened is not None:
            self._opened.move_to_end((key_id, version))
            return opened
        kept = await self._vault.read(_version_name(key_id, version))
        try:
            if kept is None:
                raise MasterKeyLost(f"version {version} of key {key_id!r} is not in the colony any more")
            opened = self._sealer.open(unpack_version(kept.value))
        except MasterKeyLost as error:
            _log.error("master key lost", extra={"key": key_id, "version": version, "reason": str(error)})
            raise
        self._opened[key_id, version] = opened
        if len(self._opened) > _OPENED_MAX:
            self._opened.popitem(last=False)
        return opened

    async def _first_own_key(self) -> MasterKey:
        try:
            return await self.add(OWN_KEY, description="objects encrypted by AES256 (SSE-S3)")
        except PreconditionFailed:
            # Another proxy was first.
            return await self.find(OWN_KEY)

    async def _load(self, key_id: str) -> MasterKey | None:
        kept = await self._vault.read(_KEY + key_id)
        return None if kept is None else unpack_master_key(kept.value)

    # Administration: rare, so it reads past the cache.

    async def add(self, key_id: str, *, description: str = "") -> MasterKey:
        """Add a master key with its first version. Raises PreconditionFailed where one has that id."""
        check_key_id(key_id)
        if await self._load(key_id) is not None:
            raise PreconditionFailed(f"key {key_id!r} exists")
        version = await self._new_version(key_id)
        record = MasterKey(
            key_id, version.version, version.created_s, version.created_s, description=description
        )
        await self._vault.create(_KEY + key_id, pack_master_key(record))
        self._records.forget(key_id)
        return record

    async def find(self, key_id: str) -> MasterKey:
        """Return a master key as stored now. Raises NoSuchMasterKey."""
        record = await self._load(key_id)
        if record is None:
            raise NoSuchMasterKey(key_id)
        return record

    async def keys(self) -> list[MasterKey]:
        """Return all master keys by id."""
        names = [row.name.removeprefix(_KEY) for row in await self._vault.names(_KEY)]
        found = [await self._load(name) for name in names]
        return [record for record in found if record is not None]

    async def versions(self, key_id: str) -> list[KeyVersion]:
        """Return the versions of a key, oldest first, also such as a rotation left that broke off."""
        prefix = f"{_VERSION}{key_id}/"
        rows = await self._vault.names(prefix)
        # The versions of `a/b` stand under the prefix of `a` too.
        kept = [await self._vault.read(row.name) for row in rows if "/" not in row.name.removeprefix(prefix)]
        found = [unpack_version(one.value) for one in kept if one is not None]
        return sorted(found, key=lambda one: (one.created_s, one.version))

    async def rotate(self, key_id: str) -> MasterKey:
        """Make a new version of a key, which encrypts from now on; the older ones stay for reading.

        Raises NoSuchMasterKey.
        """
        await self.find(key_id)
        # The version first: a key's record never names one that is not there.
        version = await self._new_version(key_id)
        return await self._change(
            key_id, lambda record: replace(record, version=version.version, rotated_s=version.created_s)
        )

    async def set_standing(self, key_id: str, standing: Standing) -> MasterKey:
        """Enable or disable a key; proxies follow within two seconds. Raises NoSuchMasterKey."""
        return await self._change(key_id, lambda record: replace(record, standing=standing))

    async def remove(self, key_id: str) -> None:
        """Remove a disabled key and all its versions: what it encrypted is lost for good.

        Raises NoSuchMasterKey, and Conflict for a key that is enabled.
        """
        if (await self.find(key_id)).standing is not Standing.DISABLED:
            raise Conflict(f"key {key_id!r} is enabled; disable it first, and see that nobody misses it")
        versions = await self.versions(key_id)
        await self._vault.remove(_KEY + key_id)
        for version in versions:
            await self._vault.remove(_version_name(key_id, version.version))
            self._opened.pop((key_id, version.version), None)
        self._records.forget(key_id)

    async def restore(self, record: MasterKey, versions: list[KeyVersion]) -> None:
        """Put back an exported key, where it or some of its versions are missing.

        Raises MasterKeyLost where another cluster key sealed a version, Conflict where the record names
        none of them.
        """
        check_key_id(record.id)
        for version in versions:
            self._sealer.open(version)
        if record.version not in {version.version for version in versions}:
            raise Conflict(f"the copy of key {record.id!r} lacks its newest version")
        for version in versions:
            name = _version_name(record.id, version.version)
            if await self._vault.read(name) is None:
                await self._vault.create(name, pack_version(version))
        if await self._load(record.id) is None:
            await self._vault.create(_KEY + record.id, pack_master_key(record))
        self._records.forget(record.id)

    async def _new_version(self, key_id: str) -> KeyVersion:
        version = self._sealer.draw(key_id, self._now_ms() // 1000)
        await self._vault.create(_version_name(key_id, version.version), pack_version(version))
        return version

    async def _change(self, key_id: str, alter: Callable[[MasterKey], MasterKey]) -> MasterKey:
        for _ in range(_CHANGE_TRIES):
            kept = await self._vault.read(_KEY + key_id)
            if kept is None:
                raise NoSuchMasterKey(key_id)
            record = alter(unpack_master_key(kept.value))
            try:
                await self._vault.replace(_KEY + key_id, pack_master_key(record), kept)
            except PreconditionFailed:
                continue
            self._records.forget(key_id)
            return record
        raise Conflict(f"key {key_id!r} is being changed by others; try again")


def _usable(record: MasterKey | None, key_id: str) -> MasterKey:
    if record is None:
        raise NoSuchMasterKey(key_id)
    if record.standing is Standing.DISABLED:
        raise MasterKeyDisabled(key_id)
    return record


def _version_name(key_id: str, version: str) -> str:
    return f"{_VERSION}{key_id}/{version}"
