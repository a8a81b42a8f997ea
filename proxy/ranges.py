"""Range headers: parsing, and which bytes of an object of known size they select. Pure.

Source: RFC 9110, section 14. A header that is not well formed is as if it were absent; one that is
but selects nothing is refused with InvalidRange. Requests that ask for too many, too tangled ranges
are refused too (section 17.15), at the same measures as OpenStack Swift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

from model.errors import InvalidRange

RANGES_MAX: Final = 50
OVERLAPS_MAX: Final = 2
UNORDERED_MAX: Final = 8
_DIGITS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `offset` up to, not including, `offset + length`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the span."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Piece:
    """One range asked for: `first` to `last` inclusive, or the `last` bytes where `first` is None.

    `last` is None for a range that is open to the end.
    """

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """The ranges that a request asks for, before the size of the object is known."""

    pieces: tuple[Piece, ...]

    def resolve(self, size: int) -> tuple[Span, ...]:
        """Return the spans selected in `size` bytes, unsatisfiable pieces left out.

        An empty tuple means the whole object: a suffix of an object without bytes, which has no
        Content-Range to be answered with. Raises InvalidRange where nothing can be selected.
        """
        spans = [span for piece in self.pieces if (span := _select(piece, size)) is not None]
        if not spans or _egregious(spans):
            raise InvalidRange(size)
        if size == 0:
            return ()
        return tuple(spans)


def parse_range(text: str) -> RangeRequest | None:
    """Return the ranges of a Range header, or None where it is absent or to be ignored."""
    unit, _, specs = text.replace(" ", "").partition("=")
    if unit.lower() != "bytes":
        return None
    pieces = []
    for spec in specs.split(","):
        piece = _parse_piece(spec)
        if piece is None:
            return None
        pieces.append(piece)
    return RangeRequest(tuple(pieces))


def content_range(span: Span, size: int) -> str:
    """Return the Content-Range of a span of an object of `size` bytes."""
    return f"bytes {span.offset}-{span.end - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """Return the Content-Range that goes with 416."""
    return f"bytes */{size}"


@dataclass(frozen=True, slots=True)
class Multipart:
    """The framing of a multipart/byteranges body: `heads[i]`, the bytes of span i, CRLF, …, `tail`.

    `length` is the whole body in bytes, framing and payload.
    """

    content_type: str
    heads: tuple[bytes, ...]
    tail: bytes
    length: int


def frame_multipart(spans: Sequence[Span], size: int, *, content_type: str, boundary: str) -> Multipart:
    """Return the framing of several spans of one object of `size` bytes.

    Each head but the first starts with the CRLF that ends the part before it.
    """
    kind = content_type.encode("utf-8", "surrogateescape")
    heads = tuple(
        (b"\r\n" if index else b"")
        + f"--{boundary}\r\nContent-Type: ".encode()
        + kind
        + f"\r\nContent-Range: {content_range(span, size)}\r\n\r\n".encode()
        for index, span in enumerate(spans)
    )
    tail = f"\r\n--{boundary}--".encode()
    length = sum(map(len, heads)) + len(tail) + sum(span.length for span in spans)
    return Multipart(f"multipart/byteranges;boundary={boundary}", heads, tail, length)


def _parse_piece(spec: str) -> Piece | None:
    first, dash, last = spec.partition("-")
    if not dash or not (first or last) or max(len(first), len(last)) > _DIGITS_MAX:
        return None
    if not all(not text or (text.isascii() and text.isdigit()) for text in (first, last)):
        return None
    if first and last and int(last) < int(first):
        return None
    return Piece(int(first) if first else None, int(last) if last else None)


def _select(piece: Piece, size: int) -> Span | None:
    if piece.first is None:
        wanted = min(piece.last or 0, size)
        return Span(size - wanted, wanted) if piece.last else None
    if piece.first >= size:
        return None
    end = size if piece.last is None else min(piece.last + 1, size)
    return Span(piece.first, end - piece.first)


def _egregious(spans: Sequence[Span]) -> bool:
    if len(spans) == 1:
        return False
    if len(spans) > RANGES_MAX:
        return True
    overlaps = sum(1 for one, two in combinations(spans, 2) if one.offset < two.end and two.offset < one.end)
    if overlaps > OVERLAPS_MAX:
        return True
    ascending = all(one.offset <= two.offset for one, two in pairwise(spans))
    return not ascending and len(spans) >= UNORDERED_MAX
