"""Dynamic large objects: an object that stands for all objects whose names start with a prefix."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import unquote

from model.listing import Listed, Query, unpack_listed
from model.names import HIDDEN, ContainerPath, encode_name
from model.objects import ObjectRecord, Part
from proxy.auth.acl import Access
from proxy.http.messages import Buffer
from proxy.operations.parts import read_parts
from proxy.operations.types import StoredObject
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import Refused
from proxy.swift.reading import Readable

DYNAMIC_HEADER: Final = "x-object-manifest"


def is_dynamic(record: ObjectRecord) -> bool:
    """Return whether an object stands for others by a prefix."""
    return DYNAMIC_HEADER in record.headers


async def dynamic_readable(call: Call, stored: StoredObject, *, reads: bool) -> Readable:
    """Return the bytes of the segments as they are now. Raises Refused, NoSuchContainer."""
    named = unquote(stored.record.headers[DYNAMIC_HEADER], errors="surrogateescape")
    container, _, prefix = named.partition("/")
    if HIDDEN in container:
        raise Refused(409)
    path = ContainerPath(stored.path.account, container)
    await authorize(call, path, Access.LIST)
    await authorize(call, path, Access.READ_OBJECT)
    await call.colony.container(path)
    rows = await list_segments(call, path, encode_name(prefix))
    etag = hashlib.md5("".join(row.etag for row in rows).encode(), usedforsecurity=False).hexdigest()
    size = sum(row.size for row in rows)
    parts = _parts(path, rows)

    def read(offset: int, length: int) -> AsyncIterator[Buffer]:
        return read_parts(call.colony.open_object, parts, offset, length)

    shown = f'"{etag}"'
    return Readable(stored, size, etag, shown, read if reads else None, joined=True, one_range_only=True)


async def list_segments(call: Call, path: ContainerPath, prefix: bytes) -> list[Listed]:
    """Return the rows of all segments in order. Raises Refused where they are too many."""
    rows: list[Listed] = []
    marker = b""
    while True:
        query = Query(prefix=prefix, marker=marker, limit=call.limits.container_listing_limit)
        page = await call.colony.list_objects(path, query)
        rows += map(unpack_listed, page.items)
        if not page.truncated:
            return rows
        if len(rows) >= call.limits.dynamic_segments_max:
            raise Refused(409, "The manifest's prefix fits too many segments")
        marker = page.next_marker


def _parts(path: ContainerPath, rows: Sequence[Listed]) -> tuple[Part, ...]:
    """Return the segments as parts, without ETags: whatever bears the prefix is a segment."""
    return tuple(
        Part(number, path.account, path.container, row.name, "", row.size, 0, row.size)
        for number, row in enumerate(rows, start=1)
    )
