"""ListObjects (version 1)."""

from __future__ import annotations

from model.names import decode_name
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.listing import fetch_page, head, named, read_wanted, rows
from proxy.s3.names import check_listing_name


async def list_objects(call: Call) -> Response:
    """List a bucket from a marker on, each key with its owner."""
    path = await enter(call, Permission.READ)
    wanted = read_wanted(call)
    marker = check_listing_name("marker", call.query.get("marker", ""))
    page = await fetch_page(call, path, wanted, marker)
    container = await call.colony.container(path)
    owner = (await call.named_owner(container.record.owner)).xml()
    contents, prefixes = rows(page, wanted.show, more=owner)
    inner = head(call, wanted) + named("Marker", call.query.get("marker", ""), wanted)
    if page.truncated and wanted.delimiter:
        inner += named("NextMarker", decode_name(page.next_marker), wanted)
    inner += f"<MaxKeys>{wanted.keys_max}</MaxKeys>" + xml_write.flag("IsTruncated", holds=page.truncated)
    return xml(xml_write.root("ListBucketResult", inner + contents + prefixes))
