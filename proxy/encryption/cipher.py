"""Bytes at rest as segments of AES-256-GCM, readable from any offset. Pure.

A body is cut into segments, all of one size but the last; each is sealed with its tag behind it. A key
seals one body only, so the nonce of a segment is its number (11 bytes) and a byte that marks the last
one: no nonce comes twice under a key, and segments that are missing, swapped or put at the end fail
their tags. An empty body has no segment. Source: the STREAM construction (Hoang, Reyhanitabar,
Rogaway and Vizár 2015); NIST SP 800-38D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from model.errors import CorruptRecord

Buffer = bytes | bytearray | memoryview

KEY_BYTES: Final = 32
SEGMENT_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
_COUNTER_BYTES: Final = 11
_MORE: Final = b"\0"
_LAST: Final = b"\1"


def sealed_bytes(size: int, segment_bytes: int = SEGMENT_BYTES) -> int:
    """Return how long a body of `size` bytes is once sealed."""
    return size + TAG_BYTES * -(-size // segment_bytes)


class SegmentSealer:
    """Seals one body as it passes; holds back at most one segment, for it may be the last."""

    __slots__ = ("_cipher", "_held", "_next", "_segment_bytes")

    def __init__(self, key: bytes, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Seal under a key that has never sealed anything else."""
        self._cipher = AESGCM(key)
        self._segment_bytes = segment_bytes
        self._held = bytearray()
        self._next = 0

    def update(self, chunk: Buffer) -> bytearray:
        """Return the sealed segments that a chunk completes and that are followed by more, maybe none."""
        size = self._segment_bytes
        plain = memoryview(chunk)
        count = (len(self._held) + len(plain) - 1) // size
        if count <= 0:
            self._held += plain
            return bytearray()
        sealed = bytearray(count * (size + TAG_BYTES))
        target = memoryview(sealed)
        at = 0
        if self._held:
            at = size - len(self._held)
            self._held += plain[:at]
            self._seal(self._held, _MORE, target[: size + TAG_BYTES])
            target = target[size + TAG_BYTES :]
        while target:
            self._seal(plain[at : at + size], _MORE, target[: size + TAG_BYTES])
            target = target[size + TAG_BYTES :]
            at += size
        self._held = bytearray(plain[at:])
        return sealed

    def finish(self) -> bytearray:
        """Return the last segment; nothing for an empty body."""
        if not self._held:
            return bytearray()
        sealed = bytearray(len(self._held) + TAG_BYTES)
        self._seal(self._held, _LAST, memoryview(sealed))
        self._held = bytearray()
        return sealed

    def whole(self, body: Buffer) -> bytearray:
        """Return a whole body sealed."""
        sealed = self.update(body)
        sealed += self.finish()
        return sealed

    def _seal(self, plain: Buffer, mark: bytes, target: memoryview) -> None:
        nonce = self._next.to_bytes(_COUNTER_BYTES, "big") + mark
        self._next += 1
        self._cipher.encrypt_into(nonce, plain, None, target)


@dataclass(frozen=True, slots=True)
class Window:
    """The sealed bytes that a span of a body needs.

    `first` is the number of the first segment, `offset` and `length` the span of sealed bytes, `skip` how
    many bytes of the first segment stand before the span wanted.
    """

    first: int
    offset: int
    length: int
    skip: int


def window_of(size: int, offset: int, length: int, segment_bytes: int = SEGMENT_BYTES) -> Window:
    """Return the window of a span, which lies inside a body of `size` bytes and is not empty."""
    first, skip = divmod(offset, segment_bytes)
    end = min(size, -(-(offset + length) // segment_bytes) * segment_bytes)
    start = first * (segment_bytes + TAG_BYTES)
    return Window(first, start, sealed_bytes(end, segment_bytes) - start, skip)


class SegmentOpener:
    """Opens sealed segments in order, from the first of a window on."""

    __slots__ = ("_cipher", "_held", "_last", "_last_bytes", "_next", "_segment_bytes")

    def __init__(self, key: bytes, size: int, *, first: int = 0, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open a body of `size` bytes, which is not empty."""
        self._cipher = AESGCM(key)
        self._segment_bytes = segment_bytes
        self._last = (size - 1) // segment_bytes
        self._last_bytes = size - self._last * segment_bytes + TAG_BYTES
        self._next = first
        self._held = bytearray()

    def update(self, chunk: Buffer) -> bytearray:
        """Return the bytes of the segments that a chunk completes. Raises CorruptRecord for altered ones."""
        sealed = memoryview(chunk)
        opened = bytearray(self._completed(len(self._held) + len(sealed)))
        target = memoryview(opened)
        while target:
            wanted = self._wanted()
            if self._held:
                missing = wanted - len(self._held)
                self._held += sealed[:missing]
                sealed = sealed[missing:]
                self._open(self._held, target[: wanted - TAG_BYTES])
                self._held = bytearray()
            else:
                self._open(sealed[:wanted], target[: wanted - TAG_BYTES])
                sealed = sealed[wanted:]
            target = target[wanted - TAG_BYTES :]
        self._held += sealed
        return opened

    def finish(self) -> None:
        """Raise CorruptRecord where the bytes ended inside a segment."""
        if self._held:
            raise CorruptRecord("encrypted bytes end inside a segment")

    def _completed(self, sealed_bytes: int) -> int:
        """Return how many bytes the segments have that so many sealed bytes complete."""
        if self._next > self._last:
            if sealed_bytes:
                raise CorruptRecord("more encrypted bytes are stored than the object has")
            return 0
        size = self._segment_bytes
        count = min(sealed_bytes // (size + TAG_BYTES), self._last - self._next)
        is_last = self._next + count == self._last
        if is_last and sealed_bytes - count * (size + TAG_BYTES) >= self._last_bytes:
            return count * size + self._last_bytes - TAG_BYTES
        return count * size

    def _wanted(self) -> int:
        return self._last_bytes if self._next == self._last else self._segment_bytes + TAG_BYTES

    def _open(self, sealed: Buffer, target: memoryview) -> None:
        mark = _LAST if self._next == self._last else _MORE
        nonce = self._next.to_bytes(_COUNTER_BYTES, "big") + mark
        try:
            self._cipher.decrypt_into(nonce, sealed, None, target)
        except InvalidTag:
            raise CorruptRecord(f"segment {self._next} of the encrypted bytes was altered") from None
        self._next += 1


def open_whole(key: bytes, sealed: Buffer, size: int, segment_bytes: int = SEGMENT_BYTES) -> bytearray:
    """Return a whole body of `size` bytes opened. Raises CorruptRecord for one altered, cut or longer."""
    if len(sealed) != sealed_bytes(size, segment_bytes):
        raise CorruptRecord(f"{len(sealed)} encrypted bytes are stored of an object of {size} bytes")
    if not size:
        return bytearray()
    opener = SegmentOpener(key, size, segment_bytes=segment_bytes)
    opened = opener.update(sealed)
    opener.finish()
    return opened
