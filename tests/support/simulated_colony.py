"""A whole colony in one process on virtual time: proxies, nodes, faults, a ring that changes; by a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast
from unittest import mock

from kit.clock import HybridClock
from kit.rpc_client import RpcClient
from model.entry import Entry, Kind, merge
from model.errors import Unavailable
from objectd.client import NodeClient
from objectd.contract import Health, Phase
from objectd.memory_store import MemoryStore
from objectd.store import Origin, Outcome, Write
from proxy.operations import containers, nodes
from proxy.operations.colony import Colony
from proxy.operations.nodes import LiveRing, Nodes
from ring.change import changed, first_ring
from ring.epoch import Epoch
from ring.hashing import partition_of
from ring.meta import PlacementRules
from ring.table import Ring
from ring.topology import Device, Topology
from tests.support.simulated_network import SimulatedDevice, SimulatedNode, SimulatedRpc, Weather
from tests.support.virtual_time import VirtualLoop, run_virtually

PART_POWER = 3
START_MS = 1_700_000_000_000
INLINE_BYTES_MAX = 64
COPIES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How many devices each node has, and how the world around them misbehaves."""

    devices_by_node: tuple[int, ...] = (2, 2, 1)
    weather: Weather = field(default_factory=Weather)
    kill_nodes: bool = False
    harm_devices: bool = False
    kill_proxies: bool = False
    change_rings: bool = False
    skew_ms_max: int = 0


class Proxy:
    """One proxy worker: its colony, and what it is doing."""

    def __init__(self, name: str, colony: Colony) -> None:
        self.name = name
        self.colony = colony
        self.tasks: set[asyncio.Task[Any]] = set()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a request; it ends with the proxy."""
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def die(self) -> None:
        """End every request in its middle."""
        for task in list(self.tasks):
            task.cancel()


class SimulatedColony:
    """Nodes and proxies, and the faults that befall them."""

    def __init__(self, seed: int, shape: Shape) -> None:
        self.rng = Random(seed)
        self.shape = shape
        self.weather = shape.weather
        self.faults: list[str] = []
        self.log: list[str] = []
        self.calm = False
        self._rings: dict[bytes, Ring] = {}
        self.nodes = self._build_nodes()
        ring = first_ring(
            self._devices(),
            part_power=PART_POWER,
            replicas=3,
            salt=b"salt" * 4,
            rules=PlacementRules(),
            created_ms=START_MS,
        )
        self.live = self._live(ring, Phase.INITIAL)
        self._proxy_count = 0
        self.proxies: list[Proxy] = []

    # Parts.

    def _build_nodes(self) -> dict[str, SimulatedNode]:
        built: dict[str, SimulatedNode] = {}
        device_id = 1
        for index, count in enumerate(self.shape.devices_by_node):
            devices = [
                SimulatedDevice(device_id + at, part_power=PART_POWER, rng=self.rng, weather=self.weather)
                for at in range(count)
            ]
            device_id += count
            built[f"node-{index}"] = SimulatedNode(f"node-{index}", devices)
        return built

    def _devices(self) -> list[Device]:
        return [
            Device(number, "r", "z", node.name, f"d{number}", 1.0, node.name, node.name)
            for node in self.nodes.values()
            for number in node.devices
        ]

    def _live(self, ring: Ring, phase: Phase) -> LiveRing:
        data = b"%d:simulated" % ring.version
        self._rings[data] = ring
        return LiveRing(Epoch(ring, phase), data)

    async def start(self, proxy_count: int) -> None:
        """Bring all nodes up and connect proxies."""
        for node in self.nodes.values():
            await node.ring.adopt(self.live.data, self.live.epoch.phase)
            node.start()
        for _ in range(proxy_count):
            self.add_proxy()

    def add_proxy(self) -> Proxy:
        """Start a proxy whose clock is off by up to the skew of the shape."""
        self._proxy_count += 1
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        skew_ms = self.rng.randint(-self.shape.skew_ms_max, self.shape.skew_ms_max)
        clock = HybridClock(
            self._proxy_count << 32 | self.rng.getrandbits(32),
            lambda: START_MS + int(loop.time() * 1000) + skew_ms,
        )
        local = self.rng.choice(list(self.nodes))
        reached = Nodes(self.live, local, clock, connect=self._connect, decode=self._rings.__getitem__)
        proxy = Proxy(f"proxy-{self._proxy_count}", Colony(reached, inline_bytes_max=INLINE_BYTES_MAX))
        self.proxies.append(proxy)
        return proxy

    def _connect(self, node: str, address: str) -> NodeClient:
        rpc = SimulatedRpc(self.nodes[node], self.rng, self.weather, self.faults)
        return NodeClient(cast(RpcClient, rpc))

    def note(self, text: str) -> None:
        """Remember what happened, for whoever has to understand a failure."""
        self.log.append(f"{asyncio.get_running_loop().time():9.4f}  {text}")

    # Faults.

    async def storm(self) -> None:
        """Let faults happen, now here, now there, until the storm is cancelled."""
        kinds: list[Callable[[], Coroutine[Any, Any, None]]] = []
        if self.shape.kill_nodes:
            kinds.append(self._bounce_node)
        if self.shape.harm_devices:
            kinds.append(self._harm_device)
        if self.shape.kill_proxies:
            kinds.append(self._replace_proxy)
        running: set[asyncio.Task[None]] = set()
        try:
            while kinds:
                await asyncio.sleep(self.rng.uniform(0.02, 0.6))
                task = asyncio.ensure_future(self.rng.choice(kinds)())
                running.add(task)
                task.add_done_callback(running.discard)
        finally:
            for task in running:
                task.cancel()

    async def _bounce_node(self) -> None:
        standing = [one for one in self.nodes.values() if one.up]
        if not standing:
            return
        node = self.rng.choice(standing)
        self.note(f"{node.name} dies")
        node.kill()
        await asyncio.sleep(self.rng.uniform(0.01, 1.0))
        self._revive(node)

    def _revive(self, node: SimulatedNode) -> None:
        if not node.up:
            self.note(f"{node.name} is back")
            node.start()

    async def _harm_device(self) -> None:
        node = self.rng.choice(list(self.nodes.values()))
        device = self.rng.choice(list(node.devices))
        health = self.rng.choice([Health.FAILED, Health.READ_ONLY])
        self.note(f"device {device} is {health.name}")
        node.set_health(device, health)
        await asyncio.sleep(self.rng.uniform(0.01, 1.0))
        self.note(f"device {device} is well")
        node.set_health(device, Health.OK)

    async def _replace_proxy(self) -> None:
        if len(self.proxies) > 1:
            dead = self.proxies.pop(self.rng.randrange(len(self.proxies)))
            self.note(f"{dead.name} dies")
            dead.die()
            self.note(f"{self.add_proxy().name} starts")

    def clear_up(self) -> None:
        """End all faults: every node up, every device well, no message lost."""
        for node in self.nodes.values():
            self._revive(node)
            for device in node.devices:
                node.set_health(device, Health.OK)
        weather = self.weather
        weather.lose_request = weather.lose_reply = weather.late_request = weather.slow = 0.0

    # A change of the ring.

    async def change_ring(self) -> None:
        """Take the colony to another ring, phase by phase, as the replicator would."""
        ring = self.live.epoch.ring
        weights = {device.id: self.rng.choice([0.0, 0.5, 1.0, 2.0]) for device in ring.topology}
        topology = Topology.of(replace(device, weight=weights[device.id]) for device in ring.topology)
        if sum(1 for weight in weights.values() if weight) < 3:
            return
        following = changed(ring, topology, created_ms=START_MS).ring
        for phase in (Phase.WRITE_BOTH, Phase.READ_NEW, Phase.SETTLED):
            self.live = self._live(following, phase)
            await self._publish()
            if phase is not Phase.SETTLED:
                await self._synchronise()

    async def _publish(self) -> None:
        waiting = list(self.nodes.values())
        self.rng.shuffle(waiting)
        self.note(f"ring {self.live.epoch.ring.version} {self.live.epoch.phase.name} is published")
        while waiting:
            await asyncio.sleep(self.rng.uniform(0.0, 0.1))
            node = waiting.pop(0)
            if node.up:
                await node.ring.adopt(self.live.data, self.live.epoch.phase)
                self.note(f"{node.name} adopts it")
            else:
                waiting.append(node)

    async def _synchronise(self) -> None:
        """Give the new homes of each partition what the old ones have, with a majority of both at hand."""
        for partition in range(1 << PART_POWER):
            for _ in range(COPIES_MAX):
                await asyncio.sleep(self.rng.uniform(0, 0.02))
                if self._copy_partition(partition):
                    break
            else:
                raise AssertionError(f"partition {partition} cannot be copied")
        self.note("every partition is synchronised")

    def _copy_partition(self, partition: int) -> bool:
        ring = self.live.epoch.ring
        previous = ring.previous()
        assert previous is not None
        old, new = ([self._usable(home) for home in one.homes(partition)] for one in (previous, ring))
        sources, targets = ([store for store in one if store is not None] for one in (old, new))
        if len(sources) < len(old) // 2 + 1 or len(targets) < len(new) // 2 + 1:
            return False
        copied = True
        for key, (entry, payload) in _merged(sources, partition).items():
            taken = sum(self._give(target, key, entry, payload) for target in targets)
            copied = copied and taken >= len(new) // 2 + 1
        return copied

    def _give(self, target: MemoryStore, key: bytes, entry: Entry, payload: bytes) -> bool:
        carried = payload if entry.kind is Kind.DATA and payload else None
        (written,) = MemoryStore.commit(target, [Write(entry, carried, origin=Origin.REPAIR)]).result()
        if written.outcome is Outcome.STORED:
            # As the service does where a repair comes by a message.
            for node in self.nodes.values():
                node.state.recent.note(target.device_id, key, entry.to_row())
        return written.outcome <= Outcome.SUPERSEDED

    def _usable(self, device_id: int) -> MemoryStore | None:
        for node in self.nodes.values():
            if device_id in node.devices and node.up and device_id in node.state.readable:
                store = node.devices[device_id]
                return store if store.status().health is Health.OK else None
        return None


def _merged(
    sources: list[SimulatedDevice] | list[MemoryStore], partition: int
) -> dict[bytes, tuple[Entry, bytes]]:
    merged: dict[bytes, tuple[Entry, bytes]] = {}
    for store in sources:
        for key, _ in store.rows(b"\x00", b"\xff", 1 << 30):
            if partition_of(key[1:17], PART_POWER) != partition:
                continue
            held = store.get(key)
            assert held is not None
            payload = bytes(store.read_now(held, 0, held.payload_bytes) or b"")
            known = merged.get(key)
            if known is None:
                merged[key] = (held.entry, payload)
                continue
            entry = merge(known[0], held.entry)
            merged[key] = (entry, payload if entry.stamp == held.entry.stamp else known[1])
    return merged


@contextmanager
def virtual_clocks() -> Iterator[None]:
    """Let the proxies measure pauses by the loop's virtual time."""

    def now() -> float:
        return asyncio.get_running_loop().time()

    clock = mock.Mock(monotonic=now)
    with mock.patch.object(nodes, "time", clock), mock.patch.object(containers, "time", clock):
        yield


def simulate(
    seed: int, shape: Shape, scenario: Callable[[SimulatedColony], Coroutine[Any, Any, None]]
) -> None:
    """Run a scenario in a simulated colony; what fails tells the seed."""

    async def run() -> None:
        colony = SimulatedColony(seed, shape)
        try:
            await scenario(colony)
            assert not colony.faults, colony.faults
        except (AssertionError, Unavailable) as error:
            tail = "\n".join(colony.log)
            raise AssertionError(f"seed {seed} fails: {error}\n{tail}") from error

    with virtual_clocks():
        run_virtually(run())
