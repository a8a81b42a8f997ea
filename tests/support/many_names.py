"""Fills a container's index of a running colony with many names, far faster than any client could.

Only the listing rows are written, as repair writes them: the objects themselves do not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from colonnade.client import open_colony
from model.entry import Entry, Kind, Table, make_key
from model.listing import pack_listed
from model.stamp import Stamp
from objectd.contract import Origin
from proxy.operations.nodes import Nodes
from proxy.operations.write import Update, write

BATCH = 2_000
AT_ONCE = 4
LISTED = pack_listed("d41d8cd98f00b204e9800998ecf8427e", "application/octet-stream")


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while batch := list(islice(rest, BATCH)):
        yield batch


async def _write_rows(
    folder: Path, account: str, container: str, names: Iterable[str], row: Callable[[bytes, Stamp], Entry]
) -> None:
    async with open_colony(folder) as colony:
        nodes: Nodes = colony.nodes
        digest = nodes.epoch.digest(account, container)
        batches = _batches(names)

        async def work() -> None:
            for batch in batches:
                stamp = nodes.clock.next()
                updates = [
                    Update(row(make_key(Table.INDEX, digest, name.encode()), stamp), origin=Origin.REPAIR)
                    for name in batch
                ]
                written = await write(nodes, updates)
                assert all(one.durable for one in written), "rows were not written"

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def add_names(folder: Path, account: str, container: str, names: Iterable[str]) -> None:
    """List names of empty objects in a container."""
    asyncio.run(
        _write_rows(
            folder, account, container, names, lambda key, stamp: Entry(key, stamp, Kind.DATA, 0, LISTED)
        )
    )


def remove_names(folder: Path, account: str, container: str, names: Iterable[str]) -> None:
    """Leave tombstones of names in a container."""
    asyncio.run(
        _write_rows(
            folder, account, container, names, lambda key, stamp: Entry(key, stamp, Kind.TOMBSTONE, 0, b"")
        )
    )
