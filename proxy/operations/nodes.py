"""The nodes of the colony as one proxy reaches them: clients, the live ring, who is down, confirmations."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kit.clock import HybridClock
from model.errors import NodeUnreachable, StaleRing, Unavailable
from model.stamp import Stamp
from objectd.client import NodeClient
from objectd.contract import Confirmation
from proxy.operations.page_cache import PageCache
from ring.epoch import Epoch, Phase
from ring.table import Ring

DOWN_MS: Final = 1_000
"""How long a node or device that failed is passed over as a stand-in; homes are always asked."""
CONFIRM_DELAY_MS: Final = 250
"""Confirmations are sent this much later, so that a straggling replica has its write by then."""

GROUPS_MAX: Final = 10_000
"""Homes whose grouping by node is remembered."""

_log = logging.getLogger(__name__)


class StaleNode(Exception):
    """A node is at another ring epoch than the request that it refused."""

    def __init__(self, node: str, cause: StaleRing) -> None:
        super().__init__(node)
        self.node = node
        self.cause = cause


@dataclass(frozen=True, slots=True)
class LiveRing:
    """An epoch, and the ring file it came from, to bring a node that is behind up to it."""

    epoch: Epoch
    data: bytes


class Nodes:
    """Clients of every node in the ring, and the epoch that requests are placed under."""

    def __init__(
        self,
        live: LiveRing,
        local_node: str,
        clock: HybridClock,
        *,
        connect: Callable[[str, str], NodeClient],
        decode: Callable[[bytes], Ring],
    ) -> None:
        """Reach nodes by `connect(node, address)`, where the address is the ring's, "" for the local node.

        `decode` turns the bytes of a ring file into a ring, or raises where it is not to be trusted.
        """
        self._live = live
        self.epoch = live.epoch
        self._decode = decode
        self.local_node = local_node
        self.clock = clock
        self._connect = connect
        self._clients: dict[str, NodeClient] = {}
        self._groups: dict[Sequence[int], Mapping[str, Sequence[int]]] = {}
        self._down_until: dict[str | int, float] = {}
        self._unconfirmed: dict[str, list[Confirmation]] = {}
        self._confirm_timer: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Future[Any]] = set()
        self.pages = PageCache()
        self.on_settings: Callable[[bytes], None] | None = None
        """Called with the key of a container or account that has just changed somewhere."""

    def client(self, node: str) -> NodeClient:
        """Return the client of a node, made at the first use."""
        client = self._clients.get(node)
        if client is None:
            address = "" if node == self.local_node else self._address_of(node)
            client = self._clients[node] = self._connect(node, address)
        return client

    def _address_of(self, node: str) -> str:
        for device in self.epoch.devices():
            if device.node == node:
                return device.address
        raise NodeUnreachable(f"node {node!r} is not in the ring")

    def by_node(self, devices: Iterable[int]) -> dict[str, list[int]]:
        """Group devices by the node that owns them, the local node first."""
        groups: dict[str, list[int]] = {}
        node_of = self.epoch.node_of
        for device in devices:
            groups.setdefault(node_of(device), []).append(device)
        local = groups.pop(self.local_node, None)
        return groups if local is None else {self.local_node: local, **groups}

    def homes_by_node(self, homes: Sequence[int]) -> Mapping[str, Sequence[int]]:
        """Group the homes of a partition as `by_node` does, from memory where they were grouped before."""
        groups = self._groups.get(homes)
        if groups is None:
            if len(self._groups) >= GROUPS_MAX:
                self._groups.clear()
            groups = self._groups[homes] = self.by_node(homes)
        return groups

    # Who is down.

    def note_down(self, who: str | int) -> None:
        """Remember that a node (by name) or a device (by id) has just failed."""
        self._down_until[who] = time.monotonic() + DOWN_MS / 1000

    def is_down(self, who: str | int) -> bool:
        """Say whether a node or device failed within the last second."""
        until = self._down_until.get(who)
        if until is None:
            return False
        if until > time.monotonic():
            return True
        del self._down_until[who]
        return False

    def absent(self, device: int) -> bool:
        """Say whether a device, or its node, failed within the last second."""
        return bool(self._down_until) and (self.is_down(device) or self.is_down(self.epoch.node_of(device)))

    def stand_ins(self, digest: bytes, homes: Iterable[int]) -> Iterator[int]:
        """Yield a present stand-in device for each absent home."""
        missing = sum(1 for device in homes if self.absent(device))
        if not missing:
            return
        for device in self.epoch.stand_ins(digest):
            if not self.absent(device):
                yield device
                missing -= 1
                if not missing:
                    return

    # The live ring.

    def read_sets(self, digest: bytes) -> tuple[tuple[int, ...], ...]:
        """Return the home sets of which a read asks a majority each.

        In READ_NEW both: what a reader of WRITE_BOTH has returned need not be on the new homes yet
        (its writer may have died), and a reader of WRITE_BOTH must find what one of READ_NEW returns.
        """
        epoch = self.epoch
        if epoch.phase is Phase.READ_NEW:
            return epoch.home_sets(digest)
        return (epoch.read_homes(digest),)

    async def catch_up(self, node: str, stale: StaleRing) -> bool:
        """Bring this proxy and a node that disagree about the ring to the later epoch of the two.

        Returns False where the node cannot be reached for that just now.
        """
        client = self.client(node)
        try:
            if stale.epoch > self.epoch.number:
                reply = await client.ring_get()
                if reply is not None:
                    self.adopt(LiveRing(Epoch(self._decode(reply.data), Phase(reply.phase)), reply.data))
            else:
                await client.ring_adopt(self._live.data, self.epoch.phase)
        except Unavailable as error:
            _log.info("ring not caught up with", extra={"node": node, "reason": str(error)})
            self.note_down(node)
            return False
        return True

    def adopt(self, live: LiveRing) -> None:
        """Place requests under another epoch from now on, unless it is an older one."""
        if live.epoch.number <= self.epoch.number:
            return
        _log.info("ring epoch adopted", extra={"before": self.epoch.number, "after": live.epoch.number})
        self._live = live
        self.epoch = live.epoch
        # A device may have come under another node.
        self._groups.clear()

    def settings_changed(self, keys: Iterable[bytes]) -> None:
        """Hear from a node that the settings of containers or accounts have changed."""
        if self.on_settings is not None:
            for key in keys:
                self.on_settings(key)

    # Confirmations.

    def confirm(self, key: bytes, stamp: Stamp, devices: tuple[int, ...]) -> None:
        """Tell devices, a little later and in bulk, that the whole write an entry belongs to is done."""
        for node, owned in self.homes_by_node(devices).items():
            self._unconfirmed.setdefault(node, []).append(Confirmation(key, stamp, owned))
        if self._confirm_timer is None:
            delay = CONFIRM_DELAY_MS / 1000
            self._confirm_timer = asyncio.get_running_loop().call_later(delay, self._confirm_soon)

    def _confirm_soon(self) -> None:
        self._confirm_timer = None
        self.keep(asyncio.ensure_future(self.flush_confirmations()))

    async def flush_confirmations(self) -> None:
        """Send what is to be confirmed now. What cannot be sent is reconciled by the replicator instead."""
        unsent, self._unconfirmed = self._unconfirmed, {}
        for node, confirmations in unsent.items():
            try:
                await self.client(node).confirm(confirmations)
            except Unavailable as error:
                _log.info("confirmations not delivered", extra={"node": node, "reason": str(error)})

    def keep(self, future: asyncio.Future[Any]) -> None:
        """Let a call that nobody waits for any more run to its end."""
        self._background.add(future)
        future.add_done_callback(self._ended)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._background.discard(future)
        if not future.cancelled() and isinstance(error := future.exception(), Unavailable):
            _log.info("late replica failed", extra={"reason": str(error)})

    async def close(self) -> None:
        """Send the last confirmations and close every connection."""
        if self._confirm_timer is not None:
            self._confirm_timer.cancel()
            self._confirm_timer = None
        await self.flush_confirmations()
        for client in self._clients.values():
            await client.close()
