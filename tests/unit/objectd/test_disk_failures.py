"""A disk that is full, read-only, failing or emptied: refused or set aside, told, and nothing lost."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.entry import Kind, Table
from model.errors import CorruptRecord, DeviceFailed, DeviceFull
from objectd.disk.files import Buffer, Files, Space
from objectd.disk.store import DiskStore
from objectd.disk.sync import KernelSyncer, Syncer, ThreadSyncer
from objectd.store import Health, Outcome, Write
from tests.contract.stores import (
    PART_POWER,
    SMALL,
    Clock,
    object_entry,
    object_key,
    outcome,
    payload_of,
    put,
)


class FaultyFiles(Files):
    """System calls that fail when told to."""

    def __init__(self) -> None:
        self.write_error = 0
        self.sync_error = 0
        self.read_error = 0
        self.open_error = 0
        self.short_writes = False
        self.free_bytes = 1 << 40

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        _fail(self.write_error)
        if self.short_writes:
            return os.pwrite(fd, memoryview(buffers[0])[: max(1, len(buffers[0]) // 2)], offset)
        return super().pwritev(fd, buffers, offset)

    def open_volume(self, path: Path, *, create: bool) -> int:
        _fail(self.open_error)
        return super().open_volume(path, create=create)

    def read_into(
        self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, *, wait: bool
    ) -> int:
        _fail(self.read_error)
        return super().read_into(fd, buffers, offset, wait=wait)

    def sync_data(self, fd: int) -> None:
        _fail(self.sync_error)
        super().sync_data(fd)

    def space(self, path: Path) -> Space:
        return Space(1 << 40, self.free_bytes)

    def make_syncer(self, loop: asyncio.AbstractEventLoop) -> Syncer:
        return _FaultySyncer(self, ThreadSyncer(loop), loop)


class _FaultySyncer:
    def __init__(self, files: FaultyFiles, inner: Syncer, loop: asyncio.AbstractEventLoop) -> None:
        self._files, self._inner, self._loop = files, inner, loop

    def sync(self, fd: int, done: Callable[[int], None]) -> None:
        if self._files.sync_error:
            self._loop.call_soon(done, self._files.sync_error)
        else:
            self._inner.sync(fd, done)

    def write(self, fd: int, pages: Sequence[memoryview], offset: int, done: Callable[[int], None]) -> None:
        try:
            written = self._files.pwritev(fd, pages, offset)
            number = 0 if written == sum(map(len, pages)) else errno.EAGAIN
        except OSError as error:
            number = error.errno or errno.EIO
        self._loop.call_soon(done, number)

    def close(self) -> None:
        self._inner.close()


def _fail(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


def with_store(
    folder: Path, claim: Callable[[DiskStore, FaultyFiles], Awaitable[None]], **changes: Any
) -> None:
    async def run() -> None:
        files = FaultyFiles()
        store = DiskStore.open(
            folder,
            1,
            part_power=PART_POWER,
            create=True,
            options=SMALL,
            files=files,
            now_ms=Clock(),
            **changes,
        )
        try:
            await claim(store, files)
        finally:
            await store.close()

    asyncio.run(run())


def test_at_the_reserve_writes_are_refused_and_deletes_taken(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        problems: list[str] = []
        store.on_problem(lambda reason, key: problems.append(reason))
        await store.commit([put(1, 10, b"x")])
        files.free_bytes = -1
        await store.check()
        assert await outcome(store, put(2, 10, b"y")) is Outcome.FULL
        assert store.status().health is Health.READ_ONLY
        assert "reserve" in store.status().reason
        assert len(problems) == 1
        assert await payload_of(store, object_key(1)) == b"x"
        with pytest.raises(DeviceFull):
            await store.stage(1_000_000)
        assert await outcome(store, Write(object_entry(1, 20, kind=Kind.TOMBSTONE))) is Outcome.STORED
        files.free_bytes = 1 << 40
        assert await store.check() is Health.OK
        assert await outcome(store, put(2, 10, b"y")) is Outcome.STORED

    with_store(tmp_path / "d", claim)


def test_a_disk_without_room_refuses_and_recovers(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x")])
        files.write_error = errno.ENOSPC
        results = await asyncio.gather(*(store.commit([put(number, 20, b"y")]) for number in range(5)))
        assert {written.outcome for (written,) in results} == {Outcome.FULL}
        assert store.status().health is Health.READ_ONLY
        files.write_error = 0
        assert await store.check() is Health.OK
        assert await payload_of(store, object_key(1)) == b"x"
        assert await outcome(store, put(1, 30, b"z")) is Outcome.STORED

    with_store(tmp_path / "d", claim)


def test_no_room_for_a_new_volume_is_refused_too(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, bytes(1_200_000))])
        files.open_error = errno.ENOSPC
        assert await outcome(store, put(2, 10, b"y")) is Outcome.FULL
        files.open_error = 0
        await store.check()
        assert await outcome(store, put(2, 10, b"y")) is Outcome.STORED

    with_store(tmp_path / "d", claim)


@pytest.mark.parametrize("size", [10, 600_000])
def test_a_read_only_file_system_keeps_serving_reads(tmp_path: Path, size: int) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x")])
        files.write_error = files.open_error = errno.EROFS
        assert await outcome(store, put(2, 10, bytes(size))) is Outcome.FAILED
        assert await store.check() is Health.READ_ONLY
        assert await payload_of(store, object_key(1)) == b"x"
        assert await store.forget([(object_key(1), object_entry(1, 10).stamp)]) == 0
        files.write_error = files.open_error = 0
        assert await store.check() is Health.OK
        assert await outcome(store, put(2, 10, bytes(size))) is Outcome.STORED
        assert await payload_of(store, object_key(1)) == b"x"

    with_store(tmp_path / "d", claim)


def test_a_failed_sync_sets_the_device_aside_until_it_is_opened_anew(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        problems: list[str] = []
        store.on_problem(lambda reason, key: problems.append(reason))
        await store.commit([put(1, 10, b"x")])
        files.sync_error = errno.EIO
        results = await asyncio.gather(*(store.commit([put(number, 20, b"y")]) for number in range(2, 6)))
        assert {written.outcome for (written,) in results} == {Outcome.FAILED}
        assert store.status().health is Health.FAILED
        assert problems
        with pytest.raises(DeviceFailed):
            store.get(object_key(1))
        assert await outcome(store, put(9, 20, b"y")) is Outcome.FAILED
        # Still failing: the device stays aside.
        assert await store.check() is Health.FAILED
        files.sync_error = 0
        store._tried_ms = 0
        assert await store.check() is Health.OK
        assert await payload_of(store, object_key(1)) == b"x"
        assert await outcome(store, put(9, 20, b"y")) is Outcome.STORED

    with_store(tmp_path / "d", claim)


def test_short_writes_are_finished(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        files.short_writes = True
        payload = bytes(range(256)) * 30
        await store.commit([put(1, 10, payload), put(2, 10, payload * 40)])
        assert await payload_of(store, object_key(1)) == payload
        assert await payload_of(store, object_key(2)) == payload * 40

    with_store(tmp_path / "d", claim)


def test_a_bad_sector_under_a_payload_is_quarantined(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x" * 100)])
        files.read_error = errno.EIO
        with pytest.raises(CorruptRecord):
            await payload_of(store, object_key(1))
        files.read_error = 0
        await store.commit([put(2, 10, b"y")])
        assert store.quarantined(10) == [object_key(1)]
        assert store.status().health is Health.OK

    with_store(tmp_path / "d", claim)


def test_a_large_payload_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        staging = await store.stage(None)
        files.write_error = errno.ENOSPC
        with pytest.raises(DeviceFull):
            await staging.write(bytes(2_000_000))
        await staging.abort()
        files.write_error = 0
        staging = await store.stage(None)
        await staging.write(bytes(2_000_000))
        await staging.finish()
        files.write_error = errno.ENOSPC
        assert await outcome(store, Write(object_entry(1, 10, size=staging.size), staging)) is Outcome.FULL
        files.write_error = 0

    with_store(tmp_path / "d", claim)


def test_an_emptied_folder_acknowledges_nothing_and_is_formatted_anew(tmp_path: Path) -> None:
    folder = tmp_path / "d"

    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        problems: list[str] = []
        store.on_problem(lambda reason, key: problems.append(reason))
        await store.commit([put(1, 10, b"x")])
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert await outcome(store, put(2, 10, b"y")) is Outcome.FAILED
        assert any("emptied" in problem for problem in problems)
        assert await store.check() is Health.OK
        assert store.get(object_key(1)) is None
        assert store.partition_digests(Table.OBJECT) == {}
        assert await outcome(store, put(1, 10, b"x")) is Outcome.STORED
        assert (folder / "device.json").exists()

    with_store(folder, claim)


def test_an_idle_device_notices_that_its_folder_was_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "d"

    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x")])
        shutil.rmtree(folder)
        assert await store.check() is Health.OK
        assert store.status().entry_count == 0
        assert await outcome(store, put(1, 10, b"x")) is Outcome.STORED

    with_store(folder, claim)


def test_volumes_without_their_device_file_are_not_formatted_over(tmp_path: Path) -> None:
    folder = tmp_path / "d"

    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x")])
        kept = (folder / "device.json").read_bytes()
        (folder / "device.json").unlink()
        assert await store.check() is Health.FAILED
        assert "put it back" in store.status().reason
        (folder / "device.json").write_bytes(kept)
        store._tried_ms = 0
        assert await store.check() is Health.OK
        assert await payload_of(store, object_key(1)) == b"x"

    with_store(folder, claim)


def test_a_device_in_use_is_left_alone(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        await store.commit([put(1, 10, b"x")])
        options = replace(SMALL, lock_wait_ms=0)
        other = DiskStore.open(tmp_path / "d", 1, part_power=PART_POWER, create=True, options=options)
        assert other.status().health is Health.FAILED
        assert "in use" in other.status().reason
        await other.close()
        assert await payload_of(store, object_key(1)) == b"x"
        assert await outcome(store, put(2, 10, b"y")) is Outcome.STORED

    with_store(tmp_path / "d", claim)


def test_a_failed_device_can_be_closed(tmp_path: Path) -> None:
    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        files.sync_error = errno.EIO
        assert await outcome(store, put(1, 10, b"x")) is Outcome.FAILED
        files.sync_error = 0

    with_store(tmp_path / "d", claim)


@pytest.mark.parametrize("seed", range(5))
def test_random_faults_lose_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    known: dict[int, bytes] = {}
    unsure: dict[int, list[bytes]] = {}

    async def write_some(store: DiskStore, at: int) -> None:
        writes = [put(chance.randrange(10), at + step, chance.randbytes(3000)) for step in range(6)]
        futures = [store.commit([write]) for write in writes]
        for write, future in zip(writes, futures, strict=True):
            number, (written,) = int.from_bytes(write.entry.key[9:], "big"), await future
            assert isinstance(write.payload, bytes)
            if written.outcome is Outcome.STORED:
                known[number] = write.payload
                unsure.pop(number, None)
            elif written.outcome is Outcome.FAILED:
                # It may have become durable, or not.
                unsure.setdefault(number, []).append(write.payload)
            else:
                assert written.outcome is Outcome.FULL

    async def verify(store: DiskStore) -> None:
        for number, payload in known.items():
            assert await payload_of(store, object_key(number)) in (payload, *unsure.get(number, ()))
        assert store.quarantined(10) == []

    async def claim(store: DiskStore, files: FaultyFiles) -> None:
        for turn in range(25):
            fault = chance.choice(("none", "none", "full", "sync", "read-only", "write"))
            files.write_error = {"full": errno.ENOSPC, "read-only": errno.EROFS, "write": errno.EIO}.get(
                fault, 0
            )
            files.sync_error = errno.EIO if fault == "sync" else 0
            await write_some(store, 1000 * (turn + 1))
            files.write_error = files.sync_error = 0
            await store.compact(1 << 30) if store.status().health is Health.OK else None
            store._tried_ms = 0
            assert await store.check() is Health.OK, store.status().reason
            await verify(store)
        await store.close()

    with_store(tmp_path / "d", claim)

    async def look_again() -> None:
        shutil.rmtree(tmp_path / "d" / "index")
        store = DiskStore.open(tmp_path / "d", 1, part_power=PART_POWER, create=False, options=SMALL)
        await verify(store)
        await store.close()

    asyncio.run(look_again())


@pytest.mark.parametrize("kind", [KernelSyncer, ThreadSyncer])
def test_a_syncer_tells_of_done_and_of_failed(tmp_path: Path, kind: Callable[..., Syncer]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        syncer = kind(loop)
        results: list[int] = []
        done = asyncio.Event()

        def told(number: int) -> None:
            results.append(number)
            if len(results) == 11:
                done.set()

        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"data")
        for _ in range(10):
            syncer.sync(fd, told)
        # A closed file cannot be synced.
        syncer.sync(10_000, told)
        await asyncio.wait_for(done.wait(), 20)
        assert sorted(results) == [0] * 10 + [errno.EBADF]
        syncer.close()
        os.close(fd)

    asyncio.run(run())
