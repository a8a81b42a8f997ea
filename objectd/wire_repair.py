"""What repair says over the wire of ranges of keys, and its msgpack forms. Pure.

Part of the contract (objectd.contract), which has all of it under its own name too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from model.errors import CorruptRecord
from objectd.store import Buffer

DIGEST_BYTES: Final = 16


class Range(NamedTuple):
    """A range of keys on one device, lo <= key < hi: how many entries, and the sum of their fingerprints."""

    lo: bytes
    hi: bytes
    entry_count: int
    digest: int


class RawEntry(NamedTuple):
    """An entry as one device holds it."""

    key: bytes
    row: bytes
    payload_bytes: int


def pack_ranges(ranges: Iterable[Range]) -> list[Any]:
    """Return ranges with their digests as bytes."""
    return [(lo, hi, count, digest.to_bytes(DIGEST_BYTES, "big")) for lo, hi, count, digest in ranges]


def unpack_ranges(packed: Iterable[Any]) -> list[Range]:
    """Return ranges."""
    return [Range(lo, hi, count, int.from_bytes(digest, "big")) for lo, hi, count, digest in packed]


def pack_digests(digests: Mapping[int, int]) -> bytes:
    """Return partition digests as 4 bytes of partition and 16 of digest each, in order of partition."""
    return b"".join(
        partition.to_bytes(4, "big") + digests[partition].to_bytes(DIGEST_BYTES, "big")
        for partition in sorted(digests)
    )


def unpack_digests(packed: Buffer) -> dict[int, int]:
    """Return partition digests. Raises CorruptRecord."""
    raw = bytes(packed)
    step = 4 + DIGEST_BYTES
    if len(raw) % step:
        raise CorruptRecord("partition digests of a broken length")
    return {
        int.from_bytes(raw[at : at + 4], "big"): int.from_bytes(raw[at + 4 : at + step], "big")
        for at in range(0, len(raw), step)
    }


def pack_entries(entries: Sequence[tuple[bytes, bytes, int]]) -> bytes:
    """Return entries as a flat msgpack array of key, row, payload bytes, …"""
    flat: list[object] = []
    for entry in entries:
        flat += entry
    packed: bytes = msgpack.packb(flat)
    return packed


def unpack_entries(packed: Buffer) -> list[RawEntry]:
    """Return the entries of a flat array. Raises CorruptRecord."""
    try:
        flat = iter(msgpack.unpackb(packed))
        return [RawEntry(*fields) for fields in zip(flat, flat, flat, strict=True)]
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"entries cannot be decoded: {error}") from error
