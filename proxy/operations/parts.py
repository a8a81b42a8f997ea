"""Reading an object that is made of others, in order, the next part opened while one is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from model.errors import CorruptRecord, NoSuchObject
from model.names import ObjectPath
from model.objects import Part
from proxy.operations.types import Buffer, OpenObject

OpenPart = Callable[[ObjectPath], Awaitable[OpenObject]]


def spans(parts: Sequence[Part], offset: int, length: int) -> Iterator[tuple[Part, int, int]]:
    """Yield each part that a span of the whole touches, with the offset and length inside the part."""
    end = offset + length
    at = 0
    for part in parts:
        first, last = max(offset, at), min(end, at + part.size)
        if first < last:
            yield part, first - at, last - first
        at += part.size
        if at >= end:
            return


async def read_parts(
    open_part: OpenPart, parts: Sequence[Part], offset: int, length: int
) -> AsyncIterator[Buffer]:
    """Yield a span of the bytes that the parts make together.

    Raises CorruptRecord where a part is missing or is not the one the manifest names.
    """
    wanted = list(spans(parts, offset, length))
    following: asyncio.Task[OpenObject | None] | None = None
    try:
        for index, (part, start, count) in enumerate(wanted):
            opened = await (following or asyncio.ensure_future(_open(open_part, part)))
            following = None
            if index + 1 < len(wanted):
                following = asyncio.ensure_future(_open(open_part, wanted[index + 1][0]))
            if opened is None:
                yield part.inline[part.offset + start : part.offset + start + count]
            elif opened.data is not None:
                yield memoryview(opened.data)[part.offset + start : part.offset + start + count]
            else:
                async for chunk in opened.read(part.offset + start, count):
                    yield chunk
    finally:
        if following is not None:
            following.cancel()


async def _open(open_part: OpenPart, part: Part) -> OpenObject | None:
    if part.inline:
        return None
    path = ObjectPath(part.account, part.container, part.name)
    try:
        opened = await open_part(path)
    except NoSuchObject as error:
        raise CorruptRecord(f"part {part.number} of the object is gone") from error
    if part.etag and opened.stored.record.etag != part.etag:
        raise CorruptRecord(f"part {part.number} of the object has been overwritten")
    return opened
