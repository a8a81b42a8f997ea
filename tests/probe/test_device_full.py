"""A real file system runs full under a device, or is unmounted: the device lives, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.entry import Kind
from objectd.disk.store import DiskStore
from objectd.store import Health, Outcome, Write
from tests.contract.stores import PART_POWER, SMALL, Clock, object_entry, object_key, outcome, payload_of, put


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder)
    yield folder
    unmount(folder)


def mount(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"cannot mount here: {made.stderr.decode()}")


def unmount(folder: Path) -> None:
    # Lazily: a store under test may still have files of it open.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_unmounted_is_not_replaced_by_its_mount_point(small_disk: Path) -> None:
    clock = Clock()

    async def run() -> None:
        store = DiskStore.open(small_disk, 1, part_power=PART_POWER, create=True, options=SMALL, now_ms=clock)
        assert await outcome(store, put(1, 10, b"x")) is Outcome.STORED
        unmount(small_disk)
        try:
            assert await store.check() is Health.FAILED
            assert list(small_disk.iterdir()) == []
        finally:
            mount(small_disk)
        # Another disk in its place is taken.
        clock.now_ms += 60_000
        assert await store.check() is Health.OK
        assert await outcome(store, put(1, 10, b"x")) is Outcome.STORED
        await store.close()

    asyncio.run(run())


def test_a_disk_runs_full_and_is_freed_again(small_disk: Path) -> None:
    async def run() -> None:
        options = replace(SMALL, reserve_bytes=4 << 20, volume_bytes_max=1 << 20)
        store = DiskStore.open(small_disk / "d", 1, part_power=PART_POWER, create=True, options=options)
        stored: list[int] = []
        for number in range(1000):
            # The device looks at the file system by the clock; here it is asked to.
            await store.check()
            result = await outcome(store, put(number, 10, number.to_bytes(2, "big") * 50_000))
            if result is Outcome.FULL:
                break
            assert result is Outcome.STORED
            stored.append(number)
        assert 100 < len(stored) < 1000
        assert store.status().health is Health.READ_ONLY
        for number in stored:
            assert await payload_of(store, object_key(number)) == number.to_bytes(2, "big") * 50_000
        for number in stored[: len(stored) * 3 // 4]:
            gone = Write(object_entry(number, 20, kind=Kind.TOMBSTONE))
            assert await outcome(store, gone) is Outcome.STORED
        while await store.compact(2 << 20):
            pass
        assert await store.check() is Health.OK
        assert await outcome(store, put(5000, 10, b"fits again" * 1000)) is Outcome.STORED
        for number in stored[len(stored) * 3 // 4 :]:
            assert await payload_of(store, object_key(number)) == number.to_bytes(2, "big") * 50_000
        await store.close()

    asyncio.run(run())


def test_a_disk_without_any_room_loses_nothing(small_disk: Path) -> None:
    async def run() -> None:
        options = replace(SMALL, reserve_bytes=0, volume_bytes_max=1 << 20)
        store = DiskStore.open(small_disk / "d", 1, part_power=PART_POWER, create=True, options=options)
        stored: list[int] = []
        refused = 0
        for number in range(400):
            result = await outcome(store, put(number, 10, number.to_bytes(2, "big") * 50_000))
            if result is Outcome.STORED:
                stored.append(number)
            else:
                assert result is Outcome.FULL
                refused += 1
                if refused > 5:
                    break
        assert refused
        for number in stored:
            assert await payload_of(store, object_key(number)) == number.to_bytes(2, "big") * 50_000
        assert store.status().health is Health.READ_ONLY
        await store.close()

    asyncio.run(run())
