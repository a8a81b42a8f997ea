"""The order in which devices stand in for the homes of a partition. Pure.

The next stand-in always comes from the least used region, in it from the least used zone, then host; ties
fall by weighted rendezvous hashing of (partition, node), so that the load of a lost device spreads by weight.
Nothing is sorted ahead: a stand-in costs one look at the children on its way down the tree.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import xxhash

from ring.topology import Topology


@dataclass(slots=True)
class _Node:
    """A node of the tree: its salt for rendezvous hashing, its weight, and its children or its device."""

    seed: int
    weight: float = 0.0
    device_id: int = -1
    device_count: int = 0
    children: dict[str, "_Node"] = field(default_factory=dict)


class HandoffTree:
    """The tree of devices that may stand in: active ones with a weight."""

    def __init__(self, topology: Topology) -> None:
        """Index the topology; O(devices), done once for a ring."""
        self._root = _Node(0)
        self._paths: dict[int, tuple[_Node, ...]] = {}
        for device in topology:
            node = self._root
            trail = [node]
            for key in (device.region, device.zone, device.host, device.name):
                child = node.children.get(key)
                if child is None:
                    child = _Node(xxhash.xxh3_64_intdigest(key.encode(), node.seed + 1))
                    node.children[key] = child
                node = child
                trail.append(node)
            node.device_id = device.id
            if device.effective_weight > 0:
                for step in trail:
                    step.weight += device.effective_weight
                    step.device_count += 1
            self._paths[device.id] = tuple(trail)

    def walk(self, partition: int, homes: tuple[int, ...]) -> Iterator[int]:
        """Yield the stand-ins of a partition whose homes these are."""
        key = partition.to_bytes(4, "big")
        used: dict[int, int] = {}
        spent: dict[int, int] = {}
        for home in homes:
            self._mark(home, used, spent)
        while spent.get(id(self._root), 0) < self._root.device_count:
            node = self._root
            while node.device_id < 0:
                node = min(
                    (c for c in node.children.values() if spent.get(id(c), 0) < c.device_count),
                    key=lambda child: (used.get(id(child), 0), _rank(key, child)),
                )
            self._mark(node.device_id, used, spent)
            yield node.device_id

    def _mark(self, device_id: int, used: dict[int, int], spent: dict[int, int]) -> None:
        trail = self._paths.get(device_id, ())
        counts = bool(trail) and trail[-1].weight > 0
        for node in trail:
            used[id(node)] = used.get(id(node), 0) + 1
            if counts:
                spent[id(node)] = spent.get(id(node), 0) + 1


def _rank(key: bytes, node: _Node) -> float:
    """Weighted rendezvous score (Schindelhauer and Schomaker, 2005): lowest wins, in proportion to weight."""
    uniform = (xxhash.xxh3_64_intdigest(key, node.seed) + 1) / (1 << 64)
    return -math.log(uniform) / node.weight if uniform < 1.0 else 0.0
