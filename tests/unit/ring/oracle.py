"""Slow and obviously right answers about placements, for small cases.

The minimum of moves is a minimum-cost flow: each partition sends its replicas down its own copy of the tree,
whose edges are bounded by what dispersion asks, into devices that take exactly their quota; keeping a replica
is free, moving one costs one. The flow is found by successive shortest paths (Ahuja, Magnanti and Orlin,
Network Flows, 1993, section 9.7).
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor

from ring.topology import Device, Topology

Rows = Sequence[Sequence[int]]
_MUST = -1000
"""Cost of a unit on an edge below its lower bound: any number of moves is cheaper than leaving it out."""


def paths_of(device: Device) -> list[tuple[str, ...]]:
    """Return the nodes above a device and itself, top down."""
    full = (device.region, device.zone, device.host, device.name)
    return [full[:depth] for depth in range(1, 5)]


def counts_by_node(rows: Rows, topology: Topology) -> Counter[tuple[str, ...]]:
    """Return how many replicas each region, zone, host and device holds."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        for device_id in row:
            counts.update(paths_of(topology.get(device_id)))
    return counts


def deficits(before: Rows, after: Rows) -> int:
    """Return the sum, over devices, of the replicas they gained in number."""
    old = Counter(device_id for row in before for device_id in row)
    new = Counter(device_id for row in after for device_id in row)
    return sum(max(0, new[device_id] - old[device_id]) for device_id in new)


def moves(before: Rows, after: Rows) -> int:
    """Return how many replicas are on other devices than before."""
    return sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))


def dispersion_faults(rows: Rows, topology: Topology) -> list[str]:
    """Return where a node holds more or less of a partition than its total, spread evenly, asks."""
    totals = counts_by_node(rows, topology)
    faults = []
    for partition, row in enumerate(rows):
        here: Counter[tuple[str, ...]] = Counter()
        for device_id in row:
            here.update(paths_of(topology.get(device_id)))
        for node, total in totals.items():
            mean = total / len(rows)
            if not floor(mean) <= here[node] <= ceil(mean):
                faults.append(f"partition {partition}: {here[node]} in {'/'.join(node)}, mean {mean:.3f}")
    return faults


def fewest_moves(before: Rows, after: Rows, topology: Topology) -> int:
    """Return the fewest moves from `before` to any table with the totals of `after`, as dispersed."""
    totals = counts_by_node(after, topology)
    network = _Network()
    replicas = len(before[0])
    for partition, row in enumerate(before):
        network.edge("source", (partition,), replicas, 0)
        edges: set[tuple[str, ...]] = set()
        for device in topology:
            above: tuple[object, ...] = (partition,)
            for node in paths_of(device):
                if node not in edges and totals[node]:
                    mean = totals[node] / len(before)
                    cost = 0 if len(node) < 4 or device.id in row else 1
                    below = (partition, *node)
                    must = floor(mean)
                    if must:
                        network.edge(above, below, must, cost + _MUST)
                    if ceil(mean) > must:
                        network.edge(above, below, ceil(mean) - must, cost)
                    if len(node) == 4:
                        network.edge(below, device.id, 1, 0)
                    edges.add(node)
                above = (partition, *node)
    for device in topology:
        network.edge(device.id, "sink", totals[paths_of(device)[-1]], 0)
    flow, cost = network.run()
    assert flow == replicas * len(before)
    forced = sum(floor(total / len(before)) for total in totals.values()) * len(before)
    return cost - forced * _MUST


@dataclass
class _Network:
    """A flow network with costs; nodes are any hashable."""

    heads: list[object] = field(default_factory=list)
    room: list[int] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    out: dict[object, list[int]] = field(default_factory=dict)

    def edge(self, tail: object, head: object, room: int, cost: int) -> None:
        """Add an edge and its reverse."""
        for start, end, capacity, price in ((tail, head, room, cost), (head, tail, 0, -cost)):
            self.out.setdefault(start, []).append(len(self.heads))
            self.heads.append(end)
            self.room.append(capacity)
            self.costs.append(price)

    def run(self) -> tuple[int, int]:
        """Return the maximum flow from "source" to "sink" and its least cost."""
        flow = cost = 0
        while True:
            distance, came = self._shortest()
            if "sink" not in distance:
                return flow, cost
            node: object = "sink"
            path = []
            while node != "source":
                path.append(came[node])
                node = self.heads[came[node] ^ 1]
            amount = min(self.room[edge] for edge in path)
            for edge in path:
                self.room[edge] -= amount
                self.room[edge ^ 1] += amount
            flow += amount
            cost += amount * distance["sink"]

    def _shortest(self) -> tuple[dict[object, int], dict[object, int]]:
        distance: dict[object, int] = {"source": 0}
        came: dict[object, int] = {}
        queue: deque[object] = deque(["source"])
        waiting: set[object] = {"source"}
        while queue:
            node = queue.popleft()
            waiting.discard(node)
            for edge in self.out.get(node, ()):
                head, total = self.heads[edge], distance[node] + self.costs[edge]
                if self.room[edge] and total < distance.get(head, 1 << 60):
                    distance[head], came[head] = total, edge
                    if head not in waiting:
                        waiting.add(head)
                        queue.append(head)
        return distance, came
