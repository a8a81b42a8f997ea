"""Whether every home of every partition holds the same entries, asked of the devices themselves.

A ring change has to be over, no device may be filling, and none may have set a record aside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from colonnade.client import open_colony
from colonnade.folder import FolderError
from model.entry import Kind, Table, row_kind, row_stamp
from model.errors import Absent, CorruptRecord, Unavailable
from model.stamp import Stamp
from proxy.operations.nodes import Nodes
from ring.epoch import Phase

POLL_S = 0.2
READS_AT_ONCE = 8


async def differences(nodes: Nodes, *, version: int = 1) -> list[str]:
    """Return a line for each partition whose homes differ or that lies on a device that is no home.

    Lines tell too of a ring that is older than `version` or changes, and of devices that are not whole.
    """
    ring = nodes.epoch.ring
    if ring.version < version or nodes.epoch.phase not in (Phase.INITIAL, Phase.SETTLED):
        return [f"ring version {ring.version} is at {nodes.epoch.phase.name}"]
    found: list[str] = []
    for node in {device.node for device in ring.devices.values()}:
        status = await nodes.client(node).status()
        found += [f"{node}: device {device} is filling" for device in status.filling]
        for one in status.devices:
            if one.quarantined_count:
                found.append(f"device {one.device_id}: {one.quarantined_count} records set aside")
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


async def _wait(folder: Path, seconds: float, version: int) -> tuple[list[str], float]:
    started = time.monotonic()
    while True:
        try:
            async with open_colony(folder) as colony:
                found = await differences(colony.nodes, version=version)
        except (Unavailable, FolderError) as error:
            found = [str(error)]
        elapsed = time.monotonic() - started
        if not found or elapsed > seconds:
            return found, elapsed
        await asyncio.sleep(POLL_S)


def wait_in_step(folder: Path, *, seconds: float, version: int = 1) -> tuple[Sequence[str], float]:
    """Wait until all homes are in step under a ring version; return what differs, and the seconds it took."""
    return asyncio.run(_wait(folder, seconds, version))


async def unaudited(nodes: Nodes, since_ms: int) -> list[str]:
    """Return a line for each device of which the auditor has not read every record since a time."""
    found: list[str] = []
    for node in {device.node for device in nodes.epoch.ring.devices.values()}:
        found += [
            f"device {one.device_id} has records last read {one.oldest_verified_ms}"
            for one in (await nodes.client(node).status()).devices
            if one.oldest_verified_ms < since_ms
        ]
    return found


async def _wait_audited(folder: Path, seconds: float) -> list[str]:
    since_ms, give_up = time.time_ns() // 1_000_000, time.monotonic() + seconds
    while True:
        async with open_colony(folder) as colony:
            found = await unaudited(colony.nodes, since_ms)
        if not found or time.monotonic() > give_up:
            return found
        await asyncio.sleep(POLL_S)


def wait_audited(folder: Path, *, seconds: float) -> Sequence[str]:
    """Wait until the auditor has read every record once more; return what it has not."""
    return asyncio.run(_wait_audited(folder, seconds))


async def bad_copies(nodes: Nodes) -> list[str]:
    """Return a line for each object of which some home cannot give all bytes, each of them read."""
    epoch = nodes.epoch
    slots = asyncio.Semaphore(READS_AT_ONCE)
    found: list[str] = []

    async def read(device: int, key: bytes, stamp: Stamp, size: int) -> None:
        async with slots:
            try:
                stream = await nodes.client(epoch.node_of(device)).payload(
                    device, key, stamp, epoch=epoch.number
                )
                got = sum([len(chunk) async for chunk in stream.chunks()])
            except (Unavailable, Absent, CorruptRecord) as error:
                found.append(f"{key.hex()} on device {device}: {error}")
            else:
                if got != size:
                    found.append(f"{key.hex()} on device {device}: {got} of {size} bytes")

    for device in epoch.ring.devices.values():
        lo, client = bytes((Table.OBJECT,)), nodes.client(device.node)
        while True:
            page = await client.entries(
                device.id, lo, bytes((Table.OBJECT + 1,)), limit=1000, epoch=epoch.number
            )
            data = [raw for raw in page if row_kind(raw.row) == Kind.DATA]
            found += [
                f"{raw.key.hex()} on device {device.id}: set aside" for raw in data if raw.payload_bytes < 0
            ]
            reads = [
                read(device.id, raw.key, row_stamp(raw.row), raw.payload_bytes)
                for raw in data
                if raw.payload_bytes > 0
            ]
            await asyncio.gather(*reads)
            if not page:
                break
            lo = page[-1].key + b"\0"
    return found


async def _copies(folder: Path) -> list[str]:
    async with open_colony(folder) as colony:
        return await bad_copies(colony.nodes)


def read_all_copies(folder: Path) -> list[str]:
    """Read every copy of every object on its device; return what is bad, which is then known as such."""
    return asyncio.run(_copies(folder))
