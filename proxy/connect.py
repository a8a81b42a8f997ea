"""How a process comes to its colony: the ring from the node at hand, clients of all nodes, then `Colony`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kit.clock import HybridClock, random_writer_id
from model.errors import StaleRing, Unavailable
from objectd.client import NodeClient
from objectd.contract import Health, Notice, RingReply
from proxy.operations.colony import Colony
from proxy.operations.nodes import LiveRing, Nodes
from ring.epoch import Epoch, Phase
from ring.table import Ring

RETRY_S: Final = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entrance:
    """The node through which a process reaches its colony.

    `decode` returns the ring of a ring file, or raises where it is not to be trusted. `name` is how
    this process shows itself to the nodes.
    """

    node: str
    address: str
    cluster_key: bytes
    name: str
    decode: Callable[[bytes], Ring]


async def connect_nodes(entrance: Entrance, *, patience_ms: int) -> Nodes:
    """Return the nodes of the colony, once the node at hand serves and has a ring.

    Raises Unavailable where that takes longer than `patience_ms`.
    """
    made: list[Nodes] = []

    def connect(node: str, address: str) -> NodeClient:
        def told(op: str, args: Any) -> None:
            if made:
                _take_notice(made[0], node, op, args)

        return NodeClient.at(
            address or entrance.address, entrance.cluster_key, name=entrance.name, on_push=told
        )

    first = connect(entrance.node, "")
    try:
        reply = await _first_ring(first, patience_ms)
    finally:
        await first.close()
    live = LiveRing(Epoch(entrance.decode(reply.data), Phase(reply.phase)), reply.data)
    clock = HybridClock(random_writer_id())
    made.append(Nodes(live, entrance.node, clock, connect=connect, decode=entrance.decode))
    return made[0]


async def connect_colony(
    entrance: Entrance, *, patience_ms: int, inline_bytes_max: int = 1 << 20, container_cache_ms: int = 1000
) -> Colony:
    """Return the colony behind a node; close it in the end. Raises Unavailable."""
    nodes = await connect_nodes(entrance, patience_ms=patience_ms)
    return Colony(nodes, inline_bytes_max=inline_bytes_max, container_cache_ms=container_cache_ms)


async def _first_ring(client: NodeClient, patience_ms: int) -> RingReply:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_ms / 1000
    while True:
        try:
            await client.rpc.wait_connected(max(0, int((give_up - loop.time()) * 1000)))
            reply = await client.ring_get()
        except Unavailable:
            if loop.time() >= give_up:
                raise
        else:
            if reply is not None:
                return reply
            if loop.time() >= give_up:
                raise Unavailable(f"the node at {client.address} has no ring yet")
        await asyncio.sleep(RETRY_S)


def _take_notice(nodes: Nodes, node: str, op: str, args: Any) -> None:
    """Hear of a device that failed, or of a ring that a node has adopted, before a request runs into it."""
    if op == Notice.DEVICE:
        device, health, _ = args
        if health == Health.FAILED:
            nodes.note_down(device)
    elif op == Notice.SETTINGS:
        nodes.settings_changed(args)
    elif op == Notice.RING and args > nodes.epoch.number:
        nodes.keep(asyncio.ensure_future(_follow(nodes, node, args)))


async def _follow(nodes: Nodes, node: str, epoch: int) -> None:
    try:
        await nodes.catch_up(node, StaleRing(epoch))
    except Unavailable as error:
        # The next request that this node refuses brings the ring along.
        _log.info("ring not fetched yet", extra={"node": node, "reason": str(error)})
