"""Measures what a device costs: the choices behind its volumes and its index, and whole commits.

    python -m bench.device [--folder FOLDER] [--commits N] [preallocate|sync|index|commit ...]

Figures depend on the disk of the folder. CPU is that of this process, kernel time included, without
the kernel's own workers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.table import Table as TextTable
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from model.entry import Entry, Kind, Table, make_key
from model.stamp import make_stamp
from objectd.disk.store import DiskStore
from objectd.disk.sync import KernelSyncer, Syncer, ThreadSyncer
from objectd.store import Write

RECORD_BYTES: Final = 4700
ROWS: Final = 200_000
BATCH_ROWS: Final = 64
PAGE_ROWS: Final = 1000
DEVICES: Final = 4
REPLICAS: Final = 3
_MIB: Final = 1 << 20


@dataclass(slots=True)
class Spent:
    """Wall clock and CPU of a stretch of work, in seconds."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def spending() -> Iterator[Spent]:
    """Measure the work inside."""
    spent = Spent()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield spent
    spent.wall_s, spent.cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s


def table_of(title: str, *columns: str) -> TextTable:
    """Return an empty table of figures."""
    table = TextTable(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


# -- preallocation


def _append_only(fd: int) -> None:
    os.ftruncate(fd, 0)


def _allocated(fd: int) -> None:
    os.posix_fallocate(fd, 0, 256 * _MIB)


def _zeroed(fd: int) -> None:
    for at in range(256):
        os.pwrite(fd, bytes(_MIB), at * _MIB)


def measure_preallocation(folder: Path, commits: int) -> TextTable:
    """What one write and fdatasync cost at the end of a file, in space set aside, in zeros."""
    table = table_of("write and fdatasync, µs wall / CPU of a group", "file", "1", "8", "64 records")
    kinds: dict[str, Callable[[int], None]] = {
        "grows": _append_only,
        "fallocate": _allocated,
        "filled with zeros": _zeroed,
    }
    record = os.urandom(RECORD_BYTES)
    for name, prepare in kinds.items():
        cells = []
        for group in (1, 8, 64):
            fd = os.open(folder / "volume", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            prepare(fd)
            os.fsync(fd)
            count = max(50, min(commits, 600) // group)
            with spending() as spent:
                for number in range(count):
                    os.pwritev(fd, [record] * group, number * group * RECORD_BYTES)
                    os.fdatasync(fd)
            os.close(fd)
            cells.append(f"{spent.wall_s / count * 1e6:.0f} / {spent.cpu_s / count * 1e6:.0f}")
        table.add_row(name, *cells)
    (folder / "volume").unlink()
    return table


# -- syncs


def measure_syncs(folder: Path, commits: int) -> TextTable:
    """What a write and sync cost from an event loop, by the kernel's asynchronous I/O and by threads."""
    table = table_of("one record written and synced from the loop, µs CPU", "sync by", "1", "16 clients")
    for name, make in (("threads", ThreadSyncer), ("the kernel", KernelSyncer)):
        cells = [f"{uvloop.run(_sync_cost(folder, make, clients, commits)):.0f}" for clients in (1, 16)]
        table.add_row(name, *cells)
    return table


async def _sync_cost(
    folder: Path, make: Callable[[asyncio.AbstractEventLoop], Syncer], clients: int, commits: int
) -> float:
    loop = asyncio.get_running_loop()
    record = os.urandom(RECORD_BYTES)
    left = commits

    async def client(number: int) -> None:
        nonlocal left
        syncer = make(loop)
        fd = os.open(folder / f"sync-{number}", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        _allocated_small(fd)
        at = 0
        while left > 0:
            left -= 1
            done = loop.create_future()
            os.pwrite(fd, record, at)
            at = (at + RECORD_BYTES) % (4 * _MIB)
            syncer.sync(fd, done.set_result)
            await done
        syncer.close()
        os.close(fd)
        (folder / f"sync-{number}").unlink()

    with spending() as spent:
        await asyncio.gather(*(client(number) for number in range(clients)))
    return spent.cpu_s / commits * 1e6


def _allocated_small(fd: int) -> None:
    os.pwrite(fd, bytes(5 * _MIB), 0)
    os.fsync(fd)


# -- index engines


def measure_indexes(folder: Path) -> TextTable:
    """What a put in batches, a get and a page of 1,000 rows cost in RocksDB and in SQLite."""
    table = table_of(
        f"index of {ROWS:,} rows, in random order, no log, CPU", "engine", "put µs", "get µs", "1,000 rows µs"
    )
    keys = [b"I%020d/name-%08d" % (7, number) for number in range(ROWS)]
    random.Random(1).shuffle(keys)
    value = os.urandom(120)
    table.add_row("rocksdict", *_rocksdb_costs(folder / "rocksdb", keys, value))
    table.add_row("sqlite3", *_sqlite_costs(folder / "sqlite.db", keys, value))
    return table


def _costs(
    keys: list[bytes],
    put: Callable[[list[bytes]], None],
    get: Callable[[bytes], object],
    page: Callable[[bytes], int],
    *,
    settle: Callable[[], object],
) -> list[str]:
    with spending() as putting:
        for at in range(0, len(keys), BATCH_ROWS):
            put(keys[at : at + BATCH_ROWS])
    settle()
    with spending() as getting:
        for key in keys[:20_000]:
            get(key)
    starts = sorted(keys)[: PAGE_ROWS * 50 : PAGE_ROWS]
    with spending() as paging:
        for key in starts:
            page(key)
    return [
        f"{putting.cpu_s / len(keys) * 1e6:.2f}",
        f"{getting.cpu_s / 20_000 * 1e6:.2f}",
        f"{paging.cpu_s / 50 * 1e6:.0f}",
    ]


def _rocksdb_costs(path: Path, keys: list[bytes], value: bytes) -> list[str]:
    db: Any = Rdict(str(path), Options(raw_mode=True))
    no_log: Any = WriteOptions()
    no_log.disable_wal = True

    def put(batch: list[bytes]) -> None:
        writes = WriteBatch(raw_mode=True)
        for key in batch:
            writes.put(key, value)
        db.write(writes, no_log)

    def page(start: bytes) -> int:
        rows = []
        for row in db.items(from_key=start):
            rows.append(row)
            if len(rows) == PAGE_ROWS:
                break
        return len(rows)

    costs = _costs(keys, put, db.get, page, settle=lambda: db.flush(True))
    db.close()
    return costs


def _sqlite_costs(path: Path, keys: list[bytes], value: bytes) -> list[str]:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode=off")
    db.execute("pragma synchronous=off")
    db.execute("create table rows(key blob primary key, value blob) without rowid")

    def put(batch: list[bytes]) -> None:
        db.execute("begin")
        db.executemany("insert or replace into rows values(?, ?)", [(key, value) for key in batch])
        db.execute("commit")

    def get(key: bytes) -> object:
        return db.execute("select value from rows where key = ?", (key,)).fetchone()

    def page(start: bytes) -> int:
        found = db.execute("select key, value from rows where key >= ? limit ?", (start, PAGE_ROWS))
        return len(found.fetchall())

    costs = _costs(keys, put, get, page, settle=db.commit)
    db.close()
    return costs


# -- whole commits


def measure_commits(folder: Path, commits: int) -> TextTable:
    """What a client's PUT of 4 KiB costs its devices: three object entries and three index rows."""
    table = table_of(
        f"{REPLICAS} objects of 4 KiB and {REPLICAS} index rows on {DEVICES} devices",
        "clients",
        "PUT/s",
        "CPU µs",
        "p50 ms",
        "p99 ms",
        "get µs",
        "read µs",
    )
    for clients in (1, 16):
        table.add_row(f"{clients}", *uvloop.run(_commit_costs(folder, clients, commits)))
    return table


async def _commit_costs(folder: Path, clients: int, commits: int) -> list[str]:
    stores = [
        DiskStore.open(folder / f"d{number}", number, part_power=12, create=True) for number in range(DEVICES)
    ]
    container = make_key(Table.CONTAINER, bytes(16))
    for store in stores:
        await store.commit([Write(Entry(container, make_stamp(1, 0, 1), Kind.DATA, 0, b"c"))])
    payload, waits, left = os.urandom(4096), list[float](), commits

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            writes = _writes_of_put(left, payload, container)
            start_s = time.perf_counter()
            futures = [
                stores[(left + at) % DEVICES if number == 0 else at].commit([write])
                for number, write in enumerate(writes)
                for at in range(REPLICAS)
            ]
            for future in futures:
                await future
            waits.append(time.perf_counter() - start_s)
            for store in stores:
                store.confirm([(write.entry.key, write.entry.stamp) for write in writes])

    with spending() as spent:
        await asyncio.gather(*(client() for _ in range(clients)))
    get_us, read_us = _read_costs(stores[0], commits)
    for store in stores:
        await store.close()
    for number in range(DEVICES):
        shutil.rmtree(folder / f"d{number}")
    waits.sort()
    return [
        f"{commits / spent.wall_s:.0f}",
        f"{spent.cpu_s / commits * 1e6:.0f}",
        f"{waits[len(waits) // 2] * 1e3:.2f}",
        f"{waits[len(waits) * 99 // 100] * 1e3:.2f}",
        f"{get_us:.1f}",
        f"{read_us:.1f}",
    ]


def _writes_of_put(number: int, payload: bytes, container: bytes) -> list[Write]:
    chance = random.Random(number)
    stamp = make_stamp(1_700_000_000_000 + number, 0, 1)
    digest = chance.randbytes(16)
    name = b"object-%08d" % chance.randrange(10**8)
    record = Entry(make_key(Table.OBJECT, digest), stamp, Kind.DATA, len(payload), bytes(200))
    row = Entry(make_key(Table.INDEX, bytes(16), name), stamp, Kind.DATA, len(payload), bytes(60))
    return [Write(record, payload), Write(row, guard=container)]


def _read_costs(store: DiskStore, commits: int) -> tuple[float, float]:
    keys = [key for key, _ in store.rows(b"\x01", b"\x02", commits)]
    with spending() as looking:
        held = [found for key in keys if (found := store.get(key)) is not None]
    with spending() as reading:
        for found in held:
            store.read_now(found, 0, found.payload_bytes)
    return looking.cpu_s / len(keys) * 1e6, reading.cpu_s / len(keys) * 1e6


def main() -> None:
    """Measure what is named on the command line, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench.device", description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--commits", type=int, default=3000)
    parser.add_argument("what", nargs="*", choices=["preallocate", "sync", "index", "commit", []])
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        steps: dict[str, Callable[[], TextTable]] = {
            "preallocate": lambda: measure_preallocation(folder, options.commits),
            "sync": lambda: measure_syncs(folder, options.commits),
            "index": lambda: measure_indexes(folder),
            "commit": lambda: measure_commits(folder, options.commits),
        }
        for name in options.what or steps:
            console.print(steps[name]())


if __name__ == "__main__":
    main()
