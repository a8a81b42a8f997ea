"""A process that commits to one device and says on standard output what was acknowledged.

Run as `python -m tests.probe.device_writer FOLDER SEED`; it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from model.entry import Kind
from objectd.disk.store import DiskStore
from objectd.store import Outcome, Write
from tests.contract.stores import PART_POWER, SMALL, object_entry, put, row_entry

CLIENTS = 8
KEYS = 40


def payload_for(at: int) -> bytes:
    """The bytes of the write of a time: any reader can tell whether they are right."""
    chance = random.Random(at)
    return chance.randbytes(chance.choice((10, 4096, 70_000, 300_000)))


async def _client(store: DiskStore, first: int, number: int) -> None:
    at = first + number
    while True:
        key = at % KEYS
        if at % 11 == 0:
            write = Write(object_entry(key, at, kind=Kind.TOMBSTONE))
        elif at % 13 == 0:
            staging = await store.stage(None)
            await staging.write(payload_for(at))
            await staging.finish()
            write = Write(object_entry(key, at, size=staging.size), staging)
        else:
            write = put(key, at, payload_for(at))
        row = Write(row_entry(5, f"k{key}", at, kind=write.entry.kind))
        results = await store.commit([write, row])
        if all(result.outcome in (Outcome.STORED, Outcome.SUPERSEDED) for result in results):
            sys.stdout.write(f"{at}\n")
            sys.stdout.flush()
        at += CLIENTS


async def _upkeep(store: DiskStore) -> None:
    while True:
        await store.compact(4 << 20)
        await asyncio.sleep(0.01)


async def _main(folder: Path, first: int) -> None:
    store = DiskStore.open(folder, 1, part_power=PART_POWER, create=True, options=SMALL)
    async with asyncio.TaskGroup() as clients:
        clients.create_task(_upkeep(store))
        for number in range(CLIENTS):
            clients.create_task(_client(store, first, number))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
