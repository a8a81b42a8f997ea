"""Bytes spoilt at random, from a seed: what a fuzzer makes of something valid."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LONG: int = 5000

WORDS: Sequence[bytes] = (
    *(
        b"",
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\x7f",
        b"\xff",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
    ),
    *(
        b"<",
        b">",
        b"</",
        b"/>",
        b"&",
        b"&amp;",
        b"&#0;",
        b"&x;",
        b"<!--",
        b"]]>",
        b"<![CDATA[",
        b"<?",
        b"<!DOCTYPE a>",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b",",
        b":",
        b";",
        b"=",
        b"%",
        b"%00",
        b"%zz",
        b"$",
        b"${",
        b"*",
        b"\\",
    ),
    *(
        b"0",
        b"-1",
        b"1",
        b"9" * 20,
        b"9" * 400,
        b"1e999",
        b"0x10",
        b"NaN",
        b"true",
        b"null",
        b"ffffffffffffffff",
    ),
    *(
        b"--",
        b"--x",
        b"\r\n--x",
        b"\r\n--x--",
        b"chunk-signature=",
        b"2026-01-01T00:00:00Z",
        b"eq",
        b"starts-with",
    ),
)


class Mutator:
    """Spoils bytes; the same seed spoils the same bytes alike."""

    def __init__(self, seed: int) -> None:
        """Draw everything from `seed`."""
        self.chance = random.Random(seed)
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            self._flip,
            self._cut,
            self._repeat,
            self._insert,
            self._replace,
            self._swap,
            self._truncate,
            self._lengthen,
        )

    def spoil(self, data: bytes) -> bytes:
        """Return the bytes with one to four things wrong; now and then they are left as they are."""
        for _ in range(self.chance.choice((0, 1, 1, 2, 3, 4))):
            data = self.chance.choice(self._ways)(data)
        return data

    def pick(self, data: bytes) -> tuple[int, int]:
        """Return the bounds of a slice of the bytes, mostly a short one."""
        start = self.chance.randint(0, len(data))
        return start, min(len(data), start + int(self.chance.expovariate(0.1)))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self.chance.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 1 << self.chance.randrange(8),)) + data[at + 1 :]

    def _cut(self, data: bytes) -> bytes:
        start, end = self.pick(data)
        return data[:start] + data[end:]

    def _repeat(self, data: bytes) -> bytes:
        start, end = self.pick(data)
        return data[:end] + data[start:end] * self.chance.choice((1, 1, 2, 50)) + data[end:]

    def _insert(self, data: bytes) -> bytes:
        at = self.chance.randint(0, len(data))
        return data[:at] + self.chance.choice(WORDS) + data[at:]

    def _replace(self, data: bytes) -> bytes:
        start, end = self.pick(data)
        return data[:start] + self.chance.choice(WORDS) + data[end:]

    def _swap(self, data: bytes) -> bytes:
        start, end = self.pick(data)
        return data[end:] + data[start:end] + data[:start]

    def _truncate(self, data: bytes) -> bytes:
        return data[: self.chance.randint(0, len(data))]

    def _lengthen(self, data: bytes) -> bytes:
        at = self.chance.randint(0, len(data))
        return (
            data[:at] + self.chance.choice((b"a", b"<a>", b"[", b" ", b"\xf0\x9f\x98\x80")) * LONG + data[at:]
        )
