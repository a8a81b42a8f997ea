"""GetBucketLocation."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, xml


async def get_bucket_location(call: Call) -> Response:
    """Name the region of a bucket; us-east-1 has an empty name, as in AWS."""
    path = await enter_as_owner(call)
    await call.colony.container(path)
    region = call.settings.region
    return xml(
        xml_write.root("LocationConstraint", "" if region == "us-east-1" else xml_write.escape(region))
    )
