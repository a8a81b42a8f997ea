"""The checksums of S3 by name: computing, naming, and joining those of parts. Pure.

Values are base64 of the big-endian checksum, as the x-amz-checksum- headers carry them. A checksum
of a multipart object is either FULL_OBJECT (as if the parts were one body; the CRCs can be combined)
or COMPOSITE (a checksum over the parts' checksums, written `value-N`).

Source: Amazon S3 user guide, "Checking object integrity in Amazon S3".
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import sha1, sha256
from typing import Final, Protocol

from awscrt import checksums as crt

from model.errors import BadDigest

Buffer = bytes | bytearray | memoryview

CRC32: Final = "CRC32"
CRC32C: Final = "CRC32C"
CRC64NVME: Final = "CRC64NVME"
SHA1: Final = "SHA1"
SHA256: Final = "SHA256"

BYTES: Final = {CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32}
"""The algorithms, and the bytes of a checksum of each."""

FULL_OBJECT: Final = "FULL_OBJECT"
COMPOSITE: Final = "COMPOSITE"

HEADERS: Final = {f"x-amz-checksum-{name.lower()}": name for name in BYTES}
"""Header name (lower case) to algorithm."""


class Hasher(Protocol):
    """A checksum in progress; hashlib's objects are hashers too."""

    def update(self, data: Buffer, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the big-endian checksum of all bytes taken."""


class _Crc:
    __slots__ = ("_step", "_value", "_width")

    def __init__(self, step: Callable[[Buffer, int], int], width: int) -> None:
        self._step = step
        self._width = width
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def hasher(name: str) -> Hasher:
    """Return a new hasher of an algorithm of `BYTES`. Raises KeyError for another name."""
    return _MAKERS[name]()


# zlib's CRC-32 is built with hardware support and is no slower here than awscrt's.
_MAKERS: Final[dict[str, Callable[[], Hasher]]] = {
    CRC32: lambda: _Crc(zlib.crc32, 4),
    CRC32C: lambda: _Crc(crt.crc32c, 4),
    CRC64NVME: lambda: _Crc(crt.crc64nvme, 8),
    SHA1: lambda: sha1(usedforsecurity=False),
    SHA256: sha256,
}


def to_text(digest: bytes) -> str:
    """Return a checksum as headers carry it."""
    return b64encode(digest).decode()


def checksum(name: str, body: Buffer) -> str:
    """Return the base64 checksum of a whole body."""
    computing = hasher(name)
    computing.update(body)
    return to_text(computing.digest())


def well_formed(name: str, text: str) -> bool:
    """Whether text is base64, with no stray bit, of as many bytes as the algorithm's checksum has."""
    try:
        digest = b64decode(text, validate=True)
    except ValueError:
        return False
    return len(digest) == BYTES[name] and to_text(digest) == text


def composite(name: str, parts: Sequence[str]) -> str:
    """Return the COMPOSITE checksum, `value-N`, of the base64 checksums of parts in order."""
    return f"{checksum(name, b''.join(map(b64decode, parts)))}-{len(parts)}"


_COMBINE: Final[dict[str, Callable[[int, int, int], int]]] = {
    CRC32: crt.combine_crc32,
    CRC32C: crt.combine_crc32c,
    CRC64NVME: crt.combine_crc64nvme,
}


def can_be_full_object(name: str) -> bool:
    """Whether the checksums of parts can be joined into that of the whole."""
    return name in _COMBINE


def full_object(name: str, parts: Sequence[tuple[str, int]]) -> str:
    """Return the checksum of the whole from the base64 checksums and sizes of its parts, in order.

    Raises BadDigest for an algorithm whose checksums cannot be joined.
    """
    combine = _COMBINE.get(name)
    if combine is None:
        raise BadDigest(f"{name} checksums of parts cannot be joined")
    joined = 0
    for text, size in parts:
        joined = combine(joined, int.from_bytes(b64decode(text), "big"), size)
    return to_text(joined.to_bytes(BYTES[name], "big"))
