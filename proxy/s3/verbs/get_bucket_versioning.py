"""GetBucketVersioning."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, xml


async def get_bucket_versioning(call: Call) -> Response:
    """Say that versioning was never enabled: an empty configuration."""
    path = await enter_as_owner(call)
    await call.colony.container(path)
    return xml(xml_write.root("VersioningConfiguration", ""))
