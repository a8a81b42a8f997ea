"""How people write devices: `region/zone/host/name=weight` to make one, an id or a path's beginning to find
some. Pure.
"""

from collections.abc import Iterable

from ring.errors import TopologyError
from ring.topology import Device, Topology

_PATH_PARTS = 4


def parse_device(text: str, device_id: int, *, weight: float, node: str = "", address: str = "") -> Device:
    """Return the device that `region/zone/host/name` or `region/zone/host/name=weight` describes.

    Raises TopologyError naming what is wrong.
    """
    path, equals, own_weight = text.partition("=")
    parts = path.split("/")
    if len(parts) != _PATH_PARTS:
        raise TopologyError(
            f"device {text!r}: write it as region/zone/host/name or region/zone/host/name=weight"
        )
    if equals:
        try:
            weight = float(own_weight)
        except ValueError:
            raise TopologyError(f"device {text!r}: weight {own_weight!r} is not a number") from None
    region, zone, host, name = parts
    return Device(device_id, region, zone, host, name, weight, node or host, address)


def select(topology: Topology, selectors: Iterable[str]) -> list[Device]:
    """Return the devices that selectors name: an id, a path, or a region, zone or host for all in it.

    Raises TopologyError for a selector that names none.
    """
    chosen: dict[int, Device] = {}
    for selector in selectors:
        if selector.isdecimal():
            found = [topology.get(int(selector))]
        else:
            wanted = selector.rstrip("/").split("/")
            found = [device for device in topology if device.path.split("/")[: len(wanted)] == wanted]
        if not found:
            raise TopologyError(f"no device is at {selector!r}; `ringctl show` lists ids and places")
        chosen.update((device.id, device) for device in found)
    return list(chosen.values())
