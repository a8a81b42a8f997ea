"""PutBucketNotificationConfiguration: one that notifies nobody is accepted, since nobody is notified."""

from __future__ import annotations

from typing import Final

from proxy.http.messages import Response
from proxy.s3 import xml_read
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.upload import read_whole
from proxy.s3.verbs.unconfigured import not_implemented

_BODY_BYTES_MAX: Final = 64 * 1024


async def put_bucket_notification_configuration(call: Call) -> Response:
    """Accept an empty configuration; refuse any other by name."""
    path = await enter_as_owner(call)
    configuration = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "NotificationConfiguration")
    if any(True for _ in configuration.children()):
        return await not_implemented(call)
    await call.colony.container(path)
    return empty(200)
