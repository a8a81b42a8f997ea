"""Large groups go past the page cache, in whole pages, and come back like any other."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.pages import address_of, fresh_memory, paged_memory
from model.entry import Kind
from model.errors import CorruptRecord, DeviceFull
from objectd.disk.direct import split, whole_pages
from objectd.disk.files import Files
from objectd.disk.locations import Location
from objectd.disk.records import (
    ALIGNMENT,
    PAGE_BYTES,
    PAGED_PAYLOAD_BYTES_MIN,
    PREFIX_BYTES,
    Buffer,
    RecordKind,
    decode_body,
    decode_prefix,
    encode_body,
    encode_pad,
    encode_prefix,
    pad_bytes,
)
from objectd.disk.scan import Found, scan
from objectd.disk.store import DiskStore
from objectd.disk.sync import KernelSyncer, Syncer, ThreadSyncer
from objectd.store import Outcome, Write
from tests.contract.snapshots import snapshot
from tests.contract.stores import (
    PART_POWER,
    SMALL,
    Clock,
    copy_as_it_lies,
    object_entry,
    object_key,
    outcome,
    payload_of,
    put,
    row_entry,
)

LARGE_BYTES = 3 * PAGED_PAYLOAD_BYTES_MIN + 1001


class WatchedFiles(Files):
    """Counts what goes past the page cache, and refuses it with `error` where one is set."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.pages: list[tuple[int, list[int]]] = []

    def make_syncer(self, loop: asyncio.AbstractEventLoop) -> Syncer:
        return _WatchedSyncer(self, ThreadSyncer(loop), loop)


class _WatchedSyncer:
    def __init__(self, files: WatchedFiles, inner: Syncer, loop: asyncio.AbstractEventLoop) -> None:
        self._files, self._inner, self._loop = files, inner, loop

    def sync(self, fd: int, done: Callable[[int], None]) -> None:
        self._inner.sync(fd, done)

    def write(self, fd: int, pages: Sequence[memoryview], offset: int, done: Callable[[int], None]) -> None:
        self._files.pages.append((offset, [address_of(page) for page in pages]))
        if self._files.error:
            self._loop.call_soon(done, self._files.error)
        else:
            self._inner.write(fd, pages, offset, done)

    def close(self) -> None:
        self._inner.close()


def open_store(folder: Path, files: Files | None = None) -> DiskStore:
    return DiskStore.open(
        folder, 1, part_power=PART_POWER, create=True, options=SMALL, now_ms=Clock(), files=files
    )


def in_pages(data: bytes) -> memoryview:
    """The bytes in memory that begins at a page, as a large frame's body does."""
    memory = paged_memory(len(data))
    memory[:] = data
    return memory


@given(st.lists(st.tuples(st.integers(1, 200_000), st.booleans()), min_size=1, max_size=6))
def test_pages_hold_the_same_bytes_and_begin_and_end_as_a_disk_needs_it(
    sizes: list[tuple[int, bool]],
) -> None:
    chance = random.Random(len(sizes))
    buffers: list[Buffer] = []
    for size, is_paged in sizes:
        data = chance.randbytes(size)
        buffers.append(in_pages(data) if is_paged else data)
    whole = b"".join(buffers)
    buffers.append(bytes(-len(whole) % PAGE_BYTES))
    pages = whole_pages([buffer for buffer in buffers if buffer])
    assert b"".join(pages) == whole + buffers[-1]
    assert all(len(page) % PAGE_BYTES == 0 and address_of(page) % PAGE_BYTES == 0 for page in pages)


def test_a_payload_in_paged_memory_is_not_copied() -> None:
    payload = in_pages(random.Random(1).randbytes(PAGED_PAYLOAD_BYTES_MIN + 100))
    pages = whole_pages([bytes(PAGE_BYTES), payload, bytes(PAGE_BYTES - 100)])
    assert address_of(pages[1]) == address_of(payload)
    assert list(map(len, pages)) == [PAGE_BYTES, PAGED_PAYLOAD_BYTES_MIN, PAGE_BYTES]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(0, 400))
def test_a_split_loses_nothing(buffers: list[bytes], head_bytes: int) -> None:
    head, rest = split(buffers, head_bytes)
    whole = b"".join(buffers)
    assert b"".join(head) == whole[:head_bytes]
    assert b"".join(rest) == whole[head_bytes:]


def test_a_pad_of_any_length_is_a_record_that_ends_at_a_page() -> None:
    assert pad_bytes(5 * PAGE_BYTES) == 0
    for offset in range(ALIGNMENT, PAGE_BYTES, ALIGNMENT):
        size = pad_bytes(offset)
        assert (offset + size) % PAGE_BYTES == 0
        body = encode_pad(size)
        raw = encode_prefix(RecordKind.PAD, 0, (9, 8, 0, 5), body, 0, 77) + body.data
        prefix = decode_prefix(raw, 0, 77)
        assert prefix is not None
        assert prefix.record_bytes == len(raw) == size
        assert decode_body(raw[PREFIX_BYTES:], prefix) is not None


@pytest.mark.parametrize("key_bytes", range(20, 29))
def test_a_large_payload_may_begin_at_a_page_whatever_its_key(key_bytes: int) -> None:
    payload = random.Random(1).randbytes(PAGED_PAYLOAD_BYTES_MIN + 5)
    body = encode_body(b"k" * key_bytes, b"row", payload)
    assert (PREFIX_BYTES + len(body.data)) % ALIGNMENT == 0
    raw = encode_prefix(RecordKind.ENTRY, 2, (9, 8, 0, 5), body, len(payload), 77) + body.data + payload
    (found,) = scan(lambda size, at: (raw + bytes(8))[at : at + size], 0, len(raw) + 3, 77)
    assert isinstance(found, Found)
    assert found.is_whole
    assert (found.body.key, found.body.row, bytes(found.payload)) == (b"k" * key_bytes, b"row", payload)


def test_large_payloads_go_from_where_they_are_to_pages_of_the_volume(tmp_path: Path) -> None:
    async def run() -> None:
        files = WatchedFiles()
        store = open_store(tmp_path, files)
        await store.commit([put(1, 10, b"small")])
        assert not files.pages
        payload = in_pages(random.Random(1).randbytes(LARGE_BYTES))
        await store.commit([Write(row_entry(5, "n", 10)), put(2, 10, payload)])
        await store.commit([put(3, 10, b"small too")])
        ((offset, addresses),) = files.pages
        assert offset % PAGE_BYTES == 0
        assert address_of(payload) in addresses
        held = store.get(object_key(2))
        assert held is not None
        assert isinstance(held.location, Location)
        assert await payload_of(store, object_key(1)) == b"small"
        assert await payload_of(store, object_key(2)) == payload
        assert await payload_of(store, object_key(3)) == b"small too"
        await store.close()

    asyncio.run(run())


async def mixed_work(store: DiskStore, chance: random.Random, rounds: int) -> None:
    """Groups of small and large records of odd sizes, some in paged memory, overwriting one another."""
    for at in range(rounds):
        writes = []
        for number in chance.sample(range(8), chance.randrange(1, 4)):
            size = chance.choice((100, 5_003, PAGED_PAYLOAD_BYTES_MIN, LARGE_BYTES, LARGE_BYTES + 4))
            data = chance.randbytes(size)
            writes.append(put(number, 100 + at, in_pages(data) if chance.random() < 0.5 else data))
            writes.append(Write(row_entry(5, f"n{number}", 100 + at, size=size)))
        await store.commit(writes)


def test_direct_groups_survive_a_crash_a_lost_index_and_a_scrub(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path / "d")
        problems: list[str] = []
        store.on_problem(lambda reason, key: problems.append(reason))
        await mixed_work(store, random.Random(3), 40)
        held = await snapshot(store)
        copy_as_it_lies(tmp_path / "d", tmp_path / "copy")
        assert [size async for size in store.scrub(1 << 30)]
        assert not problems
        await store.close()
        shutil.copytree(tmp_path / "d", tmp_path / "closed")
        shutil.rmtree(tmp_path / "closed" / "index")
        for name in ("copy", "closed"):
            store = open_store(tmp_path / name)
            assert await snapshot(store) == held
            await store.close()

    asyncio.run(run())


def test_compaction_gives_the_space_of_pads_back_too(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await mixed_work(store, random.Random(4), 60)
        held = await snapshot(store)
        assert await store.compact(1 << 30) > 0
        assert await snapshot(store) == held
        for number in range(8):
            await store.commit([Write(object_entry(number, 1000, kind=Kind.TOMBSTONE))])
        await store.commit([put(20, 1001, b"x" * 1_100_000), put(21, 1002, b"y")])
        while await store.compact(1 << 30):
            pass
        on_disk = sum(path.stat().st_size for path in (tmp_path / "volumes").iterdir())
        assert on_disk < 40 << 20, "of the tail, space is set aside"
        assert len(list((tmp_path / "volumes").iterdir())) <= 3
        await store.close()
        closed = sum(path.stat().st_size for path in (tmp_path / "volumes").iterdir())
        assert closed < 3_000_000

    asyncio.run(run())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EAGAIN])
def test_a_file_system_that_will_not_write_directly_is_written_through_its_cache(
    tmp_path: Path, number: int
) -> None:
    async def run() -> None:
        files = WatchedFiles(number)
        store = open_store(tmp_path, files)
        payload = random.Random(1).randbytes(LARGE_BYTES)
        for at in range(3):
            assert await outcome(store, put(at, 10, payload)) is Outcome.STORED
        # What is refused for good is asked for once, what ended early each time.
        assert len(files.pages) == (1 if number == errno.EINVAL else 3)
        held = await snapshot(store)
        await store.close()
        store = open_store(tmp_path)
        assert await snapshot(store) == held
        assert await payload_of(store, object_key(2)) == payload
        await store.close()

    asyncio.run(run())


def test_a_failed_direct_write_acknowledges_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        files = WatchedFiles()
        store = open_store(tmp_path, files)
        await store.commit([put(1, 10, b"before")])
        files.error = errno.EIO
        assert await outcome(store, put(2, 10, random.Random(1).randbytes(LARGE_BYTES))) is Outcome.FAILED
        files.error = 0
        await store.check()
        assert store.get(object_key(2)) is None
        assert await payload_of(store, object_key(1)) == b"before"
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("kind", [KernelSyncer, ThreadSyncer])
def test_a_syncer_writes_pages_and_tells_of_what_fails(
    tmp_path: Path, kind: Callable[[asyncio.AbstractEventLoop], Syncer]
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        syncer = kind(loop)
        path = tmp_path / "volume"
        path.write_bytes(bytes(PAGE_BYTES))
        fd = Files().open_direct(path)
        assert fd is not None
        pages = [in_pages(bytes([number]) * PAGE_BYTES * number) for number in (1, 2)]

        async def write(offset: int, wanted: Sequence[memoryview]) -> int:
            done: asyncio.Future[int] = loop.create_future()
            syncer.write(fd, wanted, offset, done.set_result)
            return await asyncio.wait_for(done, 10)

        assert await write(PAGE_BYTES, pages) == 0
        assert path.read_bytes() == bytes(PAGE_BYTES) + b"".join(pages)
        assert await write(100, pages) == errno.EINVAL
        Files().close(fd)
        assert await write(0, pages) == errno.EBADF
        syncer.close()

    asyncio.run(run())


def test_memory_for_any_size_has_that_size_and_can_be_filled() -> None:
    for size in (0, 1, 4_097, 32 << 10, 1 << 20):
        memory = fresh_memory(size)
        memory[:] = bytes(size)
        assert memory == bytes(size)


def test_a_volume_cut_short_under_a_payload_is_found_out(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        payload = random.Random(1).randbytes(LARGE_BYTES)
        await store.commit([put(1, 10, payload)])
        held = store.get(object_key(1))
        assert held is not None
        volume = next((tmp_path / "volumes").iterdir())
        for cut_bytes in (LARGE_BYTES // 2, 100):
            os.truncate(volume, cut_bytes)
            with pytest.raises(CorruptRecord):
                _ = [piece async for piece in store.read(held, 0, LARGE_BYTES)]
        await store.close()

    asyncio.run(run())


class RefusingFiles(Files):
    """Files whose writes past the page cache end by an error, or early where that is 0."""

    def __init__(self, error: int) -> None:
        self.error = error
        self.refused_count = 0

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        if not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            return super().pwritev(fd, buffers, offset)
        self.refused_count += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return super().pwritev(fd, buffers[:1], offset) // 2


async def stage(store: DiskStore, data: bytes, sizes: list[int]) -> None:
    staging = await store.stage(len(data))
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        await staging.write(in_pages(data[at : at + size]))
        at += size
    await staging.finish()
    await store.commit([Write(object_entry(1, 10, size=len(data)), staging)])


@pytest.mark.parametrize("sizes", [[1 << 20], [1_048_577, 3, 65_536, 300_001], [4096, 2_000_000, 1]])
@pytest.mark.parametrize("kind", [Files, lambda: RefusingFiles(errno.EINVAL), lambda: RefusingFiles(0)])
def test_a_large_file_holds_what_was_sent_whatever_its_pieces_and_its_file_system(
    tmp_path: Path, kind: Callable[[], Files], sizes: list[int]
) -> None:
    data = random.Random(1).randbytes(5 * (1 << 20) + 777)

    async def run() -> None:
        files = kind()
        store = open_store(tmp_path, files)
        await stage(store, data, sizes)
        assert await payload_of(store, object_key(1)) == data
        assert [size async for size in store.scrub(1 << 30)]
        assert await payload_of(store, object_key(1)) == data
        if isinstance(files, RefusingFiles):
            assert files.refused_count == 1 if files.error else files.refused_count > 1
        await store.close()

    asyncio.run(run())


def test_a_large_file_that_finds_no_room_past_the_cache_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path, RefusingFiles(errno.ENOSPC))
        with pytest.raises(DeviceFull):
            await stage(store, bytes(3 << 20), [1 << 20])
        await store.close()

    asyncio.run(run())
