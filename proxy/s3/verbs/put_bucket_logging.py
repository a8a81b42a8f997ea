"""PutBucketLogging: what turns logging off is accepted, since it is off."""

from __future__ import annotations

from typing import Final

from proxy.http.messages import Response
from proxy.s3 import xml_read
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.upload import read_whole
from proxy.s3.verbs.unconfigured import not_implemented

_BODY_BYTES_MAX: Final = 64 * 1024


async def put_bucket_logging(call: Call) -> Response:
    """Accept a status without logging; refuse any other by name."""
    path = await enter_as_owner(call)
    status = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "BucketLoggingStatus")
    if any(True for _ in status.children()):
        return await not_implemented(call)
    await call.colony.container(path)
    return empty(200)
