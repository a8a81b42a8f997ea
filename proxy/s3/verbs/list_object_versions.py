"""ListObjectVersions."""

from __future__ import annotations

from model.listing import Page, unpack_listed
from model.names import decode_name
from model.stamp import stamp_ms
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.errors import invalid_argument
from proxy.s3.listing import Show, fetch_page, head, named, read_wanted
from proxy.s3.names import check_listing_name


async def list_object_versions(call: Call) -> Response:
    """List the versions of a bucket without versioning: each key's null version, its latest."""
    path = await enter(call, Permission.READ)
    query = call.query
    wanted = read_wanted(call)
    marker = check_listing_name("key-marker", query.get("key-marker", ""))
    if query.get("version-id-marker") and not marker:
        raise invalid_argument(
            "version-id-marker",
            query["version-id-marker"],
            "A version-id marker cannot be specified without a key marker.",
        )
    page = await fetch_page(call, path, wanted, marker)
    container = await call.colony.container(path)
    owner = call.show_owner(container.record.owner).xml()
    inner = head(call, wanted) + named("KeyMarker", query.get("key-marker", ""), wanted)
    inner += xml_write.tag("VersionIdMarker", query.get("version-id-marker", ""))
    if page.truncated:
        inner += named("NextKeyMarker", decode_name(page.next_marker), wanted)
        inner += "<NextVersionIdMarker>null</NextVersionIdMarker>"
    inner += f"<MaxKeys>{wanted.keys_max}</MaxKeys>" + xml_write.flag("IsTruncated", holds=page.truncated)
    return xml(xml_write.root("ListVersionsResult", inner + _rows(page, wanted.show, owner)))


def _rows(page: Page, show: Show, owner: str) -> str:
    versions, prefixes = [], []
    for item in page.items:
        if not item[1]:
            prefixes.append(show(decode_name(item[0])))
            continue
        row = unpack_listed(item)
        versions.append(
            f"<Version><Key>{show(row.name)}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{iso_millis(stamp_ms(row.stamp))}</LastModified>"
            f"<ETag>&quot;{row.etag}&quot;</ETag><Size>{row.size}</Size>{owner}"
            "<StorageClass>STANDARD</StorageClass></Version>"
        )
    return "".join(versions) + xml_write.common_prefixes(prefixes)
