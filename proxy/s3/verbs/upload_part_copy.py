"""UploadPartCopy."""

from __future__ import annotations

from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.copying import body_of, open_source, read_source, read_span
from proxy.s3.multipart import find_upload, part_path, read_part_number
from proxy.s3.verbs.upload_part import new_part


async def upload_part_copy(call: Call) -> Response:
    """Store a part whose bytes are those of an object, or of a range of one."""
    number = read_part_number(call)
    path = await enter(call, Permission.WRITE)
    source = read_source(call.request.headers["x-amz-copy-source"])
    upload = await find_upload(call, path)
    opened = await open_source(call, source)
    body = body_of(opened, read_span(call, opened))
    new = new_part(call, upload, (), None)
    stored = await call.colony.put_object(part_path(path, call.key, upload.id, number), new, body)
    shown = {upload.algorithm: stored.record.checksums[upload.algorithm]} if upload.named else {}
    return xml(xml_write.copied("CopyPartResult", stored.record.etag, iso_millis(stored.modified_ms), shown))
