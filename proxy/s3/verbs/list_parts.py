"""ListParts."""

from __future__ import annotations

from model.listing import Listed
from model.stamp import stamp_ms
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.errors import S3Error
from proxy.s3.expiration import show_abort
from proxy.s3.multipart import CHECKSUM, Upload, find_upload, list_parts, part_number


async def list_parts_of_upload(call: Call) -> Response:
    """List the parts that an upload has so far."""
    path = await enter(call, Permission.WRITE)
    limit = call.settings.page_keys_max
    wanted = call.number("max-parts", limit, limit=limit)
    after = call.number("part-number-marker", 0, limit=call.settings.parts_max)
    upload = await find_upload(call, path)
    rows: list[Listed] = []
    truncated = False
    if wanted:
        async for row in list_parts(call, path, upload.id, after=after):
            if len(rows) == wanted:
                truncated = True
                break
            rows.append(row)
    if call.user_id is None:
        raise S3Error("AccessDenied")
    owner = await call.named_owner(upload.stored.record.owner)
    inner = (
        xml_write.tag("Bucket", call.bucket)
        + xml_write.tag("Key", call.key)
        + xml_write.tag("UploadId", upload.id)
        + owner.xml("Initiator")
        + owner.xml()
        + "<StorageClass>STANDARD</StorageClass>"
        + f"<PartNumberMarker>{after}</PartNumberMarker>"
        + f"<NextPartNumberMarker>{part_number(rows[-1]) if rows else 0}</NextPartNumberMarker>"
        + f"<MaxParts>{wanted}</MaxParts>"
        + xml_write.flag("IsTruncated", holds=truncated)
    )
    if upload.named:
        inner += xml_write.tag("ChecksumAlgorithm", upload.algorithm)
        inner += xml_write.tag("ChecksumType", upload.type)
    shown = await show_abort(call, path, upload.stored.created_ms)
    document = xml_write.root("ListPartsResult", inner + "".join([_part(row, upload) for row in rows]))
    return xml(document, headers=shown)


def _part(row: Listed, upload: Upload) -> str:
    held = row.extra.get(CHECKSUM, "") if upload.named else ""
    return (
        f"<Part><PartNumber>{part_number(row)}</PartNumber>"
        f"<LastModified>{iso_millis(stamp_ms(row.stamp))}</LastModified>"
        f"<ETag>&quot;{row.etag}&quot;</ETag><Size>{row.size}</Size>"
        + (xml_write.checksum_tags({upload.algorithm: held}) if held else "")
        + "</Part>"
    )
