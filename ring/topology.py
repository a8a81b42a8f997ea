"""The devices of a colony and the tree they form: region, zone, host, device. Pure."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from ring.errors import TopologyError

DEVICE_ID_MAX = 0xFFFE
"""Highest device id; 0xFFFF means "no device" in a table of uint16."""


class DeviceState(Enum):
    """Whether a device takes data (ACTIVE) or is being emptied before it leaves (DRAINING)."""

    ACTIVE = "active"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Device:
    """One device: where it stands in the tree, how much it takes, and the node that owns it.

    `weight` is relative (commonly TB); `node` is the id of the owning node; `address` is where its daemon
    listens.
    """

    id: int
    region: str
    zone: str
    host: str
    name: str
    weight: float
    node: str = ""
    address: str = ""
    state: DeviceState = DeviceState.ACTIVE

    def __post_init__(self) -> None:
        if not 0 <= self.id <= DEVICE_ID_MAX:
            raise TopologyError(f"device id {self.id}: must be between 0 and {DEVICE_ID_MAX}")
        for key in ("region", "zone", "host", "name"):
            value = getattr(self, key)
            if not isinstance(value, str) or not value or "/" in value or value != value.strip():
                raise TopologyError(f"device {self.id}: {key} {value!r} must be a name without '/'")
        if not math.isfinite(self.weight) or self.weight < 0:
            raise TopologyError(f"device {self.id}: weight {self.weight} must be zero or a positive number")

    @property
    def effective_weight(self) -> float:
        """The weight placement uses: none while the device is drained."""
        return self.weight if self.state is DeviceState.ACTIVE else 0.0

    @property
    def path(self) -> str:
        """The device's place in the tree, `region/zone/host/name`."""
        return f"{self.region}/{self.zone}/{self.host}/{self.name}"


@dataclass(frozen=True, slots=True)
class Topology:
    """A set of devices with distinct ids and distinct places, kept in order of id."""

    devices: tuple[Device, ...]
    _by_id: dict[int, Device] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.devices, key=lambda device: device.id))
        by_id: dict[int, Device] = {}
        places: dict[str, int] = {}
        for device in ordered:
            if device.id in by_id:
                raise TopologyError(f"device id {device.id} is used twice; give each device its own id")
            if device.path in places:
                raise TopologyError(
                    f"device {device.id}: {device.path} is device {places[device.path]} too; rename one"
                )
            by_id[device.id] = device
            places[device.path] = device.id
        object.__setattr__(self, "devices", ordered)
        object.__setattr__(self, "_by_id", by_id)

    @classmethod
    def of(cls, devices: Iterable[Device]) -> "Topology":
        """Build a topology from any iterable of devices."""
        return cls(tuple(devices))

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def __len__(self) -> int:
        return len(self.devices)

    def get(self, device_id: int) -> Device:
        """Return the device with this id; raises TopologyError when there is none."""
        try:
            return self._by_id[device_id]
        except KeyError:
            raise TopologyError(f"no device has id {device_id}") from None

    def with_devices(self, devices: Iterable[Device]) -> "Topology":
        """Return the topology with these devices added, or put in the place of those with the same id."""
        merged = dict(self._by_id)
        merged.update((device.id, device) for device in devices)
        return Topology(tuple(merged.values()))

    def without(self, device_ids: Iterable[int]) -> "Topology":
        """Return the topology without these devices; raises TopologyError for an unknown id."""
        gone = {self.get(device_id).id for device_id in device_ids}
        return Topology(tuple(device for device in self.devices if device.id not in gone))
