"""Compaction gives space back and scrub finds every flipped bit, while the device serves."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.entry import Kind, Table
from objectd.disk.records import PREFIX_BYTES
from objectd.disk.scan import Found, scan
from objectd.disk.store import DiskStore
from objectd.store import Outcome, Write
from tests.contract.snapshots import snapshot
from tests.contract.stores import (
    PART_POWER,
    SMALL,
    Clock,
    copy_as_it_lies,
    digest_of,
    flip_bit,
    flip_payload,
    object_entry,
    object_key,
    outcome,
    payload_of,
    put,
    repair,
    row_entry,
    side_entry,
    stamp,
)


def open_store(folder: Path, **changes: Any) -> DiskStore:
    return DiskStore.open(
        folder, 1, part_power=PART_POWER, create=True, options=SMALL, **{"now_ms": Clock(), **changes}
    )


def volumes_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "volumes").iterdir())


async def fill(store: DiskStore, chance: random.Random, rounds: int) -> None:
    """Overwrite a few objects and rows often, so that most of the volumes is dead."""
    for at in range(rounds):
        number = chance.randrange(12)
        await store.commit(
            [
                put(number, 100 + at, chance.randbytes(20_000)),
                Write(row_entry(5, f"n{number}", 100 + at, size=20_000)),
            ]
        )
        if at % 7 == 0:
            await store.commit([Write(side_entry(object_key(number), "posted", 1000 + at))])


def test_compaction_gives_dead_space_back_and_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await fill(store, random.Random(1), 300)
        held = await snapshot(store)
        before = store.status()
        assert before.dead_bytes > 3_000_000
        assert await store.compact(1 << 30) > 0
        assert await snapshot(store) == held
        after = store.status()
        assert after.dead_bytes < before.dead_bytes / 3
        on_disk = sum(path.stat().st_size for path in (tmp_path / "volumes").iterdir())
        assert on_disk < 2_500_000
        assert await store.compact(1 << 30) == 0
        await store.close()
        # As it lies there, and rebuilt from the volumes that are left.
        for lose_index in (False, True):
            if lose_index:
                shutil.rmtree(tmp_path / "index")
            store = open_store(tmp_path)
            assert await snapshot(store) == held
            await store.close()

    asyncio.run(run())


def test_compaction_in_small_budgets_comes_to_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await fill(store, random.Random(2), 200)
        held = await snapshot(store)
        steps = 0
        while await store.compact(30_000):
            steps += 1
            assert steps < 1000
        assert steps > 2
        assert await snapshot(store) == held
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_compaction_goes_on_beside_writes_and_readers(tmp_path: Path, seed: int) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await fill(store, random.Random(seed), 150)
        await asyncio.gather(fill(store, random.Random(seed + 10), 150), store.compact(1 << 30))
        held = await snapshot(store)
        assert all(payload is not None for _, payload in held.entries.values())
        copy_as_it_lies(tmp_path, tmp_path.with_name(f"{tmp_path.name}-copy"))
        await store.close()
        store = open_store(tmp_path.with_name(f"{tmp_path.name}-copy"))
        assert await snapshot(store) == held
        await store.close()

    asyncio.run(run())


def test_a_crash_at_any_step_of_compaction_loses_nothing(tmp_path: Path) -> None:
    """Copies the folder after each small step, and opens the copies as they are and without index."""

    async def run() -> None:
        store = open_store(tmp_path / "d")
        await fill(store, random.Random(3), 120)
        held = await snapshot(store)
        step = 0
        while await store.compact(60_000):
            copy_as_it_lies(tmp_path / "d", tmp_path / f"{step}")
            step += 1
        await store.close()
        for number in range(0, step, max(1, step // 6)):
            for lose_index in (False, True):
                if lose_index:
                    shutil.rmtree(tmp_path / f"{number}" / "index")
                again = open_store(tmp_path / f"{number}")
                seen = await snapshot(again)
                assert seen == held, f"step {number}, index lost: {lose_index}"
                await again.close()

    asyncio.run(run())


def test_forgotten_entries_stay_forgotten_through_compaction_and_rebuild(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await store.commit([put(1, 10, b"ghost" * 1000), put(99, 10, b"stays" * 1000)])
        await fill_one(store, 50, 70)
        await store.commit([Write(object_entry(1, 20, kind=Kind.TOMBSTONE))])
        await fill_one(store, 51, 70)
        assert await store.forget([(object_key(1), stamp(20))]) == 1
        await fill_one(store, 52, 200)
        while await store.compact(1 << 30):
            pass
        await store.close()
        shutil.rmtree(tmp_path / "index")
        store = open_store(tmp_path)
        assert store.get(object_key(1)) is None
        assert await payload_of(store, object_key(99)) == b"stays" * 1000
        await store.close()

    asyncio.run(run())


async def fill_one(store: DiskStore, number: int, rounds: int) -> None:
    for at in range(rounds):
        await store.commit([put(number, 1000 * number + at, bytes(20_000))])


def test_the_change_log_survives_compaction_and_a_lost_index(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        for at in range(20):
            await store.commit([Write(row_entry(5, "same", 10 + at))])
        await fill_one(store, 50, 200)
        changes = store.changes(digest_of(5), 0, 100)
        assert len(changes) == 20
        await store.compact(1 << 30)
        assert "00000001.vol" not in volumes_of(tmp_path)
        assert store.changes(digest_of(5), 0, 100) == changes
        await store.close()
        shutil.rmtree(tmp_path / "index")
        store = open_store(tmp_path)
        assert store.changes(digest_of(5), 0, 100) == changes
        assert store.group(digest_of(5)).last_change == changes[-1].sequence
        await store.close()

    asyncio.run(run())


def test_a_pending_write_stays_pending_through_compaction_and_a_crash(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path / "d")
        await store.commit([put(1, 10, b"waits")])
        for at in range(150):
            await store.commit([repair(put(50, 100 + at, bytes(20_000)))])
        await store.compact(1 << 30)
        assert [item.key for item in store.pending(0)] == [object_key(1)]
        copy_as_it_lies(tmp_path / "d", tmp_path / "copy")
        await store.close()
        for folder in ("d", "copy"):
            store = open_store(tmp_path / folder)
            assert [item.key for item in store.pending(0)] == [object_key(1)]
            await store.close()

    asyncio.run(run())


def test_a_reader_finishes_though_its_volume_is_compacted_away(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 3000

    async def run() -> None:
        store = open_store(tmp_path)
        await store.commit([put(1, 10, payload)])
        held = store.get(object_key(1))
        assert held is not None
        await fill_one(store, 50, 100)
        reading = store.read(held, 0, len(payload))
        got = bytes(await anext(reading))
        # Another, that begins with what it looked up before.
        await store.commit([put(2, 10, b"x")])
        await store.compact(1 << 30)
        got += b"".join([bytes(piece) async for piece in reading])
        assert got == payload
        assert b"".join([bytes(piece) async for piece in store.read(held, 0, len(payload))]) == payload
        now = store.read_now(held, 5, 100)
        assert now is not None
        assert bytes(now) == payload[5:105]
        await store.close()

    asyncio.run(run())


async def scrub(store: DiskStore) -> int:
    return sum([size async for size in store.scrub(1 << 40)])


def test_scrub_reads_everything_and_finds_nothing_wrong(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Clock()
        store = open_store(tmp_path, now_ms=clock)
        await fill(store, random.Random(4), 150)
        staging = await store.stage(None)
        await staging.write(bytes(3_000_000))
        await staging.finish()
        await store.commit([Write(object_entry(60, 10, size=staging.size), staging)])
        held = await snapshot(store)
        clock.now_ms += 1000
        assert await scrub(store) > 6_000_000
        assert store.status().oldest_verified_ms == clock.now_ms
        assert store.quarantined(10) == []
        assert await snapshot(store) == held
        await store.close()

    asyncio.run(run())


def test_scrub_goes_on_where_it_ended_also_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Clock()
        store = open_store(tmp_path, now_ms=clock)
        await fill(store, random.Random(5), 200)
        written_ms = clock.now_ms
        clock.now_ms += 1000
        total = sum(path.stat().st_size for path in (tmp_path / "volumes").iterdir())
        spent = 0
        for _ in range(100):
            spent += sum([size async for size in store.scrub(1_000_000)])
            await store.close()
            store = open_store(tmp_path, now_ms=clock)
            if store.status().oldest_verified_ms > written_ms:
                break
        assert store.status().oldest_verified_ms == clock.now_ms
        assert spent < total * 1.5
        await store.close()

    asyncio.run(run())


def test_scrub_finds_a_flipped_bit_anywhere_and_nothing_stays_broken(tmp_path: Path) -> None:
    """Flips one bit in many places, one device each: whatever it hits is mended or set aside."""
    ends: list[int] = []
    padding: set[int] = set()

    async def prepare() -> None:
        store = open_store(tmp_path / "d")
        for number in range(4):
            await store.commit([put(number, 10, b"%d" % number * 300), Write(row_entry(5, f"n{number}", 10))])
            assert store._engine is not None
            ends.append(store._engine.end[1])
        engine = store._engine
        assert engine is not None
        for item in scan(engine.volumes.source(1), 64, ends[-1], engine.volumes.nonce_of(1)):
            assert isinstance(item, Found)
            used = PREFIX_BYTES + item.prefix.body_bytes + item.prefix.payload_bytes
            padding.update(range(item.offset + used, item.offset + item.prefix.record_bytes))
        await store.close()

    asyncio.run(prepare())
    whole = {number: b"%d" % number * 300 for number in range(4)}

    async def check(at: int) -> None:
        folder = tmp_path / f"at-{at}"
        copy_as_it_lies(tmp_path / "d", folder)
        store = open_store(folder)
        rows = store.rows(b"\x04", b"\x05", 10)
        flip_bit(folder / "volumes" / "00000001.vol", at)
        problems: list[bytes | None] = []
        store.on_problem(lambda reason, key: problems.append(key))
        await scrub(store)
        lost = store.quarantined(10)
        assert problems or at in padding, f"nothing told of the flip at {at}"
        assert store.rows(b"\x04", b"\x05", 10) == rows
        for number, payload in whole.items():
            if object_key(number) in lost:
                assert await outcome(store, repair(put(number, 10, payload))) is Outcome.STORED
            assert await payload_of(store, object_key(number)) == payload
        assert store.quarantined(10) == []
        held = await snapshot(store)
        await store.close()
        shutil.rmtree(folder / "index")
        store = open_store(folder)
        assert (await snapshot(store)).entries == held.entries
        await store.close()
        shutil.rmtree(folder)

    for at in range(ends[0], ends[2], 41):
        asyncio.run(check(at))


def test_scrub_finds_a_flipped_bit_and_a_gap_among_large_files(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        for number in range(3):
            staging = await store.stage(None)
            await staging.write(b"%d" % number * 2_000_000)
            await staging.finish()
            await store.commit([Write(object_entry(number, 10, size=staging.size), staging)])
        flipped, gone = store.get(object_key(0)), store.get(object_key(1))
        assert flipped is not None
        assert gone is not None
        flip_payload(tmp_path, flipped)
        location: Any = gone.location
        (tmp_path / "large" / location.payload.file_id.hex()).unlink()
        await scrub(store)
        assert sorted(store.quarantined(10)) == sorted([object_key(0), object_key(1)])
        assert len(store.partition_digests(Table.OBJECT)) == 1
        await store.close()

    asyncio.run(run())


def test_compaction_mends_what_it_finds_damaged(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path)
        await store.commit(
            [put(1, 10, b"flipped" * 100), Write(row_entry(5, "row", 10)), put(2, 10, b"whole")]
        )
        held = store.get(object_key(1))
        assert held is not None
        row = store.rows(b"\x04", b"\x05", 10)
        flip_payload(tmp_path, held)
        volume = tmp_path / "volumes" / "00000001.vol"
        flip_bit(volume, volume.read_bytes().index(b"row"))
        await fill_one(store, 50, 150)
        await store.compact(1 << 30)
        assert "00000001.vol" not in volumes_of(tmp_path)
        assert store.quarantined(10) == [object_key(1)]
        assert store.rows(b"\x04", b"\x05", 10) == row
        assert await payload_of(store, object_key(2)) == b"whole"
        await store.close()

    asyncio.run(run())
