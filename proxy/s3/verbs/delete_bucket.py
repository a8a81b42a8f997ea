"""DeleteBucket."""

from __future__ import annotations

from model.listing import Query
from model.names import decode_name, uploads_of
from proxy.http.messages import Response
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.multipart import drop_upload


async def delete_bucket(call: Call) -> Response:
    """Delete an empty bucket, with its unfinished uploads, and free its name."""
    path = await enter_as_owner(call)
    await call.colony.delete_container(path)
    await call.services.buckets.release(path.container)
    page = await call.colony.list_objects(uploads_of(path), Query(limit=1000))
    for name, _ in page.items:
        await drop_upload(call, path, decode_name(name))
    return empty(204)
