"""Objects are sealed on their way in and opened on their way out, at any span and however the bytes come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord, CustomerKeyNeeded, CustomerKeyUnfit, CustomerKeyWrong, NoSuchMasterKey
from model.names import ObjectPath
from model.objects import ObjectRecord
from model.stamp import ZERO
from proxy.encryption.cipher import SEGMENT_BYTES
from proxy.encryption.key_manager import NoKeys
from proxy.encryption.sealed import ETags, Mode, Seal
from proxy.operations.sealing import THREAD_BYTES_MIN, BodySealer, begin_sealing, check_customer_key, unlock
from proxy.operations.types import Buffer, Digests, NewObject, OpenObject, StoredObject

PATH = ObjectPath("account", "bucket", "key")
KEY = b"k" * 32
CUSTOMER = Seal(Mode.CUSTOMER, customer_key=KEY, etags=ETags.OPAQUE)


async def stored(body: bytes, pieces: int = 1) -> tuple[StoredObject, bytes]:
    """An object as it lies on the devices, its body sealed in so many pieces."""
    new, sealer = await begin_sealing(NoKeys(), PATH, NewObject(), CUSTOMER)
    if pieces == 1:
        sealed = bytes(await sealer.whole(body))
    else:
        step = len(body) // pieces + 1
        sealed = b"".join(
            [bytes(await sealer.update(body[at : at + step])) for at in range(0, len(body), step)]
        )
        sealed += bytes(sealer.finish())
    assert len(sealed) == sealer.length(len(body))
    new = sealer.with_etag(new, Digests("0" * 32, len(body), {}))
    record = ObjectRecord(
        PATH.account, PATH.container, PATH.name, len(body), new.etag or "", "text/plain", extra=new.extra
    )
    return StoredObject(PATH, record, ZERO, ZERO, {}), sealed


def as_stored(one: StoredObject, sealed: bytes, chunk_bytes: int, *, inline: bool) -> OpenObject:
    """The object as the devices give it, in chunks of a size."""

    async def read(offset: int, length: int) -> AsyncIterator[Buffer]:
        for at in range(offset, offset + length, chunk_bytes):
            yield sealed[at : min(at + chunk_bytes, offset + length)]

    return OpenObject(one, sealed if inline else None, read)


async def read_span(opened: OpenObject, offset: int, length: int) -> bytes:
    """A span of an object, whichever way it comes."""
    return b"".join([bytes(chunk) async for chunk in opened.read(offset, length)])


@given(
    st.integers(1, 3 * SEGMENT_BYTES + 5),
    st.integers(1, 3),
    st.integers(1000, 200_000),
    st.booleans(),
    st.data(),
)
def test_any_span_of_a_sealed_object_is_that_of_the_plain_one(
    size: int, pieces: int, chunk_bytes: int, inline: bool, data: st.DataObject
) -> None:
    async def scenario() -> None:
        body = bytes(range(251)) * (size // 251 + 1)
        body = body[:size]
        one, sealed = await stored(body, pieces)
        opened = await unlock(NoKeys(), as_stored(one, sealed, chunk_bytes, inline=inline), KEY)
        assert opened.locked is None
        assert (opened.data is not None) == inline
        offset = data.draw(st.integers(0, size - 1))
        length = data.draw(st.integers(0, size - offset))
        assert await read_span(opened, offset, length) == body[offset : offset + length]
        assert await read_span(opened, 0, size) == body

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [THREAD_BYTES_MIN - 1, THREAD_BYTES_MIN, 3 * THREAD_BYTES_MIN])
def test_large_pieces_are_sealed_in_a_thread_and_alike(size: int) -> None:
    async def scenario() -> None:
        body = bytes(size)
        sealer, whole = BodySealer(KEY), BodySealer(KEY)
        sealed = bytes(await sealer.update(body)) + bytes(sealer.finish())
        assert sealed == bytes(await whole.whole(body))

    asyncio.run(scenario())


def test_an_object_that_cannot_be_opened_says_why_and_gives_no_byte() -> None:
    async def scenario() -> None:
        one, sealed = await stored(b"secret")
        for key, error in ((None, CustomerKeyNeeded), (b"x" * 32, CustomerKeyWrong)):
            opened = await unlock(NoKeys(), as_stored(one, sealed, 100, inline=True), key)
            assert isinstance(opened.locked, error)
            assert opened.data is None
            with pytest.raises(error):
                opened.read(0, 1)
            with pytest.raises(error):
                check_customer_key(one, key)
        check_customer_key(one, KEY)
        plain = replace(one, record=replace(one.record, extra={}))
        opened = await unlock(NoKeys(), as_stored(plain, b"plain", 100, inline=True), KEY)
        assert isinstance(opened.locked, CustomerKeyUnfit)
        assert (await unlock(NoKeys(), as_stored(plain, b"plain", 100, inline=True), None)).data == b"plain"
        with pytest.raises(NoSuchMasterKey):
            await begin_sealing(NoKeys(), PATH, NewObject(), Seal(Mode.OWN, "sse-s3"))

    asyncio.run(scenario())


def test_bytes_of_another_object_are_not_taken_for_this_one() -> None:
    async def scenario() -> None:
        one, _ = await stored(b"one")
        _, sealed = await stored(b"two")
        with pytest.raises(CorruptRecord):
            await unlock(NoKeys(), as_stored(one, sealed, 100, inline=True), KEY)
        moved = replace(one, path=ObjectPath("account", "bucket", "other"))
        opened = await unlock(NoKeys(), as_stored(moved, sealed, 100, inline=True), KEY)
        assert isinstance(opened.locked, CustomerKeyWrong)

    asyncio.run(scenario())


def test_equal_bodies_have_etags_that_tell_nothing() -> None:
    async def scenario() -> None:
        etags = {(await stored(b"same"))[0].record.etag for _ in range(5)}
        assert len(etags) == 5
        assert all(len(etag) == 32 and int(etag, 16) for etag in etags)

    asyncio.run(scenario())
