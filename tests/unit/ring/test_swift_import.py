"""The devices of an OpenStack Swift ring are taken over, and a hostile file can do nothing."""

import array
import gzip
import json
import os
import pickle
from struct import Struct
from typing import Any

import pytest

from ring.errors import RingError, RingFormatUnknown
from ring.swift_import import is_swift_file, read_swift

DEVICES: list[dict[str, Any] | None] = [
    {
        "id": 0,
        "region": 1,
        "zone": 2,
        "ip": "10.0.0.1",
        "port": 6200,
        "replication_ip": "10.1.0.1",
        "replication_port": 6201,
        "device": "sdb1",
        "weight": 100.0,
        "meta": "",
    },
    None,
    {"id": 2, "region": 2, "zone": 1, "ip": "::1", "port": 6200, "device": "sdc1", "weight": 50, "meta": "x"},
]
BUILDER = {
    "part_power": 10,
    "replicas": 3.0,
    "min_part_hours": 1,
    "overload": 0.25,
    "parts": 1024,
    "version": 4,
    "devs": DEVICES,
    "devs_changed": False,
    "_replica2part2dev": [array.array("H", [0, 2]), array.array("H", [2, 0])],
    "_last_part_moves": array.array("B", [0, 0]),
    "_remove_devs": [],
    "_dispersion_graph": {(1, 2): [1, 2, 3]},
}


def _ring_gz(**changes: Any) -> bytes:
    header = {"devs": DEVICES, "part_shift": 22, "replica_count": 3, "byteorder": "little", **changes}
    text = json.dumps(header).encode()
    return gzip.compress(Struct("!4sHI").pack(b"R1NG", 1, len(text)) + text + b"\0" * 64, mtime=0)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_builder_file_gives_its_devices(protocol: int) -> None:
    """Holes left by removed devices are skipped."""
    data = pickle.dumps(BUILDER, protocol=protocol)
    assert is_swift_file(data)
    imported = read_swift(data)
    assert [(d.id, d.path, d.weight, d.address) for d in imported.topology] == [
        (0, "r1/z2/10.1.0.1/sdb1", 100.0, "10.0.0.1:6200"),
        (2, "r2/z1/::1/sdc1", 50.0, "[::1]:6200"),
    ]
    assert (imported.part_power, imported.replicas) == (10, 3)
    assert imported.rules is not None
    assert imported.rules.overload == 0.25


def test_a_ring_gz_gives_its_devices() -> None:
    """Part power comes from the shift."""
    imported = read_swift(_ring_gz())
    assert (imported.part_power, imported.replicas, len(imported.topology)) == (10, 3, 2)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def test_a_builder_file_that_names_code_is_refused() -> None:
    """Before anything of it is called."""
    with pytest.raises(RingFormatUnknown, match="system does not belong in a builder file"):
        read_swift(pickle.dumps({"devs": [_Hostile()]}))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02",
        b"\x80\x02]q\x00.",
        pickle.dumps({"no": "devs"}),
        pickle.dumps(BUILDER)[:-20],
        b"\x1f\x8bnoise",
        gzip.compress(b"R1NG", mtime=0),
        gzip.compress(b"R1NG\0\2\0\0\0\2{}", mtime=0),
        gzip.compress(b"R1NG\0\1\0\0\0\2[]", mtime=0),
    ],
)
def test_what_is_neither_is_refused(data: bytes) -> None:
    """With a word on what was expected."""
    with pytest.raises(RingFormatUnknown):
        read_swift(data)


def test_fields_that_cannot_be_taken_over_are_named() -> None:
    """Half replicas exist in Swift only."""
    with pytest.raises(RingError, match=r"2\.5 replicas"):
        read_swift(pickle.dumps({**BUILDER, "replicas": 2.5}))
    with pytest.raises(RingError, match="KeyError"):
        read_swift(_ring_gz(devs=[{"id": 1}]))
