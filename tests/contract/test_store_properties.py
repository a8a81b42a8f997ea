"""Whatever is done to a disk store, crashes and upkeep included, it holds what a store in memory holds."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.entry import Kind, Table, make_key
from objectd.disk.store import DiskStore
from objectd.memory_store import MemoryStore
from objectd.store import Store, Write
from tests.contract.snapshots import Snapshot, snapshot
from tests.contract.stores import (
    PART_POWER,
    SMALL,
    Clock,
    container_entry,
    copy_as_it_lies,
    digest_of,
    object_entry,
    object_key,
    put,
    repair,
    row_entry,
    side_entry,
)

_CONTAINER = make_key(Table.CONTAINER, digest_of(5))


@dataclass(frozen=True, slots=True)
class Put:
    number: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Large:
    number: int
    at: int


@dataclass(frozen=True, slots=True)
class Delete:
    number: int
    at: int


@dataclass(frozen=True, slots=True)
class Side:
    number: int
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    at: int
    kind: Kind
    is_repair: bool


@dataclass(frozen=True, slots=True)
class Container:
    at: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Forget:
    number: int


@dataclass(frozen=True, slots=True)
class Crash:
    lose_index: bool


@dataclass(frozen=True, slots=True)
class Reopen:
    pass


@dataclass(frozen=True, slots=True)
class Compact:
    budget_bytes: int


Step = Put | Large | Delete | Side | Row | Container | Forget | Crash | Reopen | Compact

_numbers = st.integers(0, 4)
_times = st.integers(1, 60)
_steps = st.one_of(
    st.builds(Put, _numbers, _times, st.sampled_from((0, 5, 3000, 70_000, 400_000))),
    st.builds(Put, _numbers, _times, st.sampled_from((5, 3000))),
    st.builds(Large, _numbers, _times),
    st.builds(Delete, _numbers, _times),
    st.builds(Side, _numbers, st.sampled_from(("posted", "tags")), _times),
    st.builds(
        Row, st.sampled_from("abc"), _times, st.sampled_from((Kind.DATA, Kind.TOMBSTONE)), st.booleans()
    ),
    st.builds(Container, _times, st.sampled_from((Kind.DATA, Kind.TOMBSTONE))),
    st.builds(Forget, _numbers),
    st.builds(Crash, st.booleans()),
    st.builds(Reopen),
    st.builds(Compact, st.sampled_from((1, 100_000, 1 << 30))),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_steps, max_size=40))
def test_a_disk_store_holds_what_a_memory_store_holds(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder), steps))


async def _compare(folder: Path, steps: list[Step]) -> None:
    clock = Clock()
    memory = MemoryStore(1, part_power=PART_POWER, now_ms=clock)
    turn = 0
    disk = _open(folder / "0", clock)
    for step in steps:
        match step:
            case Crash(lose_index):
                copy_as_it_lies(folder / f"{turn}", folder / f"{turn + 1}")
                turn += 1
                await disk.close()
                if lose_index:
                    shutil.rmtree(folder / f"{turn}" / "index")
                disk = _open(folder / f"{turn}", clock)
            case Reopen():
                await disk.close()
                disk = _open(folder / f"{turn}", clock)
            case Compact(budget_bytes):
                await disk.compact(budget_bytes)
            case _:
                assert await _do(disk, step) == await _do(memory, step), step
    assert _without_sequences(await snapshot(disk)) == _without_sequences(await snapshot(memory))
    await disk.close()


def _open(folder: Path, clock: Clock) -> DiskStore:
    return DiskStore.open(folder, 1, part_power=PART_POWER, create=True, options=SMALL, now_ms=clock)


async def _do(store: Store, step: Step) -> object:
    """Do one step on either store and return what came of it."""
    if isinstance(step, Forget):
        held = store.get(object_key(step.number))
        if held is None:
            return 0
        return await store.forget([(held.entry.key, held.entry.newest)])
    if isinstance(step, Large):
        staging = await store.stage(None)
        await staging.write(b"%d" % step.at * 600_000)
        await staging.finish()
        value = b"large"
        entry = object_entry(step.number, step.at, size=staging.size, value=value)
        return await store.commit([Write(entry, staging)])
    return await store.commit([_write_of(step)])


def _write_of(step: Step) -> Write:
    match step:
        case Put(number, at, size):
            return put(number, at, (b"%d" % at * size)[:size])
        case Delete(number, at):
            return Write(object_entry(number, at, kind=Kind.TOMBSTONE))
        case Side(number, name, at):
            return Write(side_entry(object_key(number), name, at))
        case Row(name, at, kind, is_repair):
            write = Write(row_entry(5, name, at, size=at, kind=kind), guard=_CONTAINER)
            return repair(write) if is_repair else write
        case Container(at, kind):
            return Write(container_entry(5, at, kind=kind), if_empty=True)
    raise AssertionError(step)


def _without_sequences(held: Snapshot) -> object:
    """Only the order of changes is alike: a disk counts all its records, memory only rows of an index."""
    return (
        held.entries,
        {digest: (group.count, group.bytes, group.digest) for digest, group in held.groups.items()},
        {digest: [(line.name, line.row) for line in lines] for digest, lines in held.changes.items()},
        held.digests,
        held.entry_count,
    )
