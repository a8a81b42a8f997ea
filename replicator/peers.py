"""The nodes of the colony as the replicator reaches them: clients, the live ring, who answers, who fills."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from kit.clock import HybridClock
from model.entry import Table
from model.errors import ColonnadeError, NodeUnreachable, StaleRing, Unavailable
from objectd.client import NodeClient
from objectd.contract import Health, NodeStatus, RingReply
from replicator.survey import Digests, Survey
from ring.epoch import Epoch, Phase
from ring.table import Ring

PROBE_DEADLINE_MS: Final = 2_000
"""How long a node may take to say how it is, before it counts as down."""
CALL_DEADLINE_MS: Final = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What the last look at all nodes showed: the devices that live, and those of them that fill."""

    nodes: frozenset[str] = frozenset()
    live: frozenset[int] = frozenset()
    filling: frozenset[int] = frozenset()
    epochs: tuple[tuple[str, int], ...] = ()


class Peers:
    """Clients of every node in the ring, and the epoch under which they are asked."""

    def __init__(
        self,
        ring: RingReply,
        local_node: str,
        clock: HybridClock,
        *,
        connect: Callable[[str, str], NodeClient],
        decode: Callable[[bytes], Ring],
    ) -> None:
        """Reach nodes by `connect(node, address)`, the address being "" for the local node."""
        self._decode = decode
        self._connect = connect
        self._clients: dict[str, NodeClient] = {}
        self.local_node = local_node
        self.clock = clock
        self.reply = ring
        self.epoch = Epoch(decode(ring.data), Phase(ring.phase))
        self.around = Neighbourhood()
        self.entry_count = 0
        """Entries on the fullest device, at the last look around."""
        self.stirred: Callable[[], None] = lambda: None
        """Called when a node tells that a device or the ring has changed."""

    # Clients.

    def client(self, node: str) -> NodeClient:
        """Return the client of a node, made at the first use. Raises NodeUnreachable for a stranger."""
        client = self._clients.get(node)
        if client is None:
            address = "" if node == self.local_node else self._address_of(node)
            client = self._clients[node] = self._connect(node, address)
        return client

    def of_device(self, device: int) -> NodeClient:
        """Return the client of the node that owns a device."""
        return self.client(self.epoch.node_of(device))

    @property
    def local(self) -> NodeClient:
        """The client of this node."""
        return self.client(self.local_node)

    def _address_of(self, node: str) -> str:
        for device in self.epoch.devices():
            if device.node == node:
                return device.address
        raise NodeUnreachable(f"node {node!r} is not in the ring")

    def nodes(self) -> dict[str, list[int]]:
        """Return every node of the ring with its devices."""
        found: dict[str, list[int]] = {}
        for device in self.epoch.devices():
            found.setdefault(device.node, []).append(device.id)
        found.setdefault(self.local_node, [])
        return found

    def by_node(self, devices: Iterable[int]) -> dict[str, list[int]]:
        """Group devices by the node that owns them."""
        found: dict[str, list[int]] = {}
        for device in devices:
            found.setdefault(self.epoch.node_of(device), []).append(device)
        return found

    def local_devices(self) -> list[int]:
        """Return the devices of this node that live."""
        return [device for device in self.nodes()[self.local_node] if device in self.around.live]

    # Looking around.

    async def look_around(self) -> bool:
        """Ask every node how it is, and bring all to the newest ring; say whether anything changed.

        A node that does not answer in PROBE_DEADLINE_MS is down until it is asked again.
        """
        nodes = self.nodes()
        statuses = dict(zip(nodes, await asyncio.gather(*map(self._status, nodes)), strict=True))
        await self._follow_ring({node: one.epoch for node, one in statuses.items() if one is not None})
        self.entry_count = max(
            (of.entry_count for one in statuses.values() if one is not None for of in one.devices), default=0
        )
        before, self.around = self.around, _neighbourhood(statuses, nodes)
        return before != self.around

    async def _status(self, node: str) -> NodeStatus | None:
        try:
            async with asyncio.timeout(PROBE_DEADLINE_MS / 1000):
                return await self.client(node).status(deadline_ms=PROBE_DEADLINE_MS)
        except (Unavailable, TimeoutError):
            return None

    async def _follow_ring(self, epochs: dict[str, int]) -> None:
        """Adopt the newest ring that any node has, and tell it to those behind: so it spreads."""
        newest = max(epochs, key=lambda node: epochs[node], default=None)
        if newest is not None and epochs[newest] > self.epoch.number:
            await self._fetch_ring(newest)
        for node, number in epochs.items():
            if number < self.epoch.number:
                await self.publish(node, self.reply)

    async def _fetch_ring(self, node: str) -> None:
        try:
            reply = await self.client(node).ring_get(deadline_ms=CALL_DEADLINE_MS)
            if reply is not None:
                self.adopt(reply)
        except ColonnadeError as error:
            _log.warning("ring not fetched", extra={"node": node, "reason": str(error)})

    async def publish(self, node: str, reply: RingReply) -> bool:
        """Have a node adopt a ring; say whether it has."""
        try:
            client = self.client(node)
            return (
                await client.ring_adopt(reply.data, reply.phase, deadline_ms=CALL_DEADLINE_MS) >= reply.epoch
            )
        except ColonnadeError as error:
            _log.warning("ring not adopted", extra={"node": node, "reason": str(error)})
            return False

    def adopt(self, reply: RingReply) -> None:
        """Ask under another ring or phase from now on, unless it is an older one.

        Raises ColonnadeError where the ring file is damaged or not to be trusted.
        """
        if reply.epoch <= self.epoch.number:
            return
        self.epoch = Epoch(self._decode(reply.data), Phase(reply.phase))
        self.reply = reply
        _log.info("ring epoch adopted", extra={"epoch": self.epoch.number})

    async def catch_up(self, stale: StaleRing) -> None:
        """After a refusal for another epoch: look around, which brings both sides together."""
        _log.info("node at another ring epoch", extra={"theirs": stale.epoch, "ours": self.epoch.number})
        await self.look_around()

    # Digests.

    async def survey(self, devices: Collection[int]) -> Survey:
        """Return the digests of all tables of the devices that answer."""
        number = self.epoch.number
        live = [device for device in devices if device in self.around.live]
        answers = await asyncio.gather(*(self._digests(device) for device in live))
        digests = {device: one for device, one in zip(live, answers, strict=True) if one is not None}
        return Survey(number, digests, self.around.filling, self.entry_count)

    async def _digests(self, device: int) -> dict[Table, Digests] | None:
        try:
            client = self.of_device(device)
            number = self.epoch.number
            found = await asyncio.gather(*(client.digests(device, table, epoch=number) for table in Table))
        except Unavailable:
            return None
        return dict(zip(Table, found, strict=True))

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.close()


def _neighbourhood(statuses: dict[str, NodeStatus | None], nodes: dict[str, list[int]]) -> Neighbourhood:
    up = {node: one for node, one in statuses.items() if one is not None}
    live = {
        of.device_id
        for node, one in up.items()
        for of in one.devices
        if of.health is not Health.FAILED and of.device_id in nodes[node]
    }
    filling = {device for one in up.values() for device in one.filling}
    epochs = tuple(sorted((node, one.epoch) for node, one in up.items()))
    return Neighbourhood(frozenset(up), frozenset(live), frozenset(filling & live), epochs)
