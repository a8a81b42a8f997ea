"""Encryption of objects on their way in and out: data keys, ETags, and ciphers around their bytes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from model.errors import CustomerKeyNeeded, CustomerKeyUnfit, CustomerKeyWrong, Encrypted
from model.names import ObjectPath
from proxy.encryption.cipher import (
    KEY_BYTES,
    SegmentOpener,
    SegmentSealer,
    open_whole,
    sealed_bytes,
    window_of,
)
from proxy.encryption.key_manager import DataKey, KeyManager
from proxy.encryption.sealed import SSE, ETags, Mode, Seal, Sealed, binding, pack_sealed, sealed_of
from proxy.encryption.wrapping import NO_VERSION, SALT_BYTES, WrongKey, opaque_etag, unwrap, wrap
from proxy.operations.types import Buffer, Digests, NewObject, OpenObject, StoredObject

Read = Callable[[int, int], AsyncIterator[Buffer]]

THREAD_BYTES_MIN: Final = 1 << 20
"""Below this, sealing on the event loop (0.2 ms per MiB) costs hardly more than the trip to a thread."""


class BodySealer:
    """Seals one body as it passes to the nodes."""

    def __init__(self, key: bytes, *, etag_key: bytes = b"") -> None:
        """Seal under a new key; with `etag_key` the ETag is opaque."""
        self._etag_key = etag_key
        self._segments = SegmentSealer(key)

    def length(self, size: int | None) -> int | None:
        """Return how long a body of this size is once sealed."""
        return None if size is None else sealed_bytes(size)

    async def whole(self, body: Buffer) -> Buffer:
        """Return a whole body sealed."""
        if len(body) < THREAD_BYTES_MIN:
            return self._segments.whole(body)
        return await asyncio.get_running_loop().run_in_executor(None, self._segments.whole, body)

    async def update(self, chunk: Buffer) -> Buffer:
        """Return what a chunk completes, maybe nothing."""
        if len(chunk) < THREAD_BYTES_MIN:
            return self._segments.update(chunk)
        return await asyncio.get_running_loop().run_in_executor(None, self._segments.update, chunk)

    def finish(self) -> Buffer:
        """Return the rest."""
        return self._segments.finish()

    def with_etag(self, new: NewObject, digests: Digests) -> NewObject:
        """Return a new object with the ETag that it gets by its encryption."""
        if not self._etag_key or new.etag is not None:
            return new
        return replace(new, etag=opaque_etag(self._etag_key, digests.md5))


async def begin_sealing(
    keys: KeyManager, path: ObjectPath, new: NewObject, seal: Seal
) -> tuple[NewObject, BodySealer]:
    """Return what to store for an object that is to be encrypted, and what seals its body.

    Raises NoSuchMasterKey, MasterKeyDisabled, MasterKeyLost, Unavailable.
    """
    key, sealed = await make_sealed(keys, path, seal)
    etag_key = (seal.etag_key or key) if seal.etags is ETags.OPAQUE else b""
    extra = {**new.extra, SSE: pack_sealed(sealed)}
    return replace(new, seal=None, extra=extra), BodySealer(key, etag_key=etag_key)


async def make_sealed(keys: KeyManager, path: ObjectPath, seal: Seal) -> tuple[bytes, Sealed]:
    """Return a new data key, and what a record keeps of it. Raises as `begin_sealing`."""
    bound = binding(path, seal.mode, seal.key_id, seal.context)
    if seal.mode is Mode.CUSTOMER:
        key = secrets.token_bytes(KEY_BYTES)
        salt = secrets.token_bytes(SALT_BYTES)
        made = DataKey(key, wrap(seal.customer_key, key, bound, version=NO_VERSION, salt=salt))
    else:
        made = await keys.make(seal.key_id, bound)
    sealed = Sealed(seal.mode, seal.key_id, made.wrapped, context=seal.context, bucket_key=seal.bucket_key)
    return made.key, sealed


def check_customer_key(stored: StoredObject, customer_key: bytes | None) -> None:
    """Raise what `open_customers` does, for who is told of an object without its bytes."""
    sealed = sealed_of(stored.record.extra) if stored.record.extra else None
    open_customers(stored.path, sealed, customer_key)


def open_customers(path: ObjectPath, sealed: Sealed | None, customer_key: bytes | None) -> bytes:
    """Return the data key that a customer's key opens; nothing where no customer's key is needed.

    Raises CustomerKeyNeeded, CustomerKeyWrong, CustomerKeyUnfit, CorruptRecord.
    """
    if sealed is None or sealed.mode is not Mode.CUSTOMER:
        if customer_key is not None:
            raise CustomerKeyUnfit
        return b""
    if customer_key is None:
        raise CustomerKeyNeeded
    try:
        return unwrap(customer_key, sealed.wrapped, _bound(path, sealed))
    except WrongKey:
        raise CustomerKeyWrong from None


async def open_key(
    keys: KeyManager, path: ObjectPath, sealed: Sealed | None, customer_key: bytes | None
) -> bytes:
    """Return the data key of an object, nothing for a plain one.

    Raises Encrypted, CorruptRecord, Unavailable.
    """
    opened = open_customers(path, sealed, customer_key)
    if opened or sealed is None:
        return opened
    return await keys.open(sealed.key_id, sealed.wrapped, _bound(path, sealed))


def _bound(path: ObjectPath, sealed: Sealed) -> bytes:
    return binding(path, sealed.mode, sealed.key_id, sealed.context)


async def unlock(keys: KeyManager, opened: OpenObject, customer_key: bytes | None) -> OpenObject:
    """Return an object whose bytes are opened on their way, or which says why they cannot be (`locked`).

    `opened` gives the bytes as they are stored; those of a manifest come opened already, part by part.
    Raises CorruptRecord, Unavailable.
    """
    stored = opened.stored
    sealed = sealed_of(stored.record.extra)
    try:
        key = await open_key(keys, stored.path, sealed, customer_key)
    except Encrypted as error:
        return OpenObject(stored, None, _refusing(error), error)
    if sealed is None or stored.record.manifest:
        return opened
    size, segment_bytes = stored.record.size, sealed.segment_bytes
    if opened.data is not None:
        data = open_whole(key, opened.data, size, segment_bytes)
        return OpenObject(stored, data, _of_whole(data))

    def read(offset: int, length: int) -> AsyncIterator[Buffer]:
        return _read_sealed(opened.read, key, stored, sealed, offset, length)

    return OpenObject(stored, None, read)


async def _read_sealed(
    read: Read, key: bytes, stored: StoredObject, sealed: Sealed, offset: int, length: int
) -> AsyncIterator[Buffer]:
    if length <= 0:
        return
    size, segment_bytes = stored.record.size, sealed.segment_bytes
    window = window_of(size, offset, length, segment_bytes)
    opener = SegmentOpener(key, size, first=window.first, segment_bytes=segment_bytes)
    skip, left = window.skip, length
    async for chunk in read(window.offset, window.length):
        plain = opener.update(chunk)
        if not plain:
            continue
        span = memoryview(plain)[skip : skip + left]
        skip = 0
        left -= len(span)
        yield span
    opener.finish()


def _refusing(error: Encrypted) -> Read:
    def read(offset: int, length: int) -> AsyncIterator[Buffer]:
        raise error

    return read


def _of_whole(data: Buffer) -> Read:
    async def read(offset: int, length: int) -> AsyncIterator[Buffer]:
        yield memoryview(data)[offset : offset + length]

    return read
