"""DeleteBucket."""

from __future__ import annotations

import asyncio
from typing import Final

from model.listing import Query
from model.names import ContainerPath, decode_name, uploads_of
from proxy.http.messages import Response
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.multipart import end_upload

_PAGE_ROWS: Final = 1000
_AT_ONCE: Final = 32


async def delete_bucket(call: Call) -> Response:
    """Delete an empty bucket, with its unfinished uploads, and free its name."""
    path = await enter_as_owner(call)
    await call.colony.delete_container(path)
    await call.services.buckets.release(path.container)
    await _end_uploads(call, path)
    return empty(204)


async def _end_uploads(call: Call, path: ContainerPath) -> None:
    marker = b""
    while True:
        page = await call.colony.list_objects(uploads_of(path), Query(marker=marker, limit=_PAGE_ROWS))
        for start in range(0, len(page.items), _AT_ONCE):
            some = page.items[start : start + _AT_ONCE]
            await asyncio.gather(*(end_upload(call, path, decode_name(name)) for name, _ in some))
        if not page.truncated:
            return
        marker = page.next_marker
