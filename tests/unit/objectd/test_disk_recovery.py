"""A device comes back from any crash with all that was acknowledged, and nothing that was not whole."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from model.entry import Kind, Table, make_key
from objectd.disk.store import DiskStore
from objectd.store import Health, Outcome, Store, Write
from tests.contract.snapshots import Snapshot, snapshot
from tests.contract.stores import (
    PART_POWER,
    SMALL,
    Clock,
    container_entry,
    copy_as_it_lies,
    digest_of,
    flip_bit,
    object_entry,
    object_key,
    outcome,
    payload_of,
    put,
    row_entry,
    side_entry,
    stamp,
)


def open_store(folder: Path, **changes: Any) -> DiskStore:
    return DiskStore.open(
        folder, 1, part_power=PART_POWER, create=True, options=SMALL, **{"now_ms": Clock(), **changes}
    )


def seen_in(folder: Path) -> Snapshot:
    """What a device holds when it is opened as it lies there."""

    async def look() -> Snapshot:
        store = open_store(folder)
        assert store.status().health is Health.OK, store.status().reason
        try:
            return await snapshot(store)
        finally:
            await store.close()

    return asyncio.run(look())


def crash(folder: Path, work: Callable[[Store], Awaitable[None]], copy: Path) -> Snapshot:
    """Work on a device, copy its folder as a crash would leave it, and return what it held."""

    async def run() -> Snapshot:
        store = open_store(folder)
        await work(store)
        held = await snapshot(store)
        copy_as_it_lies(folder, copy)
        await store.close()
        return held

    return asyncio.run(run())


async def some_work(store: Store) -> None:
    """A little of everything."""
    guard = make_key(Table.CONTAINER, digest_of(5))
    await store.commit([Write(container_entry(5, 1))])
    for number in range(30):
        await store.commit(
            [
                put(number, 10 + number, b"%d" % number * 700),
                Write(row_entry(5, f"n{number}", 10 + number, size=700), guard=guard),
            ]
        )
    await store.commit([put(3, 100, b"again" * 5000), Write(side_entry(object_key(4), "posted", 101))])
    await store.commit([Write(object_entry(6, 102, kind=Kind.TOMBSTONE))])
    await store.commit([Write(row_entry(5, "n6", 102, kind=Kind.TOMBSTONE))])
    staging = await store.stage(None)
    await staging.write(b"large" * 300_000)
    await staging.finish()
    await store.commit([Write(object_entry(50, 103, size=staging.size), staging)])
    await store.forget([(object_key(7), stamp(17)), (object_key(8), stamp(18))])
    await store.commit([put(8, 5, b"back")])


def test_a_closed_device_opens_as_it_was(tmp_path: Path) -> None:
    async def run() -> Snapshot:
        store = open_store(tmp_path / "d")
        await some_work(store)
        held = await snapshot(store)
        await store.close()
        return held

    held = asyncio.run(run())
    assert seen_in(tmp_path / "d") == held
    assert seen_in(tmp_path / "d") == held


def test_a_crash_that_loses_the_indexs_memory_loses_nothing(tmp_path: Path) -> None:
    held = crash(tmp_path / "d", some_work, tmp_path / "copy")
    assert seen_in(tmp_path / "copy") == held


def test_a_deleted_index_is_rebuilt(tmp_path: Path) -> None:
    held = crash(tmp_path / "d", some_work, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "index")
    assert seen_in(tmp_path / "copy") == held
    shutil.rmtree(tmp_path / "d" / "index")
    assert seen_in(tmp_path / "d") == held


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST", ".sst"])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, name: str) -> None:
    held = crash(tmp_path / "d", some_work, tmp_path / "copy")
    for path in (tmp_path / "d" / "index").iterdir():
        if name in path.name:
            path.write_bytes(b"nonsense" * 100)
    if name != ".sst":
        assert seen_in(tmp_path / "d") == held


def test_an_index_older_than_the_volumes_catches_up(tmp_path: Path) -> None:
    async def run() -> Snapshot:
        store = open_store(tmp_path / "d")
        await store.commit([put(number, 10, b"old") for number in range(20)])
        await store.close()
        shutil.copytree(tmp_path / "d" / "index", tmp_path / "old-index")
        store = open_store(tmp_path / "d")
        await some_work(store)
        held = await snapshot(store)
        await store.close()
        return held

    held = asyncio.run(run())
    shutil.rmtree(tmp_path / "d" / "index")
    shutil.copytree(tmp_path / "old-index", tmp_path / "d" / "index")
    assert seen_in(tmp_path / "d") == held


def test_a_volume_cut_at_any_byte_keeps_all_records_before_the_cut(tmp_path: Path) -> None:
    snapshots: list[tuple[int, dict[bytes, bytes | None]]] = []

    async def work(store: Store) -> None:
        volume = tmp_path / "d" / "volumes" / "00000001.vol"
        for number in range(6):
            write = put(number % 4, 10 + number, b"%d" % number * (40 + number))
            await store.commit([write])
            assert isinstance(store, DiskStore)
            assert store._engine is not None
            held = await snapshot(store)
            snapshots.append(
                (store._engine.end[1], {key: payload for key, (_, payload) in held.entries.items()})
            )
        assert volume.exists()

    crash(tmp_path / "d", work, tmp_path / "crashed")
    for cut in range(snapshots[2][0] - 1, snapshots[-1][0] + 1, 13):
        copy = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "crashed", copy)
        with (copy / "volumes" / "00000001.vol").open("r+b") as volume:
            volume.truncate(cut)
        expected = [entries for end, entries in snapshots if end <= cut][-1]
        got = {key: payload for key, (_, payload) in seen_in(copy).entries.items()}
        assert got == expected, f"cut at {cut}"
        shutil.rmtree(copy)


def test_a_torn_group_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await store.commit([put(1, 10, b"first" * 100), put(2, 10, b"second" * 100)])

    held = crash(tmp_path / "d", work, tmp_path / "copy")
    volume = tmp_path / "copy" / "volumes" / "00000001.vol"
    size = len(volume.read_bytes().rstrip(b"\0"))

    async def more(store: Store) -> None:
        await store.commit([put(1, 20, b"overwrite" * 100), put(3, 20, b"third" * 100)])

    # The same work again, and one group more, whose first record is torn in its payload.
    crash(tmp_path / "copy", more, tmp_path / "torn")
    flip_bit(tmp_path / "torn" / "volumes" / "00000001.vol", size + 500)
    seen = seen_in(tmp_path / "torn")
    assert seen.entries[object_key(1)] == held.entries[object_key(1)]
    # Reopened, and with its index lost, it still is.
    assert seen_in(tmp_path / "torn").entries == seen.entries
    shutil.rmtree(tmp_path / "torn" / "index")
    assert seen_in(tmp_path / "torn").entries == seen.entries


def test_durable_damage_is_set_aside_and_the_rest_kept(tmp_path: Path) -> None:
    """Flips one bit in each part of a record in the middle, then rebuilds the index."""
    ends: list[int] = []

    async def work(store: Store) -> None:
        assert isinstance(store, DiskStore)
        for number in range(5):
            await store.commit([put(number, 10 + number, b"%d" % number * 400)])
            assert store._engine is not None
            ends.append(store._engine.end[1])

    held = crash(tmp_path / "d", work, tmp_path / "copy")
    start, end = ends[1], ends[2]
    for at in range(start, end - 8, 23):
        copy = tmp_path / f"flip-{at}"
        shutil.copytree(tmp_path / "copy", copy)
        shutil.rmtree(copy / "index")
        flip_bit(copy / "volumes" / "00000001.vol", at)
        problems: list[str] = []

        async def look(copy: Path = copy, problems: list[str] = problems) -> Snapshot:
            store = open_store(copy)
            store.on_problem(lambda reason, key: problems.append(reason))
            seen = await snapshot(store)
            lost = store.quarantined(10)
            assert lost in ([], [object_key(2)])
            await store.close()
            return seen

        seen = asyncio.run(look())
        expected = {key: kept for key, kept in held.entries.items() if key != object_key(2)}
        assert seen.entries == expected, f"flipped at {at}"
        shutil.rmtree(copy)


def test_a_damaged_payload_is_quarantined_by_a_rebuild(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        for number in range(3):
            await store.commit([put(number, 10, b"%d" % number * 400)])

    crash(tmp_path / "d", work, tmp_path / "copy")
    volume = tmp_path / "copy" / "volumes" / "00000001.vol"
    flip_bit(volume, volume.read_bytes().index(b"1" * 400) + 100)
    shutil.rmtree(tmp_path / "copy" / "index")

    async def look() -> None:
        store = open_store(tmp_path / "copy")
        assert store.quarantined(10) == [object_key(1)]
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry.stamp == stamp(10)
        await store.close()

    asyncio.run(look())


def test_a_damaged_volume_header_loses_nothing(tmp_path: Path) -> None:
    held = crash(tmp_path / "d", some_work, tmp_path / "copy")
    flip_bit(tmp_path / "copy" / "volumes" / "00000001.vol", 10)
    shutil.rmtree(tmp_path / "copy" / "index")
    assert seen_in(tmp_path / "copy").entries == held.entries


def test_forgotten_entries_stay_forgotten_after_a_rebuild(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await store.commit([put(1, 10, b"x"), put(2, 10, b"y")])
        await store.commit([Write(object_entry(1, 20, kind=Kind.TOMBSTONE))])
        assert await store.forget([(object_key(1), stamp(20)), (object_key(2), stamp(10))]) == 2
        await store.commit([put(2, 5, b"came back")])

    crash(tmp_path / "d", work, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "index")
    seen = seen_in(tmp_path / "copy")
    assert object_key(1) not in seen.entries
    assert seen.entries[object_key(2)][1] == b"came back"


def test_what_was_not_confirmed_is_pending_again(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        for number in range(10):
            await store.commit([put(number, 10 + number, b"x")])
        store.confirm([(object_key(number), stamp(10 + number)) for number in range(5)])
        await store.commit([put(20, 30, b"y")])

    crash(tmp_path / "d", work, tmp_path / "copy")

    async def look(folder: Path) -> set[bytes]:
        store = open_store(folder)
        found = {item.key for item in store.pending(0)}
        await store.close()
        return found

    expected = {object_key(number) for number in (*range(5, 10), 20)}
    assert asyncio.run(look(tmp_path / "d")) == expected
    # A crash may bring confirmed ones back, never lose one that was not.
    assert asyncio.run(look(tmp_path / "copy")) >= expected


def test_a_large_file_that_no_commit_names_is_collected(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await store.commit([put(1, 10, b"x")])
        assert isinstance(store, DiskStore)
        staging = await store.stage(None)
        await staging.write(b"z" * 2_000_000)
        await staging.finish()
        await staging.name(object_key(2), object_entry(2, 10).to_row())  # type: ignore[attr-defined]

    crash(tmp_path / "d", work, tmp_path / "copy")
    assert len(list((tmp_path / "copy" / "large").iterdir())) == 1
    seen = seen_in(tmp_path / "copy")
    assert object_key(2) not in seen.entries
    assert list((tmp_path / "copy" / "large").iterdir()) == []


def test_a_missing_large_file_is_set_aside_by_a_rebuild(tmp_path: Path) -> None:
    held = crash(tmp_path / "d", some_work, tmp_path / "copy")
    for path in (tmp_path / "copy" / "large").iterdir():
        path.unlink()
    shutil.rmtree(tmp_path / "copy" / "index")
    seen = seen_in(tmp_path / "copy")
    assert set(held.entries) - set(seen.entries) == {object_key(50)}


def test_superseded_large_files_are_unlinked(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        for at in (10, 20):
            staging = await store.stage(2_000_000)
            await staging.write(b"%d" % at * 1_000_000)
            await staging.finish()
            await store.commit([Write(object_entry(1, at, size=staging.size), staging)])

    crash(tmp_path / "d", work, tmp_path / "copy")
    assert len(list((tmp_path / "d" / "large").iterdir())) == 1


def test_another_partition_power_sums_the_digests_anew(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path / "d")
        await store.commit([put(number, 10, b"x") for number in range(50)])
        before = store.partition_digests(Table.OBJECT)
        await store.close()
        store = DiskStore.open(tmp_path / "d", 1, part_power=4, create=False, options=SMALL)
        coarse = store.partition_digests(Table.OBJECT)
        await store.close()
        expected: dict[int, int] = {}
        for part, digest in before.items():
            expected[part >> 4] = (expected.get(part >> 4, 0) + digest) % (1 << 128)
        assert coarse == expected

    asyncio.run(run())


def test_a_device_of_another_id_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path / "d")
        await store.commit([put(1, 10, b"x")])
        await store.close()
        other = DiskStore.open(tmp_path / "d", 2, part_power=PART_POWER, create=True, options=SMALL)
        assert other.status().health is Health.FAILED
        assert "device 1" in other.status().reason
        assert await outcome(other, put(1, 20, b"y")) is Outcome.FAILED
        await other.close()

    asyncio.run(run())


def test_a_folder_without_a_device_is_formatted_only_when_asked(tmp_path: Path) -> None:
    async def run() -> None:
        store = DiskStore.open(tmp_path / "d", 1, part_power=PART_POWER, create=False, options=SMALL)
        assert store.status().health is Health.FAILED
        await store.close()
        assert not (tmp_path / "d").exists()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(6))
def test_random_work_with_crashes_equals_a_model(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "0"
    model: dict[bytes, tuple[bytes, bytes]] = {}
    at = 0

    async def work(store: Store) -> None:
        nonlocal at
        for _ in range(chance.randrange(1, 60)):
            at += 1
            number = chance.randrange(12)
            if chance.random() < 0.15 and object_key(number) in model:
                held = store.get(object_key(number))
                assert held is not None
                if await store.forget([(held.entry.key, held.entry.newest)]):
                    del model[object_key(number)]
                continue
            payload = chance.randbytes(chance.choice((0, 10, 500, 30_000, 150_000)))
            write = put(number, at, payload)
            assert await outcome(store, write) is Outcome.STORED
            model[object_key(number)] = (write.entry.to_row(), payload)

    for turn in range(4):
        copy = tmp_path / f"{turn + 1}"
        crash(folder, work, copy)
        if chance.random() < 0.4:
            shutil.rmtree(copy / "index")
        assert seen_in(copy).entries == model
        shutil.rmtree(folder)
        folder = copy


def test_payloads_survive_a_reopen(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(tmp_path / "d")
        await store.commit([put(1, 10, b"kept" * 50_000)])
        await store.close()
        store = open_store(tmp_path / "d")
        assert await payload_of(store, object_key(1)) == b"kept" * 50_000
        await store.close()

    asyncio.run(run())
