"""Where a key is written and read under the live ring, in each phase of a change. Pure.

An *epoch* is ``ring version * 4 + phase``. While a ring changes, it goes through its phases one by
one, and a node refuses requests placed under an older epoch than its own:

    phase 0  INITIAL      the first version of a ring: nothing came before it
    phase 1  WRITE_BOTH   writes go to the old homes and the new; reads ask the old
    phase 2  READ_NEW     writes go to both; reads ask the new, which hold everything by now
    phase 3  SETTLED      writes and reads use the new homes alone

Operations of neighbouring phases may overlap: every write of one and every read of the other share
a home. docs/decisions/0005-consistency.md argues each case.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from ring.hashing import partition_of, path_digest
from ring.table import Ring
from ring.topology import Device


class Phase(IntEnum):
    """How far a change to a ring version has gone."""

    INITIAL = 0
    WRITE_BOTH = 1
    READ_NEW = 2
    SETTLED = 3


PHASES_MAX: Final = 4


def epoch_of(version: int, phase: Phase) -> int:
    """Return the epoch of a ring version and phase."""
    return version * PHASES_MAX + phase


class Epoch:
    """One epoch of the ring, with the lookups of the data path."""

    __slots__ = ("_node_of", "_old", "number", "part_power", "phase", "ring", "salt")

    def __init__(self, ring: Ring, phase: Phase) -> None:
        """Wrap a ring in a phase. A ring whose predecessor is not kept counts as settled."""
        old = ring.previous() if phase in (Phase.WRITE_BOTH, Phase.READ_NEW) else None
        self.ring = ring
        self.phase = phase
        self.number = epoch_of(ring.version, phase)
        self.part_power = ring.part_power
        self.salt = ring.salt
        self._old = old
        nodes = {device.id: device.node for device in ring.devices.values()}
        if old is not None:
            nodes = {device.id: device.node for device in old.devices.values()} | nodes
        self._node_of = nodes

    def digest(self, *names: str) -> bytes:
        """Return the 16-byte placement digest of account, container and object (or a prefix of them)."""
        return path_digest(self.salt, *names)

    def partition(self, digest: bytes) -> int:
        """Return the partition of a placement digest."""
        return partition_of(digest, self.part_power)

    def home_sets(self, digest: bytes) -> tuple[tuple[int, ...], ...]:
        """Return the sets of devices of which a write needs a majority each."""
        partition = partition_of(digest, self.part_power)
        homes = self.ring.homes(partition)
        if self._old is None:
            return (homes,)
        old = self._old.homes(partition)
        return (homes,) if set(old) == set(homes) else (old, homes)

    def read_homes(self, digest: bytes) -> tuple[int, ...]:
        """Return the devices of which a read asks a majority."""
        partition = partition_of(digest, self.part_power)
        if self._old is not None and self.phase is Phase.WRITE_BOTH:
            return self._old.homes(partition)
        return self.ring.homes(partition)

    def stand_ins(self, digest: bytes) -> Iterator[int]:
        """Yield the devices that stand in for absent homes, best first."""
        return self.ring.handoffs(partition_of(digest, self.part_power))

    def devices(self) -> Iterator[Device]:
        """Yield the devices of the ring, and those it is moving away from."""
        yield from self.ring.devices.values()
        if self._old is not None:
            for device in self._old.devices.values():
                if device.id not in self.ring.devices:
                    yield device

    def node_of(self, device_id: int) -> str:
        """Return the name of the node that owns a device."""
        return self._node_of[device_id]

    def knows(self, device_id: int) -> bool:
        """Return whether a device is in the ring, or in that which it is moving away from."""
        return device_id in self._node_of

    def is_home(self, device_id: int, partition: int) -> bool:
        """Return whether a device is a home of a partition, before or after the change under way."""
        if device_id in self.ring.homes(partition):
            return True
        return self._old is not None and device_id in self._old.homes(partition)
