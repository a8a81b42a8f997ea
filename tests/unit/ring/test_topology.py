"""Devices and trees that cannot be are refused with the device, the field and the mend."""

from typing import Any

import pytest

from ring.errors import TopologyError
from ring.selection import parse_device, select
from ring.topology import Device, Topology
from tests.unit.ring.topologies import device, regular


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("id", -1, "device id -1"),
        ("id", 65535, "between 0 and 65534"),
        ("region", "", "region ''"),
        ("zone", "a/b", "without '/'"),
        ("host", " h", "host ' h'"),
        ("weight", -0.5, "weight -0.5"),
        ("weight", float("nan"), "weight nan"),
        ("weight", float("inf"), "weight inf"),
    ],
)
def test_a_device_that_cannot_be_is_refused(field: str, value: object, words: str) -> None:
    """The error names the field."""
    good: dict[str, Any] = {"id": 1, "region": "r", "zone": "z", "host": "h", "name": "d", "weight": 1.0}
    with pytest.raises(TopologyError, match=words):
        Device(**{**good, field: value})


def test_two_devices_cannot_share_an_id_or_a_place() -> None:
    """Either would make two of one."""
    with pytest.raises(TopologyError, match="id 1 is used twice"):
        Topology.of([device(1, "r/z/h/a"), device(1, "r/z/h/b")])
    with pytest.raises(TopologyError, match="r/z/h/a is device 1 too"):
        Topology.of([device(1, "r/z/h/a"), device(2, "r/z/h/a")])


def test_a_selector_is_an_id_a_path_or_a_part_of_the_tree() -> None:
    """And one that names nothing is an error."""
    topology = regular(2, 2, 2, 2)
    assert [d.id for d in select(topology, ["3"])] == [3]
    assert [d.id for d in select(topology, ["r0/z0/h0/d1", "1"])] == [1]
    assert len(select(topology, ["r1"])) == 8
    assert len(select(topology, ["r1/z0", "r1/z0/h1"])) == 4
    for bad in ("99", "r", "r0/z0/h0/d9", ""):
        with pytest.raises(TopologyError):
            select(topology, [bad])


def test_a_device_is_written_as_a_path_with_a_weight() -> None:
    """`region/zone/host/name=weight`."""
    parsed = parse_device("r/z/h/d=2.5", 7, weight=1.0, address="h:1")
    assert parsed == Device(7, "r", "z", "h", "d", 2.5, "h", "h:1")
    assert parse_device("r/z/h/d", 7, weight=1.0, node="n").node == "n"
    for bad in ("r/z/h", "r/z/h/d/e", "r/z/h/d=x", "r//h/d"):
        with pytest.raises(TopologyError):
            parse_device(bad, 7, weight=1.0)
