"""Bytes of an object made of parts come in order, for any span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord, NoSuchObject
from model.names import ObjectPath
from model.objects import ObjectRecord, Part
from model.stamp import make_stamp
from proxy.operations.parts import read_parts
from proxy.operations.types import Buffer, OpenObject, StoredObject

STAMP = make_stamp(1, 0, 1)


class Segments:
    """Objects by name, served whole or as streams of 3 bytes."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.opened: list[str] = []

    async def open(self, path: ObjectPath) -> OpenObject:
        if path.name not in self.contents:
            raise NoSuchObject(path.name)
        self.opened.append(path.name)
        data = self.contents[path.name]
        record = ObjectRecord("a", "c", path.name, len(data), f"etag-{path.name}", "t")

        async def read(offset: int, length: int) -> AsyncIterator[Buffer]:
            for at in range(offset, offset + length, 3):
                yield data[at : min(at + 3, offset + length)]

        small = data if len(data) < 5 else None
        return OpenObject(StoredObject(path, record, STAMP, STAMP, {}), small, read)


async def gather(segments: Segments, parts: list[Part], offset: int, length: int) -> bytes:
    return b"".join([bytes(chunk) async for chunk in read_parts(segments.open, parts, offset, length)])


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=5), st.data())
def test_any_span_of_the_joined_parts_is_right(contents: list[bytes], data: st.DataObject) -> None:
    segments = Segments({str(index): content for index, content in enumerate(contents)})
    parts, whole = [], b""
    for index, content in enumerate(contents):
        start = data.draw(st.integers(0, len(content) - 1))
        used = content[start:]
        inline = content if data.draw(st.booleans()) else b""
        parts.append(
            Part(index + 1, "a", "c", str(index), f"etag-{index}", len(used), start, len(content), inline)
        )
        whole += used
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    assert asyncio.run(gather(segments, parts, offset, length)) == whole[offset : offset + length]


def test_parts_outside_the_span_are_not_opened() -> None:
    segments = Segments({"0": b"aaaa", "1": b"bbbb", "2": b"cccc"})
    parts = [Part(n + 1, "a", "c", str(n), f"etag-{n}", 4, 0, 4) for n in range(3)]
    assert asyncio.run(gather(segments, parts, 4, 4)) == b"bbbb"
    assert segments.opened == ["1"]


def test_a_part_that_is_gone_ends_the_read_with_an_error() -> None:
    parts = [Part(1, "a", "c", "0", "etag-0", 4, 0, 4)]
    with pytest.raises(CorruptRecord, match="part 1"):
        asyncio.run(gather(Segments({}), parts, 0, 4))


def test_a_part_that_was_overwritten_is_not_served_in_its_place() -> None:
    parts = [Part(1, "a", "c", "0", "another", 4, 0, 4)]
    with pytest.raises(CorruptRecord, match="overwritten"):
        asyncio.run(gather(Segments({"0": b"aaaa"}), parts, 0, 4))
