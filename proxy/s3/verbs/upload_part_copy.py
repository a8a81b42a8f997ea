"""UploadPartCopy."""

from __future__ import annotations

from dataclasses import replace

from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import encryption, xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.copying import body_of, open_source, read_source, read_span, show_source_version
from proxy.s3.multipart import find_upload, part_path, part_seal, read_part_number
from proxy.s3.verbs.upload_part import new_part


async def upload_part_copy(call: Call) -> Response:
    """Store a part whose bytes are those of an object, or of a range of one."""
    number = read_part_number(call)
    path = await enter(call, Permission.WRITE)
    source = read_source(call.request.headers["x-amz-copy-source"])
    upload = await find_upload(call, path)
    seal = await part_seal(call, path, upload)
    opened = await open_source(call, source)
    body = body_of(opened, read_span(call, opened))
    new = replace(new_part(call, upload, (), None), seal=seal)
    stored = await call.colony.put_object(part_path(path, call.key, upload.id, number), new, body)
    shown = {upload.algorithm: stored.record.checksums[upload.algorithm]} if upload.named else {}
    return xml(
        xml_write.copied("CopyPartResult", stored.record.etag, iso_millis(stored.modified_ms), shown),
        headers=encryption.show(call.request.headers, stored.record.extra) + show_source_version(opened),
    )
