"""Chunked transfer coding, strictly decoded. Pure.

The strictness is deliberate: whatever two implementations may read differently (bare line feeds,
signs or spaces in sizes) is refused, because request smuggling lives in such differences.
Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from model.errors import BadRequest

LINE_BYTES_MAX: Final = 4096
TRAILER_BYTES_MAX: Final = 16 * 1024

# Extensions are passed over; quoted strings in them may hold anything but control characters.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class _Expect(Enum):
    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILER = 4
    NOTHING = 5


class MalformedChunk(BadRequest):
    """The body is not in chunked transfer coding."""


class ChunkedDecoder:
    """Decodes one body, however its bytes are cut.

    `feed(data)` returns the slices of payload in `data` and how many of its bytes it has used: all,
    unless the body has ended. Raises MalformedChunk.
    """

    __slots__ = ("_expect", "_left", "_line", "_trailer_bytes")

    def __init__(self) -> None:
        self._expect = _Expect.SIZE
        self._left = 0
        self._line = bytearray()
        self._trailer_bytes = 0

    @property
    def done(self) -> bool:
        """Whether the last byte of the body has been seen."""
        return self._expect is _Expect.NOTHING

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        """Return the payload in `data`, as slices of it, and the count of bytes used."""
        payload: list[memoryview] = []
        at, end = 0, len(data)
        while at < end and self._expect is not _Expect.NOTHING:
            if self._expect is _Expect.DATA:
                taken = min(self._left, end - at)
                payload.append(data[at : at + taken])
                at += taken
                self._left -= taken
                if not self._left:
                    self._expect = _Expect.DATA_END
            else:
                at = self._read_line(data, at)
        return payload, at

    def _read_line(self, data: memoryview, at: int) -> int:
        # Lines are short, so they are gathered in a buffer of their own however they are cut.
        window = bytes(data[at : at + LINE_BYTES_MAX + 2 - len(self._line)])
        newline = window.find(b"\n")
        if newline < 0:
            self._line += window
            limit = 2 if self._expect is _Expect.DATA_END else LINE_BYTES_MAX
            if len(self._line) > limit:
                raise MalformedChunk("a line of the chunked body is too long")
            return at + len(window)
        self._line += window[: newline + 1]
        if not self._line.endswith(b"\r\n"):
            raise MalformedChunk("a line of the chunked body ends without CR LF")
        line = bytes(self._line[:-2])
        self._line.clear()
        self._on_line(line)
        return at + newline + 1

    def _on_line(self, line: bytes) -> None:
        if self._expect is _Expect.SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise MalformedChunk("a chunk begins without its size")
            self._left = int(match[1], 16)
            self._expect = _Expect.DATA if self._left else _Expect.TRAILER
        elif self._expect is _Expect.DATA_END:
            if line:
                raise MalformedChunk("a chunk is longer than its size")
            self._expect = _Expect.SIZE
        elif not line:
            self._expect = _Expect.NOTHING
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_BYTES_MAX or _TRAILER_LINE.fullmatch(line) is None:
                raise MalformedChunk("the trailer of the chunked body is malformed")
