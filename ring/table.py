"""The ring as its users see it: which devices hold a partition, and which stand in for them. Pure.

The table is uint16[partition, replica], row by row: the devices of one partition are neighbours in memory (6
bytes for three replicas, one cache line), so a lookup is one `Struct.unpack_from` on the mapped file, without
numpy and without a cache.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from struct import Struct
from types import MappingProxyType

import numpy as np
import xxhash

from ring.errors import RingFileDamaged
from ring.handoff import HandoffTree
from ring.hashing import partition_of, path_digest
from ring.history import PackedDelta, Table, pack_delta, unpack_delta
from ring.meta import PlacementRules, RingMeta, pack_devices
from ring.topology import Device, Topology

HISTORY_VERSIONS = 16


class Ring:
    """One immutable version of the ring, with the way back to the versions before it."""

    def __init__(self, meta: RingMeta, table: Table, history: Iterable[PackedDelta] = ()) -> None:
        """Wrap `table`, uint16[2**part_power, replicas] in C order; raises RingFileDamaged when its shape is
        another.
        """
        if table.shape != (1 << meta.part_power, meta.replicas) or table.dtype != np.uint16:
            raise RingFileDamaged(
                f"table is {table.dtype}{table.shape}, header says 2^{meta.part_power}×{meta.replicas}"
            )
        self.meta = meta
        self.history = tuple(history)
        self.table: Table = np.ascontiguousarray(table)
        self.table.flags.writeable = False
        self.version = meta.version
        self.part_power = meta.part_power
        self.replicas = meta.replicas
        self.salt = meta.salt
        self.devices: Mapping[int, Device] = MappingProxyType({d.id: d for d in meta.topology})
        self._row = Struct(f"={meta.replicas}H")
        self._row_bytes = self._row.size
        self._unpack: Callable[..., tuple[int, ...]] = self._row.unpack_from
        self._buffer = self.table.data.cast("B")

    @property
    def partition_count(self) -> int:
        """How many partitions the ring has."""
        return 1 << self.part_power

    @property
    def topology(self) -> Topology:
        """The devices in effect."""
        return self.meta.topology

    @property
    def rules(self) -> PlacementRules:
        """Overload, scatter width and seed."""
        return self.meta.rules

    def partition(self, *names: str | bytes) -> int:
        """Return the partition of account, container and object names (or of a prefix of the three)."""
        return partition_of(path_digest(self.salt, *names), self.part_power)

    def homes(self, partition: int) -> tuple[int, ...]:
        """Return the device ids of a partition, one per replica, in replica order."""
        return self._unpack(self._buffer, partition * self._row_bytes)

    def handoffs(self, partition: int) -> Iterator[int]:
        """Yield stand-in devices of a partition, each once, those in other failure domains first; the order
        is fixed.
        """
        return self._handoff_tree.walk(partition, self.homes(partition))

    def partitions_of(self, device_id: int) -> list[int]:
        """Return the partitions that a device holds, ascending; O(table)."""
        partitions: list[int] = np.flatnonzero((self.table == device_id).any(axis=1)).tolist()
        return partitions

    @cached_property
    def _handoff_tree(self) -> HandoffTree:
        return HandoffTree(self.topology)

    @cached_property
    def counts(self) -> Mapping[int, int]:
        """Replicas held by each device."""
        totals = np.bincount(self.table.reshape(-1), minlength=1).tolist()
        return {device: totals[device] if device < len(totals) else 0 for device in self.devices}

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that tell versions apart; a version names its parent by it."""
        state = xxhash.xxh3_128(self.table.data if self.table.size else b"")
        state.update(repr((self.version, self.part_power, self.salt, pack_devices(self.topology))).encode())
        return state.digest()

    def previous(self) -> "Ring | None":
        """Return the version before this one, or None when it is not kept."""
        return self._previous

    @cached_property
    def _previous(self) -> "Ring | None":
        if not self.history:
            return None
        meta, table = unpack_delta(self.history[0], self.table)
        return Ring(meta, table, self.history[1:])

    def at_version(self, version: int) -> "Ring | None":
        """Return this ring as it was at `version`, or None when that is not kept."""
        ring: Ring | None = self
        while ring is not None and ring.version > version:
            ring = ring.previous()
        return ring if ring is not None and ring.version == version else None

    def staged(self, topology: Topology | None, rules: PlacementRules | None = None) -> "Ring":
        """Return the same version with another staged topology; lookups do not change."""
        return Ring(replace(self.meta, staged=topology, rules=rules or self.rules), self.table, self.history)

    def successor(
        self,
        table: Table,
        topology: Topology,
        *,
        created_ms: int,
        comment: str = "",
        keep: int = HISTORY_VERSIONS,
    ) -> "Ring":
        """Return the next version with this table and topology, keeping at most `keep` earlier versions."""
        meta = replace(
            self.meta,
            version=self.version + 1,
            replicas=int(table.shape[1]),
            topology=topology,
            created_ms=created_ms,
            parent=self.digest,
            comment=comment,
            staged=None,
        )
        delta = pack_delta(replace(self.meta, staged=None), self.table, table)
        return Ring(meta, table, (delta, *self.history)[:keep])
