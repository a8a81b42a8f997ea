"""Bodies of any size, made as they are sent and checked as they are received, never held whole."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

PIECE_BYTES = 1 << 20


class GeneratedBody:
    """A body of so many bytes, no MiB of it like another; it can be made again and again."""

    def __init__(self, size: int, seed: int = 1) -> None:
        self.size = size
        self._base = random.Random(seed).randbytes(PIECE_BYTES)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        for number in range(-(-self.size // PIECE_BYTES)):
            length = min(PIECE_BYTES, self.size - number * PIECE_BYTES)
            yield (number.to_bytes(8, "big") + self._base[8:])[:length]

    def slice(self, start: int, length: int) -> bytes:
        """Return some of its bytes."""
        first = start // PIECE_BYTES
        numbers = range(first, (start + length - 1) // PIECE_BYTES + 1)
        pieces = (number.to_bytes(8, "big") + self._base[8:] for number in numbers)
        at = start - first * PIECE_BYTES
        return b"".join(pieces)[at : at + length]

    def differs_at(self, received: Iterator[bytes]) -> int | None:
        """Return in which MiB what was received begins to differ; None where it is this body exactly."""
        held = bytearray()
        expected = self.pieces()
        number = 0
        for chunk in received:
            held += chunk
            while len(held) >= PIECE_BYTES:
                if held[:PIECE_BYTES] != next(expected, b""):
                    return number
                del held[:PIECE_BYTES]
                number += 1
        return None if held == next(expected, b"") and next(expected, None) is None else number

    def md5(self) -> str:
        """Return the hex MD5 of the whole body."""
        digest = hashlib.md5()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()
