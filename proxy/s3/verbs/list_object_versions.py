"""ListObjectVersions."""

from __future__ import annotations

from model.names import ContainerPath, decode_name
from model.stamp import stamp_ms
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.operations.types import VersionPage, VersionQuery
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.errors import invalid_argument
from proxy.s3.listing import Show, Wanted, describe_row, head, named, read_wanted
from proxy.s3.names import check_listing_name
from proxy.s3.versions import check_version_id


async def list_object_versions(call: Call) -> Response:
    """List the versions and delete markers of a bucket, the newest of each key first."""
    path = await enter(call, Permission.READ)
    query = call.query
    wanted = read_wanted(call)
    marker = check_listing_name("key-marker", query.get("key-marker", ""))
    version_marker = query.get("version-id-marker") or None
    if version_marker is not None:
        if "key-marker" in query:
            check_version_id("version-id-marker", version_marker)
        if not marker:
            raise invalid_argument(
                "version-id-marker",
                version_marker,
                "A version-id marker cannot be specified without a key marker.",
            )
    page = await _fetch(call, path, wanted, (marker, version_marker))
    container = await call.colony.container(path)
    owner = (await call.named_owner(container.record.owner)).xml()
    inner = head(call, wanted) + named("KeyMarker", query.get("key-marker", ""), wanted)
    inner += xml_write.tag("VersionIdMarker", version_marker or "")
    if page.truncated:
        inner += named("NextKeyMarker", decode_name(page.next_key), wanted)
        if page.next_version is not None:
            inner += xml_write.tag("NextVersionIdMarker", page.next_version)
    inner += f"<MaxKeys>{wanted.keys_max}</MaxKeys>" + xml_write.flag("IsTruncated", holds=page.truncated)
    return xml(xml_write.root("ListVersionsResult", inner + _items(page, wanted.show, owner)))


async def _fetch(
    call: Call, path: ContainerPath, wanted: Wanted, after: tuple[bytes, str | None]
) -> VersionPage:
    if wanted.keys_max == 0:
        await call.colony.container(path, fresh=True)
        return VersionPage(())
    query = VersionQuery(wanted.prefix, wanted.delimiter, *after, limit=wanted.keys_max)
    page = await call.colony.list_versions(path, query)
    # An empty page is also what a bucket that has just gone gives; one with keys proves that it lives.
    await call.colony.container(path, fresh=not page.items)
    return page


def _items(page: VersionPage, show: Show, owner: str) -> str:
    versions, prefixes = [], []
    for item in page.items:
        if isinstance(item, str):
            prefixes.append(show(item))
            continue
        row = item.row
        inner = (
            f"<Key>{show(row.name)}</Key><VersionId>{item.version_id}</VersionId>"
            + xml_write.flag("IsLatest", holds=item.is_latest)
            + f"<LastModified>{iso_millis(stamp_ms(row.stamp))}</LastModified>"
        )
        if item.is_marker:
            versions.append(f"<DeleteMarker>{inner}{owner}</DeleteMarker>")
        else:
            versions.append(
                f"<Version>{inner}<ETag>&quot;{row.etag}&quot;</ETag><Size>{row.size}</Size>{owner}"
                f"{describe_row(row)}</Version>"
            )
    return "".join(versions) + xml_write.common_prefixes(prefixes)
