"""ListObjectsV2."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.listing import fetch_page, head, make_token, named, read_token, read_wanted, rows
from proxy.s3.names import check_listing_name


async def list_objects_v2(call: Call) -> Response:
    """List a bucket from a continuation token or a key on."""
    path = await enter(call, Permission.READ)
    query = call.query
    wanted = read_wanted(call)
    marker = check_listing_name("start-after", query.get("start-after", ""))
    # An empty token is sent by loops that have none at first, and begins the listing.
    if query.get("continuation-token"):
        marker = read_token(query["continuation-token"])
    page = await fetch_page(call, path, wanted, marker)
    owner = ""
    if query.get("fetch-owner", "").lower() == "true":
        container = await call.colony.container(path)
        owner = (await call.named_owner(container.record.owner)).xml()
    contents, prefixes = rows(page, wanted.show, more=owner)
    inner = head(call, wanted) + (
        f"<MaxKeys>{wanted.keys_max}</MaxKeys><KeyCount>{len(page.items)}</KeyCount>"
        + xml_write.flag("IsTruncated", holds=page.truncated)
    )
    if "continuation-token" in query:
        inner += xml_write.tag("ContinuationToken", query["continuation-token"])
    if page.truncated:
        inner += f"<NextContinuationToken>{make_token(page.next_marker)}</NextContinuationToken>"
    if query.get("start-after"):
        inner += named("StartAfter", query["start-after"], wanted)
    return xml(xml_write.root("ListBucketResult", inner + contents + prefixes))
