"""Topologies for the tests of the ring: regular ones by their counts, and random ones for property tests."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from ring.topology import Device, DeviceState, Topology


def regular(
    regions: int, zones: int, hosts: int, devices: int, weight: Callable[[int], float] = lambda _: 1.0
) -> Topology:
    """Return a topology with this many children at each level, ids from 0."""
    found: list[Device] = []
    for region in range(regions):
        for zone in range(zones):
            for host in range(hosts):
                for device in range(devices):
                    number = len(found)
                    found.append(
                        Device(number, f"r{region}", f"z{zone}", f"h{host}", f"d{device}", weight(number))
                    )
    return Topology.of(found)


def device(number: int, place: str, weight: float = 1.0) -> Device:
    """Return a device at region/zone/host/name."""
    region, zone, host, name = place.split("/")
    return Device(number, region, zone, host, name, weight)


_PLACES = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1))
_WEIGHTS = st.sampled_from([1.0, 1.0, 2.0, 4.0])


@st.composite
def topologies(draw: st.DrawFn, least: int = 3, most: int = 9) -> Topology:
    """Random trees of a few devices, as lopsided as they come."""
    places = draw(st.lists(st.tuples(_PLACES, _WEIGHTS), min_size=least, max_size=most))
    return Topology.of(
        Device(number, f"r{region}", f"z{zone}", f"h{host}", f"d{number}", weight)
        for number, ((region, zone, host), weight) in enumerate(places)
    )


@st.composite
def successors(draw: st.DrawFn, topology: Topology) -> Topology:
    """A change an operator could make: devices added, removed, drained, or of another weight."""
    devices = list(topology)
    kind = draw(st.sampled_from(["add", "remove", "drain", "weight", "leave zone"]))
    one = draw(st.sampled_from(devices))
    match kind:
        case "add":
            places = draw(st.lists(st.tuples(_PLACES, _WEIGHTS), min_size=1, max_size=2))
            return topology.with_devices(
                Device(100 + number, f"r{region}", f"z{zone}", f"h{host}", f"n{number}", weight)
                for number, ((region, zone, host), weight) in enumerate(places)
            )
        case "remove":
            return topology.without([one.id])
        case "drain":
            return topology.with_devices([replace(one, state=DeviceState.DRAINING)])
        case "weight":
            return topology.with_devices(
                [replace(one, weight=one.weight * draw(st.sampled_from([0.5, 2.0])))]
            )
        case _:
            return Topology.of(d for d in devices if (d.region, d.zone) != (one.region, one.zone))
