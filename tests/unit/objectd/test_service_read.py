"""Claims of the read handlers: lookups, payloads short and long, and falling over from bad copies."""

import asyncio
from pathlib import Path

import pytest

from model.entry import Entry, Kind, make_key
from model.entry import Table as EntryTable
from model.errors import CorruptRecord, DeviceFailed, NoSuchObject
from model.names import object_key
from objectd.contract import Health, Notice, ToldVersions, VersionsWanted
from objectd.memory_store import MemoryStore
from objectd.store import Store
from tests.support.faulty_store import FaultyStore
from tests.support.objectd_node import (
    EPOCH,
    PART_POWER,
    Node,
    digest,
    memory_stores,
    object_entry,
    serving,
    stamp,
    until,
    write_of,
)

BIG = bytes(range(256)) * 10_000


async def put(node: Node, name: str, ms: int, devices: tuple[int, ...], payload: bytes) -> bytes:
    entry = object_entry(name, stamp(ms), len(payload))
    if len(payload) > 1 << 20:
        session = await node.client.stage(devices, len(payload), epoch=EPOCH)
        await session.send(payload)
        await node.client.commit([write_of(entry, devices, staged=await session.finish())], epoch=EPOCH)
        session.close()
    else:
        await node.client.commit([write_of(entry, devices, payload=0)], [payload], epoch=EPOCH)
    return entry.key


def memory(node: Node, device: int) -> MemoryStore:
    store = node.state.stores[device]
    assert isinstance(store, MemoryStore)
    return store


def test_only_as_many_devices_are_asked_as_wanted(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 1, (0, 1, 2), b"bytes")
            reply = await node.client.read(key, (0, 1, 2), ask=2, epoch=EPOCH)
            assert [one.device for one in reply.found] == [0, 1]
            assert [one.payload_bytes for one in reply.found] == [5, 5]
            assert (reply.payload_device, bytes(reply.payload or b"")) == (0, b"bytes")

    asyncio.run(run())


def test_a_device_set_aside_is_passed_over_for_the_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 1, (0, 1, 2), b"bytes")
            memory(node, 0).set_health(Health.FAILED, "gone")
            reply = await node.client.read(key, (77, 0, 1, 2), ask=2, epoch=EPOCH)
            assert [one.device for one in reply.found] == [1, 2]
            assert bytes(reply.payload or b"") == b"bytes"
            await until(lambda: node.notices)
            assert node.notices == [(Notice.DEVICE, [0, Health.FAILED, "gone"])]

    asyncio.run(run())


def test_what_is_absent_and_what_is_deleted_have_no_payload(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            absent = await node.client.read(
                make_key(EntryTable.OBJECT, digest("no")), (0, 1), ask=2, epoch=EPOCH
            )
            assert [(one.row, one.payload_bytes) for one in absent.found] == [(None, 0), (None, 0)]
            assert absent.payload is None
            key = await put(node, "o", 1, (0, 1), b"bytes")
            gone = object_entry("o", stamp(2), kind=Kind.TOMBSTONE)
            await node.client.commit([write_of(gone, (0,))], epoch=EPOCH)
            reply = await node.client.read(key, (0, 1), ask=2, epoch=EPOCH)
            assert [one.payload_bytes for one in reply.found] == [0, 5]
            assert (reply.payload, reply.payload_device) == (None, None)

    asyncio.run(run())


def test_the_payload_is_that_of_the_newest_found(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 1, (0, 1), b"old")
            await put(node, "o", 2, (1,), b"newer")
            reply = await node.client.read(key, (0, 1), ask=2, epoch=EPOCH)
            assert (reply.payload_device, bytes(reply.payload or b"")) == (1, b"newer")

    asyncio.run(run())


def test_a_span_of_the_payload_is_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 1, (0,), b"0123456789")
            for offset, length, expected in ((2, 3, b"234"), (7, None, b"789"), (8, 99, b"89"), (10, 5, b"")):
                reply = await node.client.read(key, (0,), ask=1, epoch=EPOCH, offset=offset, length=length)
                assert bytes(reply.payload or b"") == expected
            bare = await node.client.read(key, (0,), ask=1, epoch=EPOCH, want_payload=False)
            assert bare.payload is None

    asyncio.run(run())


@pytest.mark.parametrize("cold", [False, True])
def test_a_bad_copy_is_told_of_and_another_device_gives_the_bytes(tmp_path: Path, cold: bool) -> None:
    async def run() -> None:
        inner = {device: MemoryStore(device, part_power=PART_POWER) for device in (0, 1, 2)}
        stores = {device: FaultyStore(store) for device, store in inner.items()}
        for store in stores.values():
            store.cold = cold
        async with serving(tmp_path, dict[int, Store](stores)) as node:
            key = await put(node, "o", 1, (0, 1, 2), b"bytes")
            for device in (0, 1):
                inner[device].corrupt(key)
            reply = await node.client.read(key, (0, 1, 2), ask=2, epoch=EPOCH)
            assert (reply.payload_device, bytes(reply.payload or b"")) == (2, b"bytes")
            assert {one.device: one.payload_bytes for one in reply.found} == {0: -1, 1: -1, 2: 5}
            assert await node.client.quarantined(0) == [key]
            hints = await node.client.repairs()
            assert [(hint.key, sorted(hint.devices)) for hint in hints] == [(key, [0, 1])]

    asyncio.run(run())


def test_without_any_good_copy_there_is_a_row_but_no_payload(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 1, (0,), b"bytes")
            memory(node, 0).corrupt(key)
            reply = await node.client.read(key, (0, 1), ask=2, epoch=EPOCH)
            assert reply.payload is None
            assert [(one.device, one.payload_bytes) for one in reply.found] == [(0, -1), (1, 0)]
            assert reply.found[0].row is not None

    asyncio.run(run())


def test_a_long_payload_comes_as_a_stream_from_a_good_copy(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "big", 1, (0, 1), BIG)
            memory(node, 0).corrupt(key)
            reply = await node.client.read(key, (0, 1), ask=2, epoch=EPOCH, offset=3)
            assert reply.stream is not None
            assert reply.stream.length == len(BIG) - 3
            assert b"".join([bytes(chunk) async for chunk in reply.stream.chunks()]) == BIG[3:]
            assert reply.payload_device == 1
            assert (0, -1) in [(one.device, one.payload_bytes) for one in reply.found]

    asyncio.run(run())


def test_one_devices_own_copy_is_streamed_or_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            key = await put(node, "o", 5, (0, 1), b"bytes")
            stream = await node.client.payload(0, key, stamp(5), epoch=EPOCH)
            assert b"".join([bytes(chunk) async for chunk in stream.chunks()]) == b"bytes"
            with pytest.raises(NoSuchObject):
                await node.client.payload(0, key, stamp(4), epoch=EPOCH)
            with pytest.raises(DeviceFailed):
                await node.client.payload(77, key, stamp(5), epoch=EPOCH)
            memory(node, 1).corrupt(key)
            with pytest.raises(CorruptRecord):
                await node.client.payload(1, key, stamp(5), epoch=EPOCH)

    asyncio.run(run())


def test_a_reader_that_goes_away_ends_its_stream_and_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, memory_stores((0,))) as node:
            key = await put(node, "big", 1, (0,), BIG)
            stream = await node.client.payload(0, key, stamp(1), epoch=EPOCH)
            async for _ in stream.chunks():
                break
            stream.close()
            again = await node.client.payload(0, key, stamp(1), epoch=EPOCH)
            assert sum([len(chunk) async for chunk in again.chunks()]) == len(BIG)

    asyncio.run(run())


def version_entry(ms: int, kind: Kind = Kind.DATA, *, at: int = 0) -> Entry:
    """A version of the object `o`, made at a time; what was put in its place later has a stamp of its own."""
    size = 1 if kind is Kind.DATA else 0
    return Entry(object_key(digest("o"), stamp(ms)), stamp(at or ms), kind, size, b"v")


async def tell(node: Node, wanted: VersionsWanted, device: int = 0) -> tuple[list[bytes], bool]:
    """Return the suffixes that a device tells, and whether these are all."""
    reply = await node.client.submit_versions(digest("o"), (device,), wanted, ask=1, epoch=EPOCH)
    (told,) = [ToldVersions(*fields) for fields in reply.head]
    assert told.device == device
    return [suffix for suffix, _, _ in told.entries], told.is_all


def test_versions_are_told_from_the_newest_down_to_the_first_that_lives(tmp_path: Path) -> None:
    null = object_entry("o", stamp(3), 1)
    live, dead, older = version_entry(5), version_entry(7, Kind.TOMBSTONE, at=9), version_entry(2)

    async def run() -> None:
        async with serving(tmp_path) as node:
            entries = (null, live, dead, older, object_entry("p", stamp(1)))
            await node.client.commit([write_of(one, (0,), payload=0) for one in entries], [b"x"], epoch=EPOCH)
            assert await tell(node, VersionsWanted()) == ([b"", dead.suffix, live.suffix], False)
            assert await tell(node, VersionsWanted(after=live.suffix)) == ([older.suffix], False)
            assert await tell(node, VersionsWanted(after=older.suffix)) == ([], True)
            down_to = VersionsWanted(after=dead.suffix, down_to=older.suffix)
            assert await tell(node, down_to) == ([live.suffix, older.suffix], False)
            assert await tell(node, VersionsWanted(), device=1) == ([], True)

    asyncio.run(run())


def test_a_version_whose_bytes_are_lost_is_told_all_the_same(tmp_path: Path) -> None:
    newest, older = version_entry(5), version_entry(2)

    async def run() -> None:
        async with serving(tmp_path) as node:
            for one in (newest, older):
                await node.client.commit([write_of(one, (0, 1), payload=0)], [b"x"], epoch=EPOCH)
            memory(node, 0).corrupt(newest.key)
            await node.client.read(newest.key, (0, 1), ask=1, epoch=EPOCH)
            assert memory(node, 0).quarantined(9) == [newest.key]
            assert await tell(node, VersionsWanted()) == ([newest.suffix], False)

    asyncio.run(run())
