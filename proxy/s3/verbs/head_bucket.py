"""HeadBucket."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty


async def head_bucket(call: Call) -> Response:
    """Say that a bucket exists and may be listed."""
    path = await enter(call, Permission.READ)
    await call.colony.container(path)
    return empty(200, [("x-amz-bucket-region", call.settings.region), ("Content-Type", "application/xml")])
