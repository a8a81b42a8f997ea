"""Reads the devices of an OpenStack Swift ring, from its builder file or from its `.ring.gz`. Pure.

A builder file is a pickle. It is read by an unpickler that can make plain values and integer arrays and
nothing else, so a hostile one can at worst be refused. A `.ring.gz` starts with "R1NG", a version, and its
devices as JSON (swift.common.ring.RingData, https://docs.openstack.org/swift/latest/overview_ring.html).
"""

import array
import json
import pickle
import zlib
from io import BytesIO
from struct import Struct
from struct import error as StructError
from typing import Any

from ring.errors import RingError, RingFormatUnknown
from ring.hashing import PART_POWER_MAX
from ring.meta import PlacementRules
from ring.topology import Device, Topology
from ring.transfer import Imported

_GZIP_MAGIC = b"\x1f\x8b"
_RING_MAGIC = b"R1NG"
_RING_HEAD = Struct("!4sHI")
_HEADER_BYTES_MAX = 256 << 20
_PICKLE_MAGIC = b"\x80"


def is_swift_file(data: bytes) -> bool:
    """Return whether the bytes look like a Swift builder file or ring."""
    return data.startswith((_GZIP_MAGIC, _PICKLE_MAGIC))


def read_swift(data: bytes) -> Imported:
    """Return devices, part power, replicas and overload of a Swift builder file or `.ring.gz`.

    Regions and zones become `r1` and `z1`, the address the host. Raises RingFormatUnknown or RingError.
    """
    plain = _read_ring(data) if data.startswith(_GZIP_MAGIC) else _read_builder(data)
    try:
        devices = [_device(row) for row in plain["devs"] if row is not None]
        part_power = int(plain["part_power"] if "part_power" in plain else 32 - plain["part_shift"])
        replicas = float(plain["replicas"] if "replicas" in plain else plain["replica_count"])
        overload = float(plain.get("overload") or 0.0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RingError(f"Swift ring: {type(error).__name__}: {error}") from error
    if replicas != int(replicas):
        raise RingError(
            f"Swift ring: {replicas} replicas; only whole numbers can be taken over, give --replicas"
        )
    return Imported(
        Topology.of(devices),
        min(part_power, PART_POWER_MAX),
        int(replicas),
        PlacementRules(overload=overload),
    )


def _device(row: dict[str, Any]) -> Device:
    host = str(row.get("replication_ip") or row["ip"])
    address = f"[{row['ip']}]:{row['port']}" if ":" in str(row["ip"]) else f"{row['ip']}:{row['port']}"
    return Device(
        id=int(row["id"]),
        region=f"r{row.get('region', 1)}",
        zone=f"z{row['zone']}",
        host=host,
        name=f"{row['device']}",
        weight=float(row["weight"]),
        node=f"{row['ip']}:{row['port']}",
        address=address,
    )


def _read_ring(data: bytes) -> dict[str, Any]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        head = inflate.decompress(data, _RING_HEAD.size)
        magic, version, size = _RING_HEAD.unpack(head)
        if magic != _RING_MAGIC or version != 1:
            raise RingFormatUnknown(f"Swift ring version {version}: import the .builder file instead")
        if size > _HEADER_BYTES_MAX:
            raise RingError(f"Swift ring: a header of {size} bytes is not believable")
        plain = json.loads(inflate.decompress(inflate.unconsumed_tail, size))
    except (ValueError, StructError, zlib.error) as error:
        raise RingFormatUnknown(f"not a Swift ring: {error}") from error
    if not isinstance(plain, dict):
        raise RingFormatUnknown("not a Swift ring: its header is no object")
    return plain


class _PlainUnpickler(pickle.Unpickler):
    """Makes dicts, lists, strings, numbers and arrays; refuses the name of anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("array", "array"):
            return array.array
        if (module, name) == ("array", "_array_reconstructor"):
            return _array_of_bytes
        raise pickle.UnpicklingError(f"{module}.{name} does not belong in a builder file")


def _array_of_bytes(kind: type, typecode: str, _: int, data: bytes) -> "array.array[int]":
    """Rebuild an array of a builder file; its contents are not used, but must be read past."""
    if kind is not array.array or typecode not in "BHIL":
        raise pickle.UnpicklingError(f"arrays of {typecode!r} do not belong in a builder file")
    result: array.array[int] = array.array(typecode)
    result.frombytes(data)
    return result


def _read_builder(data: bytes) -> dict[str, Any]:
    try:
        plain = _PlainUnpickler(BytesIO(data), encoding="latin-1").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
    ) as error:
        raise RingFormatUnknown(f"not a Swift builder file: {error}") from error
    if not isinstance(plain, dict) or "devs" not in plain:
        raise RingFormatUnknown("not a Swift builder file: it holds no devices")
    return plain
