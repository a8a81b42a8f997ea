"""ListMultipartUploads."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.listing import Listed, Query, unpack_listed
from model.names import ContainerPath, encode_name, uploads_of
from model.stamp import stamp_ms
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.listing import Wanted, named, read_wanted
from proxy.s3.multipart import ALGORITHM, TYPE, split_upload_name
from proxy.s3.names import check_listing_name

_AFTER_ALL_UPLOADS = b"\x01"
"""Follows the NUL that separates a key from its uploads."""


@dataclass(slots=True)
class _Page:
    """Uploads and common prefixes in one order, and the last key and upload among them."""

    uploads: list[tuple[str, str, Listed]] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: tuple[str, str] = ("", "")

    @property
    def count(self) -> int:
        return len(self.uploads) + len(self.prefixes)


async def list_multipart_uploads(call: Call) -> Response:
    """List the uploads in progress in a bucket, by key and then by upload."""
    path = await enter(call, Permission.READ)
    wanted = read_wanted(call, size_name="max-uploads")
    await call.colony.container(path)
    key_marker, upload_marker = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
    page = await _gather(call, path, wanted)
    inner = (
        xml_write.tag("Bucket", call.bucket)
        + named("KeyMarker", key_marker, wanted)
        + xml_write.tag("UploadIdMarker", upload_marker)
        + named("Prefix", call.query.get("prefix", ""), wanted)
    )
    if wanted.delimiter:
        inner += named("Delimiter", call.query["delimiter"], wanted)
    if page.truncated:
        inner += named("NextKeyMarker", page.last[0], wanted)
        inner += xml_write.tag("NextUploadIdMarker", page.last[1])
    if wanted.encoding:
        inner += "<EncodingType>url</EncodingType>"
    inner += f"<MaxUploads>{wanted.keys_max}</MaxUploads>" + xml_write.flag(
        "IsTruncated", holds=page.truncated
    )
    uploads = "".join([await _upload(call, wanted, *upload) for upload in page.uploads])
    prefixes = xml_write.common_prefixes([wanted.show(prefix) for prefix in page.prefixes])
    return xml(xml_write.root("ListMultipartUploadsResult", inner + uploads + prefixes))


async def _gather(call: Call, path: ContainerPath, wanted: Wanted) -> _Page:
    """Collect one page. Prefixes are rolled up here: upload ids must not take part in it."""
    page = _Page()
    marker, inclusive = _start(call)
    if not wanted.keys_max:
        return page
    while True:
        query = Query(
            prefix=wanted.prefix,
            marker=marker,
            inclusive_marker=inclusive,
            limit=call.settings.page_keys_max,
        )
        rows = await call.colony.list_objects(uploads_of(path), query)
        for item in rows.items:
            if not _take(page, unpack_listed(item), wanted, call.query.get("key-marker", "")):
                return page
        if not rows.truncated:
            return page
        marker, inclusive = rows.next_marker, False


def _take(page: _Page, row: Listed, wanted: Wanted, key_marker: str) -> bool:
    """Add an upload or its common prefix; say whether the page had room."""
    key, upload_id = split_upload_name(row.name)
    prefix, delimiter = wanted.prefix.decode(), wanted.delimiter.decode()
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    common = key[: at + len(delimiter)] if at >= 0 else ""
    if common and (common == key_marker or (page.prefixes and page.prefixes[-1] == common)):
        return True
    if page.count == wanted.keys_max:
        page.truncated = True
        return False
    if common:
        page.prefixes.append(common)
        page.last = (common, "")
    else:
        page.uploads.append((key, upload_id, row))
        page.last = (key, upload_id)
    return True


def _start(call: Call) -> tuple[bytes, bool]:
    """Return the name to start from, and whether itself counts."""
    key = check_listing_name("key-marker", call.query.get("key-marker", ""))
    upload_id = call.query.get("upload-id-marker", "")
    if not key:
        return b"", False
    if upload_id:
        return key + b"\0" + encode_name(upload_id), False
    return key + _AFTER_ALL_UPLOADS, True


async def _upload(call: Call, wanted: Wanted, key: str, upload_id: str, row: Listed) -> str:
    owner = await call.named_owner(row.extra.get("owner", ""))
    inner = named("Key", key, wanted) + xml_write.tag("UploadId", upload_id)
    inner += owner.xml("Initiator") + owner.xml() + "<StorageClass>STANDARD</StorageClass>"
    inner += f"<Initiated>{iso_millis(stamp_ms(row.stamp))}</Initiated>"
    if ALGORITHM in row.extra:
        inner += xml_write.tag("ChecksumAlgorithm", row.extra[ALGORITHM])
        inner += xml_write.tag("ChecksumType", row.extra[TYPE])
    return f"<Upload>{inner}</Upload>"
