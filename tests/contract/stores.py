"""The stores under contract, and the entries that the suite writes into them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model.entry import Entry, Kind, Table, make_key, only_sides
from model.stamp import Stamp, make_stamp
from objectd.disk.engine import DiskOptions
from objectd.disk.index import IndexOptions
from objectd.disk.store import DiskStore
from objectd.memory_store import MemoryStore
from objectd.store import Buffer, Held, Origin, Outcome, Store, Write, Written

PART_POWER = 8
SMALL = DiskOptions(
    volume_bytes_max=1 << 20,
    reserve_bytes=0,
    index=IndexOptions(cache_bytes=1 << 20, write_buffer_bytes=1 << 20),
)

Result = TypeVar("Result")


@dataclass(slots=True)
class Clock:
    """A clock that tests turn by hand, in milliseconds since the epoch."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True, slots=True)
class Bench:
    """A way to open stores of one kind, with a clock in hand."""

    make: Callable[[], Store]
    clock: Clock
    corrupt: Callable[[Store, bytes], None]

    def run(self, claim: Callable[[Store], Awaitable[Result]]) -> Result:
        """Run a claim against a fresh store and close it."""

        async def bounded() -> Result:
            store = self.make()
            try:
                return await claim(store)
            finally:
                await store.close()

        return asyncio.run(bounded())


@contextmanager
def memory_bench(folder: Path) -> Iterator[Bench]:
    """A bench of memory stores."""
    clock = Clock()

    def corrupt(store: Store, key: bytes) -> None:
        assert isinstance(store, MemoryStore)
        store.corrupt(key)

    yield Bench(lambda: MemoryStore(1, part_power=PART_POWER, now_ms=clock), clock, corrupt)


@contextmanager
def disk_bench(folder: Path) -> Iterator[Bench]:
    """A bench of disk stores, each in the same folder."""
    clock = Clock()

    def corrupt(store: Store, key: bytes) -> None:
        held = store.get(key)
        assert held is not None
        flip_payload(folder, held)

    def make() -> Store:
        return DiskStore.open(folder, 1, part_power=PART_POWER, create=True, options=SMALL, now_ms=clock)

    yield Bench(make, clock, corrupt)


def copy_as_it_lies(folder: Path, copy: Path) -> None:
    """Copy a device's folder while it is in use, as a crash would leave it."""

    def copy_if_there(source: str, target: str) -> str:
        # Superseded files are unlinked behind the commits that supersede them.
        with suppress(FileNotFoundError):
            shutil.copy2(source, target)
        return target

    shutil.copytree(folder, copy, copy_function=copy_if_there)


def flip_payload(folder: Path, held: Held) -> None:
    """Flip one bit in the middle of a payload on the disk."""
    location: Any = held.location
    payload = location.payload
    if hasattr(payload, "file_id"):
        path, at = folder / "large" / payload.file_id.hex(), payload.size // 2
    else:
        path = folder / "volumes" / f"{payload.volume_id:08x}.vol"
        blocks = -(-payload.size // 65536)
        at = payload.offset + payload.delta + 4 * blocks + payload.size // 2
    flip_bit(path, at)


def flip_bit(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes((byte[0] ^ 16,)))


def digest_of(number: int) -> bytes:
    """A placement digest; the high bits spread over partitions."""
    return (number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") + number.to_bytes(8, "big")


def stamp(at: int) -> Stamp:
    """A stamp that sorts by its number."""
    return make_stamp(1_700_000_000_000 + at, 0, 7)


def object_key(number: int) -> bytes:
    """The key of an object."""
    return make_key(Table.OBJECT, digest_of(number))


def object_entry(
    number: int, at: int, *, size: int = 0, kind: Kind = Kind.DATA, value: bytes = b"v"
) -> Entry:
    """An object's entry of a time."""
    return Entry(object_key(number), stamp(at), kind, size, value)


def container_entry(number: int, at: int, *, kind: Kind = Kind.DATA) -> Entry:
    """A container's entry of a time."""
    return Entry(make_key(Table.CONTAINER, digest_of(number)), stamp(at), kind, 0, b"c")


def row_entry(number: int, name: str, at: int, *, size: int = 0, kind: Kind = Kind.DATA) -> Entry:
    """A row in a container's index."""
    return Entry(make_key(Table.INDEX, digest_of(number), name.encode()), stamp(at), kind, size, b"r")


def side_entry(key: bytes, name: str, at: int, value: bytes = b"s") -> Entry:
    """An entry of one side register."""
    return only_sides(key, {name: (stamp(at), value)})


def put(number: int, at: int, payload: Buffer) -> Write:
    """The write of an object with its bytes."""
    return Write(object_entry(number, at, size=len(payload)), payload)


def repair(write: Write) -> Write:
    """The same write, asked for by a repair."""
    return Write(write.entry, write.payload, write.guard, write.if_empty, Origin.REPAIR)


async def outcome(store: Store, write: Write) -> Outcome:
    """The outcome of one write."""
    return (await written(store, write)).outcome


async def written(store: Store, write: Write) -> Written:
    """The result of one write."""
    return (await store.commit([write]))[0]


async def payload_of(store: Store, key: bytes) -> bytes:
    """All bytes of an entry, by way of `read`."""
    held = store.get(key)
    assert held is not None
    return b"".join([bytes(piece) async for piece in store.read(held, 0, held.payload_bytes)])
