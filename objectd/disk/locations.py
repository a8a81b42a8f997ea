"""The values of the index: a row with where its record and its payload are behind it. Pure.

A value is the row of model.entry, then a trailer whose last byte says what it is. The trailer of a
row without payload has a constant length, so a listing cuts it off with one slice.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from model.errors import CorruptRecord
from objectd.disk.records import ALIGNMENT

_BASE: Final = Struct(">QIII")
_OWN: Final = Struct(">II")
_OTHER: Final = Struct(">IIIII")
_LARGE: Final = Struct(">16sQ")
_LOST: Final = Struct(">Q")

_NONE_TYPE: Final = 1
_OWN_TYPE: Final = 2
_OTHER_TYPE: Final = 3
_LARGE_TYPE: Final = 4
LOST_TYPE: Final = 5

_BASE_BYTES: Final = _BASE.size + 1
TRAILER_BYTES: Final = {
    _NONE_TYPE: _BASE_BYTES,
    _OWN_TYPE: _BASE_BYTES + _OWN.size,
    _OTHER_TYPE: _BASE_BYTES + _OTHER.size,
    _LARGE_TYPE: _BASE_BYTES + _LARGE.size,
    LOST_TYPE: _BASE_BYTES + _LOST.size,
}
"""Bytes to cut off a value, by its last byte."""
BARE_TRAILER_BYTES: Final = _BASE_BYTES


class InVolume(NamedTuple):
    """A payload inside a record: block checksums start `delta` bytes into it, the bytes follow them."""

    volume_id: int
    offset: int
    record_bytes: int
    delta: int
    size: int


class InFile(NamedTuple):
    """A payload in a large file."""

    file_id: bytes
    size: int


class Lost(NamedTuple):
    """A payload that failed its checksum; it had `size` bytes."""

    size: int


Payload = InVolume | InFile | Lost


class Location(NamedTuple):
    """Where a row's newest record is, and where its payload is, if it has one."""

    sequence: int
    volume_id: int
    offset: int
    record_bytes: int
    payload: Payload | None

    @property
    def payload_bytes(self) -> int:
        """The payload's length in bytes."""
        return 0 if self.payload is None else self.payload.size


def pack_value(row: bytes, at: Location) -> bytes:
    """Return the index value of a row and its location."""
    payload = at.payload
    base = _BASE.pack(at.sequence, at.volume_id, at.offset // ALIGNMENT, at.record_bytes)
    if payload is None:
        return row + base + b"\x01"
    if isinstance(payload, InVolume):
        if payload[:3] == (at.volume_id, at.offset, at.record_bytes):
            return row + _OWN.pack(payload.delta, payload.size) + base + b"\x02"
        other = _OTHER.pack(
            payload.volume_id,
            payload.offset // ALIGNMENT,
            payload.record_bytes,
            payload.delta,
            payload.size,
        )
        return row + other + base + b"\x03"
    if isinstance(payload, InFile):
        return row + _LARGE.pack(payload.file_id, payload.size) + base + b"\x04"
    return row + _LOST.pack(payload.size) + base + b"\x05"


def unpack_value(value: bytes) -> tuple[bytes, Location]:
    """Return the row and the location of an index value. Raises CorruptRecord."""
    kind = value[-1]
    cut = TRAILER_BYTES.get(kind)
    if cut is None or len(value) < cut:
        raise CorruptRecord(f"index value with a trailer of type {kind}")
    sequence, volume_id, place, record_bytes = _BASE.unpack_from(value, len(value) - _BASE_BYTES)
    offset = place * ALIGNMENT
    at = len(value) - cut
    payload: Payload | None = None
    if kind == _OWN_TYPE:
        delta, size = _OWN.unpack_from(value, at)
        payload = InVolume(volume_id, offset, record_bytes, delta, size)
    elif kind == _OTHER_TYPE:
        other_id, other_place, other_bytes, delta, size = _OTHER.unpack_from(value, at)
        payload = InVolume(other_id, other_place * ALIGNMENT, other_bytes, delta, size)
    elif kind == _LARGE_TYPE:
        payload = InFile(*_LARGE.unpack_from(value, at))
    elif kind == LOST_TYPE:
        payload = Lost(*_LOST.unpack_from(value, at))
    return value[:at], Location(sequence, volume_id, offset, record_bytes, payload)
