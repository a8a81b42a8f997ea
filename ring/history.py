"""Reverse deltas: how an earlier version of a ring is kept beside the newest one. Pure.

A delta holds the earlier version's meta data and, for each table slot that changed, its former device. Slots
are numbered `partition * replicas + replica`; their gaps and the devices are deflated. A delta is unpacked
only when asked for.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from ring.errors import RingFileDamaged, RingFormatUnknown
from ring.meta import RingMeta, pack_meta, unpack_meta

Table = npt.NDArray[np.uint16]
DELTA_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PackedDelta:
    """One earlier version, packed: its number, its time, how many slots differ from the next version."""

    version: int
    created_ms: int
    slots: int
    blob: bytes


def pack_delta(earlier: RingMeta, earlier_table: Table, later_table: Table) -> PackedDelta:
    """Return what leads back from `later_table` to `earlier_table`; both are uint16[partition, replica]."""
    before = earlier_table.reshape(-1)
    if earlier_table.shape == later_table.shape:
        changed = np.flatnonzero(before != later_table.reshape(-1))
    else:
        changed = np.arange(before.size)
    gaps = np.diff(changed, prepend=0).astype("<u4")
    body: dict[str, Any] = {
        "format": DELTA_FORMAT,
        "meta": pack_meta(earlier),
        "gaps": zlib.compress(gaps.tobytes(), 1),
        "devices": zlib.compress(before[changed].astype("<u2").tobytes(), 1),
    }
    return PackedDelta(earlier.version, earlier.created_ms, int(changed.size), msgpack.packb(body))


def unpack_delta(delta: PackedDelta, later_table: Table) -> tuple[RingMeta, Table]:
    """Return meta data and table of the earlier version; raises RingFileDamaged or RingFormatUnknown."""
    try:
        body = msgpack.unpackb(delta.blob)
        if body["format"] != DELTA_FORMAT:
            raise RingFormatUnknown(f"delta of version {delta.version}: format {body['format']} is not known")
        meta = unpack_meta(body["meta"])
        changed = np.cumsum(np.frombuffer(zlib.decompress(body["gaps"]), "<u4"), dtype=np.int64)
        devices = np.frombuffer(zlib.decompress(body["devices"]), "<u2")
        shape = (1 << meta.part_power, meta.replicas)
        table = later_table.copy() if later_table.shape == shape else np.empty(shape, np.uint16)
        table.reshape(-1)[changed] = devices
    except (KeyError, TypeError, ValueError, IndexError, zlib.error, msgpack.UnpackException) as error:
        raise RingFileDamaged(f"delta of version {delta.version}: {error}") from error
    return meta, table
