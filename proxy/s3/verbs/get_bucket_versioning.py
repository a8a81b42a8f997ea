"""GetBucketVersioning."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, xml


async def get_bucket_versioning(call: Call) -> Response:
    """Show whether versioning is enabled or suspended; of a bucket that never had it nothing is said."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    status = container.versioning.value.decode()
    inner = xml_write.tag("Status", status) if status else ""
    return xml(xml_write.root("VersioningConfiguration", inner))
