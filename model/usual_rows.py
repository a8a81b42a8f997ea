"""Listing rows as nearly all are, an MD5 ETag and nothing posted since, cut up without decoding. Pure.

A page of 1,000 rows is shown on each listing, and its content types and extras are few: what follows the
ETag is the same bytes in row after row, so it need be decoded once for each of its kinds. A row is cut with
``hybrid, size, head, etag, tail = CUTS[len(row)](row)``; the cut counts where `is_usual(head, tail)`.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from model.entry import ROW_HEAD

Cut = tuple[int, int, bytes, bytes, bytes]
"""The stamp's first 64 bits, the size in bytes, two lengths, the ETag, and the rest of the value."""

_ETAG_BYTES: Final = 32
_ETAG_HEAD: Final = b"\x93\xd9\x20"
"""How the value of a usual row begins: an array of three, the first a text of 32 bytes."""
_LENGTH: Final = Struct(">I")
_BEFORE_TAIL_BYTES: Final = ROW_HEAD.size + len(_ETAG_HEAD) + _ETAG_BYTES
_ROW_BYTES_MAX: Final = 1024
"""Longer rows are rare, and no length of theirs is to be remembered."""


class _Cuts(dict[int, Callable[[bytes], Cut]]):
    """By the length of a row, what cuts it."""

    def __missing__(self, row_bytes: int) -> Callable[[bytes], Cut]:
        tail_bytes = row_bytes - _BEFORE_TAIL_BYTES
        if tail_bytes < 0 or row_bytes > _ROW_BYTES_MAX:
            return _cut_nothing
        head_bytes = _LENGTH.size + len(_ETAG_HEAD)
        cut = self[row_bytes] = Struct(f">xQ8xQ{head_bytes}s{_ETAG_BYTES}s{tail_bytes}s").unpack
        return cut


def _cut_nothing(_: bytes) -> Cut:
    return 0, 0, b"", b"", b""


CUTS: Final = _Cuts()


def is_usual(head: bytes, tail: bytes) -> bool:
    """Say whether the row that these were cut out of is a usual one, so that the other pieces are true."""
    value_bytes = len(_ETAG_HEAD) + _ETAG_BYTES + len(tail)
    return head == _LENGTH.pack(value_bytes) + _ETAG_HEAD
