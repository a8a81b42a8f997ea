"""One objectd service in this process, over memory stores, behind a real server on a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.rpc_server import RpcServer
from model.entry import Entry, Kind, Table, make_key
from model.errors import BadRequest
from model.listing import pack_listed
from model.stamp import Stamp, make_stamp
from objectd.client import NodeClient
from objectd.contract import CommitWrite, Phase, epoch_of
from objectd.memory_store import MemoryStore
from objectd.ring_state import RingFacts, RingState
from objectd.service import NodeService
from objectd.service_state import NodeState
from objectd.store import Origin, Store

KEY = b"k" * 32
PART_POWER = 4
EPOCH = epoch_of(1, Phase.INITIAL)


def check_ring(data: bytes) -> RingFacts:
    """Read what stands for a ring file in these tests: b"VERSION:DIGEST"."""
    version, _, digest = bytes(data).partition(b":")
    if not version.isdigit():
        raise BadRequest("not a ring file")
    return RingFacts(int(version), digest[:16])


@dataclass
class Node:
    """A node that serves: its parts, and a client of it."""

    service: NodeService
    server: RpcServer
    client: NodeClient
    address: str
    notices: list[tuple[str, Any]]

    @property
    def state(self) -> NodeState:
        """What the handlers share."""
        return self.service.state

    def another_client(self) -> NodeClient:
        """A client with a connection of its own; close it."""
        return NodeClient.at(self.address, KEY, name="another")


def memory_stores(devices: Sequence[int] = (0, 1, 2, 3)) -> dict[int, Store]:
    """A memory store for each device."""
    return {device: MemoryStore(device, part_power=PART_POWER) for device in devices}


@asynccontextmanager
async def serving(
    folder: Path, stores: Mapping[int, Store] | None = None, *, stage_idle_ms_max: int = 60_000
) -> AsyncIterator[Node]:
    """Run a node at EPOCH until the context ends."""
    ring = RingState(folder, check_ring)
    if ring.epoch == 0:
        await ring.adopt(b"1:first", Phase.INITIAL)
    state = NodeState(memory_stores() if stores is None else stores, ring, name="node-1")
    service = NodeService(state, ring, stage_idle_ms_max=stage_idle_ms_max)
    server = RpcServer(service.handlers(), KEY, name="node-1")
    state.push = server.push
    address = await server.listen(f"unix:{folder}/objectd.sock")
    notices: list[tuple[str, Any]] = []
    client = NodeClient.at(address, KEY, name="test", on_push=lambda op, args: notices.append((op, args)))
    try:
        yield Node(service, server, client, address, notices)
    finally:
        await client.close()
        await server.close()
        for store in state.stores.values():
            await store.close()


async def until(claim: Callable[[], object]) -> None:
    """Return once something holds that no event tells of; fails after 10 s."""
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110  (what is waited for happens in code under test)
            await asyncio.sleep(0.001)


def stamp(ms: int, writer: int = 1) -> Stamp:
    """A stamp of a logical time."""
    return make_stamp(ms, 0, writer)


def digest(name: str) -> bytes:
    """A placement digest for a test."""
    return name.encode().ljust(16, b".")


def object_entry(name: str, at: Stamp, size: int = 0, *, kind: Kind = Kind.DATA) -> Entry:
    """An OBJECT entry."""
    return Entry(make_key(Table.OBJECT, digest(name)), at, kind, size, b"record of " + name.encode())


def container_entry(name: str, at: Stamp, *, kind: Kind = Kind.DATA) -> Entry:
    """A CONTAINER entry."""
    return Entry(make_key(Table.CONTAINER, digest(name)), at, kind)


def index_entry(container: str, name: str, at: Stamp, *, kind: Kind = Kind.DATA, size: int = 1) -> Entry:
    """A listing row of a container."""
    key = make_key(Table.INDEX, digest(container), name.encode())
    return Entry(key, at, kind, size, pack_listed("etag", "text/plain"))


def write_of(
    entry: Entry,
    devices: Sequence[int],
    need: int = 0,
    *,
    payload: int | None = None,
    staged: Mapping[int, int] | None = None,
    guard: bytes | None = None,
    if_empty: bool = False,
    origin: Origin = Origin.CLIENT,
) -> CommitWrite:
    """A write of an entry."""
    return CommitWrite(entry.key, entry.to_row(), devices, need, payload, staged, guard, if_empty, origin)
