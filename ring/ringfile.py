"""The ring file: one self-describing, checksummed, signed file with the table and its history. Pure.

    0      preamble, 128 bytes, little-endian: magic, format, flags, header bytes, file bytes,
           header XXH3-128, signature
    128    header, msgpack: the meta data, and offset, bytes, XXH3-128 and SHA-256 of each section
    4096·n table, uint16[partition, replica], little-endian, so that it can be used where it is mapped
    …      reverse deltas, newest first

XXH3 finds torn and flipped bytes in microseconds at each load. The Ed25519 signature covers preamble and
header, the header's SHA-256 sums cover the rest; they are checked when a public key is at hand. docs/ring.md
is the byte-by-byte reference.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from sys import byteorder
from typing import Any

import msgpack
import numpy as np
import xxhash

from ring.errors import RingError, RingFileDamaged, RingFormatUnknown
from ring.history import PackedDelta
from ring.meta import RingMeta, pack_meta, unpack_meta
from ring.signing import SIGNATURE_BYTES, SigningKey, Trust, Unchecked, believe, sign, signer_of
from ring.table import Ring

MAGIC = b"COLORING"
FORMAT = 1
PREAMBLE_BYTES = 128
ALIGNMENT = 4096
_PREAMBLE = Struct(f"<8sHHIQ16s{SIGNATURE_BYTES}s")
_SIGNED_PREAMBLE_BYTES = _PREAMBLE.size - SIGNATURE_BYTES
HEADER_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Section:
    """Where a part of the file lies and what it must hash to."""

    offset: int
    size_bytes: int
    xxh3: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a ring file says of itself: the meta data, its signer's key id and its sections."""

    meta: RingMeta
    signer: str
    table: Section
    deltas: tuple[tuple[int, int, int, Section], ...]


def encode(ring: Ring, key: SigningKey) -> bytes:
    """Return the ring as the bytes of a ring file, signed with `key`."""
    table = ring.table.astype("<u2", copy=False).tobytes()
    blobs = [delta.blob for delta in ring.history]
    sums = [
        (len(part), xxhash.xxh3_128_digest(part), hashlib.sha256(part).digest()) for part in (table, *blobs)
    ]

    def header_with(table_offset: int) -> bytes:
        offset = table_offset
        rows = []
        for size, xxh3, sha256 in sums:
            # Fixed-width offsets: the header's length must not depend on where the table starts.
            rows.append([offset.to_bytes(8, "little"), size, xxh3, sha256])
            offset += size
        deltas = [
            [d.version, d.created_ms, d.slots, *row] for d, row in zip(ring.history, rows[1:], strict=True)
        ]
        body = {**pack_meta(ring.meta), "signer": signer_of(key), "table": rows[0], "deltas": deltas}
        packed: bytes = msgpack.packb(body)
        return packed

    table_offset = _aligned(PREAMBLE_BYTES + len(header_with(0)))
    header = header_with(table_offset)
    file_bytes = table_offset + sum(size for size, _, _ in sums)
    fields = (MAGIC, FORMAT, 0, len(header), file_bytes, xxhash.xxh3_128_digest(header))
    unsigned = _PREAMBLE.pack(*fields, bytes(SIGNATURE_BYTES))
    signature = sign(key, unsigned[:_SIGNED_PREAMBLE_BYTES] + header)
    front = _PREAMBLE.pack(*fields, signature).ljust(PREAMBLE_BYTES, b"\0") + header
    return b"".join((front.ljust(table_offset, b"\0"), table, *blobs))


def decode(data: bytes | memoryview, *, trust: Trust = Unchecked.SIGNED_ONLY) -> Ring:
    """Return the ring in `data`, whose table is used in place (keep the buffer unchanged).

    `trust` is the public keys whose signature is accepted, or what to accept without one. Raises
    RingFormatUnknown, RingFileDamaged or RingUntrusted.
    """
    view = memoryview(data).toreadonly()
    header = decode_header(view, trust=trust)
    check = _check_quick if isinstance(trust, Unchecked) else _check_sealed
    raw = check(view, header.table, "table")
    table = np.frombuffer(raw, "<u2")
    shape = (1 << header.meta.part_power, header.meta.replicas)
    if table.size != shape[0] * shape[1]:
        raise RingFileDamaged(f"table has {table.size} entries, the header promises {shape[0]}×{shape[1]}")
    if byteorder == "big":
        table = table.astype(np.uint16)
    history = [
        PackedDelta(version, created_ms, slots, bytes(check(view, section, f"delta of version {version}")))
        for version, created_ms, slots, section in header.deltas
    ]
    return Ring(header.meta, table.reshape(shape).view(np.uint16), history)


def decode_header(data: bytes | memoryview, *, trust: Trust = Unchecked.SIGNED_ONLY) -> Header:
    """Return and check the header alone; raises as `decode` does."""
    view = memoryview(data)
    if len(view) < PREAMBLE_BYTES or bytes(view[: len(MAGIC)]) != MAGIC:
        raise RingFormatUnknown("not a ring file: its first bytes are not those of one")
    _, file_format, _, header_bytes, file_bytes, checksum, signature = _PREAMBLE.unpack_from(view)
    if file_format not in _HEADER_DECODERS:
        raise RingFormatUnknown(
            f"ring file format {file_format}; this release reads {sorted(_HEADER_DECODERS)}"
        )
    if len(view) != file_bytes or not 0 < header_bytes <= min(HEADER_BYTES_MAX, file_bytes):
        raise RingFileDamaged(
            f"the file has {len(view)} bytes, its preamble promises {file_bytes}: torn or truncated"
        )
    raw = bytes(view[PREAMBLE_BYTES : PREAMBLE_BYTES + header_bytes])
    if xxhash.xxh3_128_digest(raw) != checksum:
        raise RingFileDamaged("the header does not match its checksum")
    header = _HEADER_DECODERS[file_format](raw)
    believe(trust, header.signer, signature, bytes(view[:_SIGNED_PREAMBLE_BYTES]) + raw)
    return header


def _decode_header_1(raw: bytes) -> Header:
    try:
        plain = msgpack.unpackb(raw)
        deltas = tuple((version, at, slots, _section(row)) for version, at, slots, *row in plain["deltas"])
        return Header(unpack_meta(plain), str(plain["signer"]), _section(plain["table"]), deltas)
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise RingFileDamaged(f"the header cannot be decoded: {error}") from error
    except RingError as error:
        raise RingFileDamaged(f"the header is not acceptable: {error}") from error


_HEADER_DECODERS: dict[int, Callable[[bytes], Header]] = {1: _decode_header_1}


def _section(row: list[Any]) -> Section:
    offset, size_bytes, xxh3, sha256 = row
    return Section(int.from_bytes(offset, "little"), int(size_bytes), bytes(xxh3), bytes(sha256))


def _check_quick(view: memoryview, section: Section, what: str) -> memoryview:
    part = view[section.offset : section.offset + section.size_bytes]
    if len(part) != section.size_bytes or xxhash.xxh3_128_digest(part) != section.xxh3:
        raise RingFileDamaged(f"the {what} does not match its checksum")
    return part


def _check_sealed(view: memoryview, section: Section, what: str) -> memoryview:
    part = _check_quick(view, section, what)
    if hashlib.sha256(part).digest() != section.sha256:
        raise RingFileDamaged(f"the {what} does not match its signed digest")
    return part


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
