"""What is kept of a master key and of each of its versions, and how a version is sealed at rest.

A version never changes and is never overwritten: it has a random id and is an object of its own, so that
of two rotations at once neither can lose the key that something was encrypted under meanwhile. The
record of a key names the version that encrypts from now on.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from model.errors import CorruptRecord, InvalidName, MasterKeyLost
from proxy.encryption.cipher import KEY_BYTES
from proxy.encryption.wrapping import VERSION_ID_BYTES
from proxy.identity.sealing import derive_key

_FORMAT_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_KEY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@+=-]{0,255}")


class Standing(StrEnum):
    """Whether a master key may be used."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The record of a master key: `version` is the hex id of the one that encrypts."""

    id: str
    version: str
    created_s: int
    rotated_s: int
    standing: Standing = Standing.ENABLED
    description: str = ""


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a master key at rest: sealed under a key that derives from the cluster key."""

    key_id: str
    version: str
    created_s: int
    sealed: bytes


def check_key_id(key_id: str) -> str:
    """Return the id of a master key. Raises InvalidName for one that clients could not send in a header."""
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidName("a key id has 1 to 256 letters, digits and marks of _ . / : @ + = -")
    return key_id


class VersionSealer:
    """Draws, seals and opens versions of master keys under a key derived from the cluster key."""

    def __init__(self, cluster_key: bytes) -> None:
        self._cipher = AESGCM(derive_key(cluster_key, "master keys"))

    def draw(self, key_id: str, created_s: int) -> KeyVersion:
        """Return a new version: a random key under a random id."""
        version = secrets.token_hex(VERSION_ID_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        key = secrets.token_bytes(KEY_BYTES)
        return KeyVersion(
            key_id, version, created_s, nonce + self._cipher.encrypt(nonce, key, _bound(key_id, version))
        )

    def open(self, kept: KeyVersion) -> bytes:
        """Return the key of a version. Raises MasterKeyLost where another cluster key sealed it."""
        nonce, sealed = kept.sealed[:_NONCE_BYTES], kept.sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, _bound(kept.key_id, kept.version))
        except (InvalidTag, ValueError):
            raise MasterKeyLost(
                f"version {kept.version} of key {kept.key_id!r} was sealed by another cluster key, or altered"
            ) from None


def pack_master_key(key: MasterKey) -> bytes:
    """Return the msgpack of a master key's record."""
    return _pack(
        (
            _FORMAT_VERSION,
            key.id,
            key.version,
            key.created_s,
            key.rotated_s,
            str(key.standing),
            key.description,
        )
    )


def unpack_master_key(packed: bytes) -> MasterKey:
    """Return the record of a msgpack. Raises CorruptRecord."""
    key_id, version, created_s, rotated_s, standing, description = _unpack(packed, 7)
    try:
        return MasterKey(key_id, version, created_s, rotated_s, Standing(standing), description)
    except ValueError as error:
        raise CorruptRecord(f"a master key has an unknown standing: {standing!r}") from error


def pack_version(version: KeyVersion) -> bytes:
    """Return the msgpack of a version at rest."""
    return _pack((_FORMAT_VERSION, version.key_id, version.version, version.created_s, version.sealed))


def unpack_version(packed: bytes) -> KeyVersion:
    """Return the version of a msgpack. Raises CorruptRecord."""
    return KeyVersion(*_unpack(packed, 5))


def _bound(key_id: str, version: str) -> bytes:
    return f"{version}\0{key_id}".encode()


def _pack(fields: tuple[object, ...]) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack(packed: bytes, count: int) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"a master key cannot be decoded: {error}") from error
    if not isinstance(fields, list) or len(fields) != count or fields[0] != _FORMAT_VERSION:
        raise CorruptRecord("a master key is of an unknown form")
    return fields[1:]
