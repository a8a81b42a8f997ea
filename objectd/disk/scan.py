"""Reading a volume from one end to the other: its whole records, and the damage between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from objectd.disk.records import (
    ALIGNMENT,
    MAGIC,
    PREFIX_BYTES,
    Buffer,
    DecodedBody,
    Prefix,
    blocks_are_whole,
    decode_body,
    decode_prefix,
)

_WINDOW_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A record whose prefix and body are whole, at an offset of its volume.

    `payload` is empty for a record without one; `is_whole` says whether it matches its checksums.
    """

    offset: int
    prefix: Prefix
    body: DecodedBody
    payload: memoryview
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes from `start` to `end` that are no record; `is_blank` where they are all zero."""

    start: int
    end: int
    is_blank: bool


def scan(read: Callable[[int, int], bytes], start: int, end: int, nonce: int) -> Iterator[Found | Damaged]:
    """Yield what a volume holds from `start` up to `end`, in order, verified.

    `read(size, offset)` returns bytes of the volume. After damage the search goes on at the next
    prefix with a right checksum. What does not fit before `end` counts as damage.
    """
    window = _Window(read, end)
    at = start
    while at < end:
        found = _record_at(window, at, end, nonce)
        if found is not None:
            yield found
            at += found.prefix.record_bytes
            continue
        stop = _next_prefix(window, at + ALIGNMENT, end, nonce)
        yield Damaged(at, stop, window.is_blank(at, stop))
        at = stop


class _Window:
    """The bytes around where the scan is."""

    def __init__(self, read: Callable[[int, int], bytes], end: int) -> None:
        self._read = read
        self._end = end
        self._bytes = b""
        self._start = 0

    def view(self, at: int, size: int) -> memoryview:
        """Return up to `size` bytes at an offset; fewer where the volume ends."""
        if at < self._start or at + size > self._start + len(self._bytes):
            want = min(max(size, _WINDOW_BYTES), max(0, self._end - at))
            self._bytes = self._read(want, at) if want else b""
            self._start = at
        first = at - self._start
        return memoryview(self._bytes)[first : first + size]

    def find(self, what: bytes, at: int) -> tuple[int, int]:
        """Return where `what` is first found from an offset on within one window, or -1; and its end."""
        self.view(at, min(_WINDOW_BYTES, self._end - at))
        found = self._bytes.find(what, at - self._start)
        return (found + self._start if found >= 0 else -1), self._start + len(self._bytes)

    def is_blank(self, start: int, stop: int) -> bool:
        """Say whether all bytes of a span are zero."""
        while start < stop:
            piece = bytes(self.view(start, min(_WINDOW_BYTES, stop - start)))
            if not piece:
                return True
            if piece.count(0) != len(piece):
                return False
            start += len(piece)
        return True


def _record_at(window: _Window, at: int, end: int, nonce: int) -> Found | None:
    prefix = decode_prefix(window.view(at, PREFIX_BYTES), 0, nonce)
    if prefix is None or at + prefix.record_bytes > end:
        return None
    record = window.view(at, prefix.record_bytes)
    body_end = PREFIX_BYTES + prefix.body_bytes
    body = decode_body(record[PREFIX_BYTES:body_end], prefix)
    if body is None or len(record) < prefix.record_bytes:
        return None
    payload = record[body_end : body_end + prefix.payload_bytes]
    return Found(at, prefix, body, payload, blocks_are_whole(payload, body.checksums))


def _next_prefix(window: _Window, at: int, end: int, nonce: int) -> int:
    """Return the offset of the next prefix with a right checksum, or `end`."""
    while at + PREFIX_BYTES <= end:
        found, searched_to = window.find(MAGIC, at)
        if found < 0:
            # A magic may straddle the end of what was searched.
            at = max(at + 1, searched_to - len(MAGIC) + 1)
            continue
        if found % ALIGNMENT == 0 and _is_prefix(window.view(found, PREFIX_BYTES), nonce):
            return found
        at = found + 1
    return end


def _is_prefix(raw: Buffer, nonce: int) -> bool:
    return decode_prefix(raw, 0, nonce) is not None
