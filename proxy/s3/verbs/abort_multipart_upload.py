"""AbortMultipartUpload."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty
from proxy.s3.multipart import end_upload, find_upload, upload_name


async def abort_multipart_upload(call: Call) -> Response:
    """Forget an upload, and thereby its parts."""
    path = await enter(call, Permission.WRITE)
    upload = await find_upload(call, path)
    await end_upload(call, path, upload_name(call.key, upload.id))
    return empty(204)
