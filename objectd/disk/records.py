"""The bytes of volumes: volume headers, records and their checksums. Pure.

A volume is a header of 64 bytes, then records, each aligned to 8 bytes:

    prefix (56 bytes)  magic, version, kind, flags, sequence, durable, change, time_ms,
                       body_bytes, payload_bytes, body_crc, prefix_crc
    body               key length, row length, key, row, the large file (if any), block checksums
    payload            in blocks of 64 KiB, each with its crc32c in the body

The prefix holds what differs from device to device, so the body of one write is encoded once for
all devices of a node. Every crc of a prefix starts from the volume's nonce: bytes that a user stored
(another colony's volume, say) are never taken for a record when a damaged volume is searched.

docs/formats.md draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, NamedTuple

import xxhash
from awscrt import checksums

Buffer = bytes | bytearray | memoryview

crc32c: Callable[..., int] = checksums.crc32c
"""`crc32c(buffer, previous=0)`: the Castagnoli crc of any buffer, continued from `previous`."""

FORMAT_VERSION: Final = 1
MAGIC: Final = b"\xc5CLr"
VOLUME_MAGIC: Final = b"\xc5CLv"
ALIGNMENT: Final = 8
BLOCK_BYTES: Final = 64 << 10
PAGE_BYTES: Final = 4096
"""Writes past the page cache begin and end at multiples of this, and so do the payloads meant for them."""
PAGED_PAYLOAD_BYTES_MIN: Final = 128 << 10
"""Payloads from here on begin at a page of the volume: so they are written from where they were received."""
VOLUME_HEAD_BYTES: Final = 64
UUID_BYTES: Final = 16

_VOLUME_HEAD: Final = Struct(">4sB3xI16sQQ")
_PREFIX: Final = Struct(">4sBBHQQQQIII")
_CRC: Final = Struct(">I")
_LENGTHS: Final = Struct(">HI")
_LARGE: Final = Struct(">16sQ")
PREFIX_BYTES: Final = _PREFIX.size + _CRC.size
_PAD_BYTES_MIN: Final = 64
_ZEROS: Final = bytes(ALIGNMENT)
KEY_BYTES_MAX: Final = 0xFFFF


class RecordKind(IntEnum):
    """What a record says."""

    ENTRY = 1
    """The row of the key from here on."""
    FORGET = 2
    """Rows of the key whose sequence is below `change` are gone."""
    LOST = 3
    """The payload of the row whose sequence is `change` failed its checksum."""
    CHANGE = 4
    """A line of the change log whose row has been superseded since."""
    PAD = 5
    """Nothing: it fills the space up to where a large payload, or the next group, is to begin."""


class Flag(IntFlag):
    """How an ENTRY came to be, and where its payload is."""

    CLIENT = 1
    """Written by a client, and not known to be done everywhere."""
    PAYLOAD = 2
    """The payload follows in this record."""
    KEPT = 4
    """The payload is that of the row before, of the same base stamp."""
    LARGE = 8
    """The payload is a large file, named in the body."""


@dataclass(frozen=True, slots=True)
class LargeFile:
    """The file of a large payload: its id and the payload's bytes."""

    file_id: bytes
    size: int


class Body(NamedTuple):
    """The part of a record that is the same on every device; `data` ends with the block checksums."""

    data: bytes
    crc: int
    block_count: int


class Prefix(NamedTuple):
    """The part of a record that belongs to one device.

    `sequence` orders the records of a device; `durable` is the highest sequence that was on stable
    storage when this record was written; `change` is the change log's sequence of an INDEX row.
    """

    kind: int
    flags: int
    sequence: int
    durable: int
    change: int
    time_ms: int
    body_bytes: int
    payload_bytes: int
    body_crc: int

    @property
    def record_bytes(self) -> int:
        """The bytes from this record to the next."""
        return aligned(PREFIX_BYTES + self.body_bytes + self.payload_bytes)


@dataclass(frozen=True, slots=True)
class VolumeHead:
    """The first bytes of a volume."""

    volume_id: int
    device_uuid: bytes
    first_sequence: int
    created_ms: int


def aligned(size: int) -> int:
    """Return a size in bytes rounded up to the alignment of records."""
    return -size % ALIGNMENT + size


def nonce_of(device_uuid: bytes, volume_id: int) -> int:
    """Return the 32 bits that the crc of each prefix in a volume starts from."""
    return xxhash.xxh32_intdigest(device_uuid, seed=volume_id)


def block_checksums(payload: Buffer, block_bytes: int = BLOCK_BYTES) -> bytes:
    """Return the crc32c of each block of a payload, 4 bytes each."""
    if len(payload) <= block_bytes:
        return _CRC.pack(crc32c(payload)) if len(payload) else b""
    view = memoryview(payload)
    return b"".join(_CRC.pack(crc32c(view[at : at + block_bytes])) for at in range(0, len(view), block_bytes))


def block_count(payload_bytes: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return how many blocks a payload has."""
    return -(-payload_bytes // block_bytes)


def blocks_are_whole(blocks: Buffer, checksums_of_blocks: Buffer, block_bytes: int = BLOCK_BYTES) -> bool:
    """Say whether consecutive blocks (the last may be short) match their checksums."""
    if len(blocks) <= block_bytes:
        return not len(blocks) or bytes(checksums_of_blocks[:4]) == _CRC.pack(crc32c(blocks))
    view = memoryview(blocks)
    return all(
        _CRC.unpack_from(checksums_of_blocks, number * 4)[0] == crc32c(view[at : at + block_bytes])
        for number, at in enumerate(range(0, len(view), block_bytes))
    )


def encode_body(key: bytes, row: bytes, payload: Buffer | None, large: LargeFile | None = None) -> Body:
    """Return the body of a record."""
    parts = _LENGTHS.pack(len(key), len(row)) + key + row
    blocks = 0
    if payload is not None:
        blocks = block_count(len(payload))
        if len(payload) >= PAGED_PAYLOAD_BYTES_MIN:
            # Records are aligned, and so is where such a payload begins: then the body between is too.
            parts += _ZEROS[: -(len(parts) + 4 * blocks) % ALIGNMENT]
        parts += block_checksums(payload)
    elif large is not None:
        parts += _LARGE.pack(large.file_id, large.size)
    return Body(parts, crc32c(parts), blocks)


def pad_bytes(offset: int) -> int:
    """Return the bytes of a PAD record at an offset that ends at a page; 0 where the offset is at one."""
    gap = -offset % PAGE_BYTES
    return gap + PAGE_BYTES if 0 < gap < _PAD_BYTES_MIN else gap


def encode_pad(record_bytes: int) -> Body:
    """Return the body of a PAD record of `record_bytes` in all, a multiple of ALIGNMENT."""
    zeros = bytes(record_bytes - PREFIX_BYTES - _LENGTHS.size)
    data = _LENGTHS.pack(0, len(zeros)) + zeros
    return Body(data, crc32c(data), 0)


def encode_prefix(
    kind: int,
    flags: int,
    order: tuple[int, int, int, int],
    body: Body,
    payload_bytes: int,
    nonce: int,
) -> bytes:
    """Return the prefix of a record; `order` is (sequence, durable, change, time_ms)."""
    head = _PREFIX.pack(MAGIC, FORMAT_VERSION, kind, flags, *order, len(body.data), payload_bytes, body.crc)
    return head + _CRC.pack(crc32c(head, nonce))


def decode_prefix(buffer: Buffer, at: int, nonce: int) -> Prefix | None:
    """Return the prefix at an offset of a buffer, or None where none is whole."""
    end = at + PREFIX_BYTES
    if buffer[at : at + 4] != MAGIC or len(buffer) < end:
        return None
    (crc,) = _CRC.unpack_from(buffer, end - 4)
    if crc32c(buffer[at : end - 4], nonce) != crc:
        return None
    _, version, kind, flags, sequence, durable, change, time_ms, body, payload, body_crc = (
        _PREFIX.unpack_from(buffer, at)
    )
    if version != FORMAT_VERSION:
        return None
    return Prefix(kind, flags, sequence, durable, change, time_ms, body, payload, body_crc)


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """A body taken apart."""

    key: bytes
    row: bytes
    large: LargeFile | None
    checksums: bytes


def decode_body(data: Buffer, prefix: Prefix) -> DecodedBody | None:
    """Return a body taken apart, or None where it fails its checksum."""
    if len(data) != prefix.body_bytes or crc32c(data) != prefix.body_crc:
        return None
    key_bytes, row_bytes = _LENGTHS.unpack_from(data)
    row_at = _LENGTHS.size + key_bytes
    rest_at = row_at + row_bytes
    large = None
    if prefix.flags & Flag.LARGE:
        large = LargeFile(*_LARGE.unpack_from(data, rest_at))
    checksums_at = max(rest_at, len(data) - 4 * block_count(prefix.payload_bytes))
    checksums_of_blocks = bytes(data[checksums_at:]) if prefix.flags & Flag.PAYLOAD else b""
    return DecodedBody(
        bytes(data[_LENGTHS.size : row_at]), bytes(data[row_at:rest_at]), large, checksums_of_blocks
    )


def encode_volume_head(head: VolumeHead) -> bytes:
    """Return the first 64 bytes of a volume."""
    packed = _VOLUME_HEAD.pack(
        VOLUME_MAGIC,
        FORMAT_VERSION,
        head.volume_id,
        head.device_uuid,
        head.first_sequence,
        head.created_ms,
    )
    return (packed + _CRC.pack(crc32c(packed))).ljust(VOLUME_HEAD_BYTES, b"\0")


def decode_volume_head(raw: Buffer) -> VolumeHead | None:
    """Return a volume's header, or None where it is not whole."""
    size = _VOLUME_HEAD.size
    if len(raw) < size + 4 or crc32c(raw[:size]) != _CRC.unpack_from(raw, size)[0]:
        return None
    magic, version, volume_id, device_uuid, first_sequence, created_ms = _VOLUME_HEAD.unpack_from(raw)
    if magic != VOLUME_MAGIC or version != FORMAT_VERSION:
        return None
    return VolumeHead(volume_id, device_uuid, first_sequence, created_ms)
