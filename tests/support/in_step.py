"""Whether every home of every partition holds the same entries, asked of the devices themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from colonnade.client import open_colony
from model.entry import Table
from model.errors import Unavailable
from proxy.operations.nodes import Nodes

POLL_S = 0.5


async def differences(nodes: Nodes) -> list[str]:
    """Return a line for each partition whose homes differ or that lies on a device that is no home."""
    ring = nodes.epoch.ring
    found: list[str] = []
    for table in Table:
        digests: dict[int, dict[int, int]] = {}
        for device in ring.devices.values():
            client = nodes.client(device.node)
            digests[device.id] = await client.digests(device.id, table, epoch=nodes.epoch.number)
        for partition in range(ring.partition_count):
            homes = ring.homes(partition)
            values = {digests[device].get(partition, 0) for device in homes}
            if len(values) > 1:
                found.append(f"{table.name} {partition}: homes {homes} differ")
            strays = [d for d in digests if d not in homes and digests[d].get(partition, 0)]
            if strays:
                found.append(f"{table.name} {partition}: also on {strays}")
    return found


async def _wait(folder: Path, seconds: float) -> tuple[list[str], float]:
    started = time.monotonic()
    while True:
        try:
            async with open_colony(folder) as colony:
                found = await differences(colony.nodes)
        except Unavailable as error:
            found = [str(error)]
        elapsed = time.monotonic() - started
        if not found or elapsed > seconds:
            return found, elapsed
        await asyncio.sleep(POLL_S)


def wait_in_step(folder: Path, *, seconds: float) -> tuple[Sequence[str], float]:
    """Wait until all homes are in step; return what still differs, and the seconds it took."""
    return asyncio.run(_wait(folder, seconds))
