"""Replicators in a simulated colony: one engine for each node, killed and started like any process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

from kit.clock import HybridClock
from model.entry import Table
from objectd.contract import Phase, RingReply
from replicator.engine import Engine, Settings
from replicator.peers import Peers
from ring.change import changed
from ring.topology import Topology
from tests.support.simulated_colony import PART_POWER, START_MS, SimulatedColony
from tests.support.simulated_network import SimulatedDevice
from tests.support.virtual_time import VirtualLoop

SETTINGS = Settings(interval_s=2.0, tranquility=0.0, pending_ms=10_000)
QUIET_S = 5.0


class Replicators:
    """The engines of all nodes."""

    def __init__(self, colony: SimulatedColony, settings: Settings = SETTINGS) -> None:
        self.colony = colony
        self.settings = settings
        self.engines: dict[str, Engine] = {}
        self._count = 0
        for node in colony.nodes.values():
            for device in node.devices.values():
                # Pending writes age in virtual time.
                device._now_ms = self.now_ms

    def now_ms(self) -> int:
        """Milliseconds of virtual time since the epoch."""
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        return START_MS + int(loop.time() * 1000)

    def start(self, name: str) -> Engine:
        """Start the replicator of a node, with a clock of its own."""
        colony = self.colony
        self._count += 1
        skew_ms = colony.rng.randint(-colony.shape.skew_ms_max, colony.shape.skew_ms_max)
        clock = HybridClock(1 << 48 | self._count, lambda: self.now_ms() + skew_ms)
        ring = colony.nodes[name].ring.ring
        assert ring is not None
        peers = Peers(ring, name, clock, connect=colony._connect, decode=colony._rings.__getitem__)
        engine = Engine(peers, self.settings, now_ms=self.now_ms)
        self.engines[name] = engine
        engine.start()
        return engine

    async def start_all(self) -> None:
        """Start one on every node."""
        for name in self.colony.nodes:
            self.start(name)

    async def bounce(self) -> None:
        """Kill one of them, and start another in its place."""
        name = self.colony.rng.choice(sorted(self.engines))
        self.colony.note(f"the replicator of {name} dies")
        await self.engines[name].stop()
        await asyncio.sleep(self.colony.rng.uniform(0.0, 1.0))
        self.start(name)

    async def stop_all(self) -> None:
        """End all."""
        for engine in self.engines.values():
            await engine.stop()

    async def change_ring(self) -> None:
        """Publish another ring to some node; the replicators take it from there."""
        colony = self.colony
        ring = colony.live.epoch.ring
        weights = {device.id: colony.rng.choice([0.0, 0.5, 1.0, 2.0]) for device in ring.topology}
        if sum(1 for weight in weights.values() if weight) < 3:
            return
        topology = Topology.of(replace(device, weight=weights[device.id]) for device in ring.topology)
        following = changed(ring, topology, created_ms=START_MS).ring
        colony.live = colony._live(following, Phase.WRITE_BOTH)
        colony.note(f"ring {following.version} is given to one node")
        node = colony.rng.choice(sorted(colony.nodes))
        await colony.nodes[node].ring.adopt(colony.live.data, Phase.WRITE_BOTH)

    async def empty_device(self) -> None:
        """Replace a device by an empty one, and wait until it is filled."""
        colony = self.colony
        node = colony.nodes[colony.rng.choice(sorted(colony.nodes))]
        disk = colony.rng.choice(sorted(node.devices))
        colony.note(f"device {disk} is emptied")
        node.devices[disk].die()
        device = SimulatedDevice(disk, part_power=PART_POWER, rng=colony.rng, weather=colony.weather)
        device._now_ms = self.now_ms
        node.devices[disk] = device
        node.state.add_store(disk, device, readable=False)
        node.state.readable.pop(disk, None)
        while disk in node.state.filling:  # noqa: ASYNC110  (what is waited for happens in code under test)
            await asyncio.sleep(0.1)
        colony.note(f"device {disk} is filled")

    def rot(self) -> None:
        """Flip a bit in one payload that another device has too."""
        colony = self.colony
        stores = [device for node in colony.nodes.values() for device in node.devices.values()]
        store = colony.rng.choice(stores)
        if any(
            other.quarantined(1) or any(kept.damaged for kept in other._kept.values()) for other in stores
        ):
            return
        keys = [key for key, kept in store._kept.items() if kept.payload and not kept.lost]
        if keys:
            key = colony.rng.choice(keys)
            colony.note(f"{key.hex()} rots on device {store.device_id}")
            store.corrupt(key)

    def settled(self) -> bool:
        """Say whether every node is at the newest ring, settled."""
        newest = self.colony.live.epoch.ring.version
        rings: list[RingReply | None] = [node.ring.ring for node in self.colony.nodes.values()]
        return all(
            one is not None and one.version == newest and one.phase in (Phase.INITIAL, Phase.SETTLED)
            for one in rings
        )

    def differences(self) -> list[str]:
        """Return what keeps the colony from being whole."""
        found = [] if self.settled() else ["the ring change has not ended"]
        ring = self.colony.live.epoch.ring
        stores = {
            disk: device for node in self.colony.nodes.values() for disk, device in node.devices.items()
        }
        for table in Table:
            digests = {disk: store.partition_digests(table) for disk, store in stores.items()}
            for partition in range(ring.partition_count):
                homes = ring.homes(partition)
                if len({digests[disk].get(partition, 0) for disk in homes}) > 1:
                    found.append(f"{table.name} {partition}: {homes} differ")
                strays = [disk for disk in stores if disk not in homes and digests[disk].get(partition)]
                if strays:
                    found.append(f"{table.name} {partition}: also on {strays}")
        for disk, store in stores.items():
            found += [f"{one.key.hex()} is pending on {disk}" for one in store.pending(0)]
            found += [f"{key.hex()} is lost on {disk}" for key in store.quarantined(10)]
        return found

    async def until_whole(self, seconds: float) -> None:
        """Return once every home holds the same, and nothing else holds anything."""
        give_up = asyncio.get_running_loop().time() + seconds
        while found := self.differences():
            if asyncio.get_running_loop().time() > give_up:
                raise AssertionError(f"not whole after {seconds:g} s: {found[:20]}")
            await asyncio.sleep(QUIET_S)
