"""The JSON form of a ring, for export, review under version control, and import. Pure."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ring.errors import RingError, RingFormatUnknown
from ring.history import Table
from ring.meta import PlacementRules
from ring.table import Ring
from ring.topology import Device, DeviceState, Topology

FORMAT = "colonnade-ring"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Imported:
    """What a foreign description says of a ring; None for what it leaves open."""

    topology: Topology
    part_power: int | None = None
    replicas: int | None = None
    rules: PlacementRules | None = None
    salt: bytes | None = None
    table: Table | None = None
    version: int = 1


def device_to_plain(device: Device) -> dict[str, Any]:
    """Return a device as JSON values."""
    return {
        "id": device.id,
        "region": device.region,
        "zone": device.zone,
        "host": device.host,
        "name": device.name,
        "weight": device.weight,
        "node": device.node,
        "address": device.address,
        "state": device.state.value,
    }


def ring_to_plain(ring: Ring, *, with_table: bool, with_salt: bool) -> dict[str, Any]:
    """Return a ring as JSON values; the salt is secret and the table large, so both are only included when
    asked.
    """
    plain: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": ring.version,
        "part_power": ring.part_power,
        "replicas": ring.replicas,
        "overload": ring.rules.overload,
        "scatter_width": ring.rules.scatter_width,
        "seed": ring.rules.seed,
        "created_ms": ring.meta.created_ms,
        "comment": ring.meta.comment,
        "devices": [device_to_plain(device) for device in ring.topology],
        "staged": None if ring.meta.staged is None else [device_to_plain(d) for d in ring.meta.staged],
    }
    if with_salt:
        plain["salt"] = ring.salt.hex()
    if with_table:
        plain["table"] = base64.b64encode(zlib.compress(ring.table.astype("<u2").tobytes())).decode("ascii")
    return plain


def ring_from_plain(plain: Any) -> Imported:
    """Return what `ring_to_plain` wrote; raises RingFormatUnknown, RingError naming the field, or
    TopologyError.
    """
    if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
        raise RingFormatUnknown(f'not an exported ring: "format" must be "{FORMAT}"')
    if plain.get("format_version") != FORMAT_VERSION:
        raise RingFormatUnknown(
            f"format_version {plain.get('format_version')}: this release reads {FORMAT_VERSION}"
        )
    rows = plain.get("devices")
    if not isinstance(rows, list):
        raise RingError("devices: must be a list of devices")
    part_power, replicas = _whole(plain, "part_power"), _whole(plain, "replicas")
    scatter = None if plain.get("scatter_width") is None else _whole(plain, "scatter_width")
    try:
        salt = bytes.fromhex(plain["salt"]) if "salt" in plain else None
        rules = PlacementRules(float(plain.get("overload", 0.0)), scatter, int(plain.get("seed", 0)))
    except (TypeError, ValueError) as error:
        raise RingError(f"salt, overload or seed: {error}") from error
    table = _table(plain["table"], part_power, replicas) if "table" in plain else None
    topology = Topology.of(_device(row, index) for index, row in enumerate(rows))
    return Imported(topology, part_power, replicas, rules, salt, table, _whole(plain, "version"))


def _whole(plain: Mapping[str, Any], key: str) -> int:
    value = plain.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RingError(f"{key}: {value!r} must be a whole number")
    return value


def _device(row: Any, index: int) -> Device:
    try:
        return Device(
            id=row["id"],
            region=row["region"],
            zone=row["zone"],
            host=row["host"],
            name=row["name"],
            weight=float(row["weight"]),
            node=row.get("node", ""),
            address=row.get("address", ""),
            state=DeviceState(row.get("state", "active")),
        )
    except KeyError as error:
        raise RingError(f"devices[{index}]: field {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RingError(f"devices[{index}]: {error}") from None


def _table(text: Any, part_power: int, replicas: int) -> Table:
    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
        table = np.frombuffer(raw, "<u2").astype(np.uint16)
        return table.reshape(1 << part_power, replicas)
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise RingError(f"table: {error}") from error
