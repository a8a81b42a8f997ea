"""GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from model.objects import ObjectRecord
from proxy.dates import http_date
from proxy.http.messages import Response
from proxy.s3 import metadata, xml_write
from proxy.s3.call import Call, xml
from proxy.s3.conditional import answer_read
from proxy.s3.errors import invalid_argument
from proxy.s3.verbs.head_object import find_readable
from proxy.s3.versions import show_version

_HEADER: Final = "x-amz-object-attributes"
_ATTRIBUTES: Final = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


async def get_object_attributes(call: Call) -> Response:
    """Tell of an object what the request names: ETag, checksum, parts, storage class, size."""
    wanted = _wanted(call)
    stored = await find_readable(call)
    unchanged = answer_read(call.request.headers, stored)
    if unchanged is not None:
        return unchanged
    record = stored.record
    inner = ""
    if "ETag" in wanted:
        inner += xml_write.tag("ETag", record.etag)
    chosen = metadata.chosen_checksum(record.checksums)
    if "Checksum" in wanted and chosen is not None:
        name, value, kind = chosen
        inner += f"<Checksum>{xml_write.checksum_tags({name: value, 'Type': kind})}</Checksum>"
    if "ObjectParts" in wanted and metadata.parts_count(record):
        inner += _parts(call, record)
    if "StorageClass" in wanted:
        inner += xml_write.tag("StorageClass", record.headers.get(metadata.STORAGE_CLASS, "STANDARD"))
    if "ObjectSize" in wanted:
        inner += f"<ObjectSize>{record.size}</ObjectSize>"
    headers = [("Last-Modified", http_date(stored.modified_ms // 1000)), *show_version(stored)]
    return xml(xml_write.root("GetObjectAttributesResponse", inner), headers=headers)


def _wanted(call: Call) -> Sequence[str]:
    text = call.request.headers.get(_HEADER)
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if not wanted or not _ATTRIBUTES.issuperset(wanted):
        raise invalid_argument(_HEADER, text, "Invalid attribute name specified.")
    return wanted


def _parts(call: Call, record: ObjectRecord) -> str:
    """Return a page of the parts, with their checksums where the whole has one."""
    headers, limit = call.request.headers, call.settings.page_keys_max
    sizes = {name: headers.get(name) for name in ("x-amz-max-parts", "x-amz-part-number-marker")}
    for name, text in sizes.items():
        if text and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise invalid_argument(name, text, f"Provided {name} not an integer or within integer range")
    page_max = min(int(sizes["x-amz-max-parts"] or limit), limit)
    after = int(sizes["x-amz-part-number-marker"] or 0)
    following = [part for part in record.parts if part.number > after]
    page = following[:page_max]
    chosen = metadata.chosen_checksum(record.checksums)
    shown = "".join(
        [
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            + (xml_write.checksum_tags({chosen[0]: part.checksum}) if chosen and part.checksum else "")
            + "</Part>"
            for part in page
        ]
    )
    return (
        f"<ObjectParts><PartsCount>{len(record.parts)}</PartsCount>"
        f"<PartNumberMarker>{after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{page[-1].number if page else 0}</NextPartNumberMarker>"
        f"<MaxParts>{page_max}</MaxParts>"
        + xml_write.flag("IsTruncated", holds=len(following) > len(page))
        + shown
        + "</ObjectParts>"
    )
