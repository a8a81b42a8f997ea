"""What a ring knows besides its table, and its msgpack form. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ring.errors import RingError, RingFileDamaged
from ring.hashing import PART_POWER_MAX
from ring.topology import Device, DeviceState, Topology

REPLICAS_MAX = 16
SALT_BYTES_MIN = 16


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """The operator's choices that placement obeys.

    `overload` is the share above its weight that a device may take so that replicas disperse (0.1 = 10%);
    `scatter_width` is with about how many others a device of a new ring shares partitions (None: with as many
    as can be);
    `seed` makes every choice reproducible.
    """

    overload: float = 0.0
    scatter_width: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RingMeta:
    """Everything of one ring version but its table; times in ms since the epoch.

    `parent` is the content digest of the version before it (empty for the first one).
    `staged` is the topology the operator is preparing; it takes effect with the next rebalance.
    """

    version: int
    part_power: int
    replicas: int
    salt: bytes
    topology: Topology
    created_ms: int
    parent: bytes = b""
    rules: PlacementRules = PlacementRules()
    comment: str = ""
    staged: Topology | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.part_power <= PART_POWER_MAX:
            raise RingError(f"part power {self.part_power}: must be between 1 and {PART_POWER_MAX}")
        if not 1 <= self.replicas <= REPLICAS_MAX:
            raise RingError(f"replicas {self.replicas}: must be between 1 and {REPLICAS_MAX}")
        if len(self.salt) < SALT_BYTES_MIN:
            raise RingError(f"salt of {len(self.salt)} bytes: give at least {SALT_BYTES_MIN} random ones")
        if self.version < 1:
            raise RingError(f"ring version {self.version}: the first one is 1")


def pack_devices(topology: Topology) -> list[list[Any]]:
    """Return the devices as rows of plain values, in order of id."""
    return [
        [d.id, d.region, d.zone, d.host, d.name, d.weight, d.node, d.address, d.state.value]
        for d in topology.devices
    ]


def unpack_devices(rows: list[list[Any]]) -> Topology:
    """Return the topology that `pack_devices` wrote."""
    return Topology(tuple(_device(row) for row in rows))


def _device(row: list[Any]) -> Device:
    device_id, region, zone, host, name, weight, node, address, state = row
    return Device(device_id, region, zone, host, name, weight, node, address, DeviceState(state))


def pack_meta(meta: RingMeta) -> dict[str, Any]:
    """Return the plain-value form of a ring's meta data."""
    return {
        "version": meta.version,
        "part_power": meta.part_power,
        "replicas": meta.replicas,
        "salt": meta.salt,
        "devices": pack_devices(meta.topology),
        "created_ms": meta.created_ms,
        "parent": meta.parent,
        "overload": meta.rules.overload,
        "scatter_width": meta.rules.scatter_width,
        "seed": meta.rules.seed,
        "comment": meta.comment,
        "staged": None if meta.staged is None else pack_devices(meta.staged),
    }


def unpack_meta(plain: Mapping[str, Any]) -> RingMeta:
    """Return the meta data that `pack_meta` wrote; raises RingFileDamaged when a field is wrong."""
    try:
        staged = plain["staged"]
        return RingMeta(
            version=plain["version"],
            part_power=plain["part_power"],
            replicas=plain["replicas"],
            salt=plain["salt"],
            topology=unpack_devices(plain["devices"]),
            created_ms=plain["created_ms"],
            parent=plain["parent"],
            rules=PlacementRules(plain["overload"], plain["scatter_width"], plain["seed"]),
            comment=plain["comment"],
            staged=None if staged is None else unpack_devices(staged),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RingFileDamaged(f"ring header: {type(error).__name__}: {error}") from error
