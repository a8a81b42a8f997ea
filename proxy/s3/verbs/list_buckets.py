"""ListBuckets."""

from __future__ import annotations

from typing import Final

from model.errors import NoSuchAccount
from model.listing import Query, unpack_listed
from model.stamp import stamp_ms
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.call import Call, xml
from proxy.s3.errors import invalid_argument
from proxy.s3.listing import make_token, read_token
from proxy.s3.names import check_listing_name, is_bucket_name

BUCKETS_MAX: Final = 10_000


async def list_buckets(call: Call) -> Response:
    """List the asker's account: its buckets, and Swift containers whose names could be buckets."""
    user = call.user
    if user is None or not user.owns(user.account):
        # Who is nobody has no buckets, and who does not own its account has none of its own.
        return xml(_document(call, "", ""))
    wanted = call.number("max-buckets", BUCKETS_MAX, limit=BUCKETS_MAX)
    if wanted < 1:
        raise invalid_argument("max-buckets", call.query["max-buckets"], "max-buckets is out of range")
    token = call.query.get("continuation-token", "")
    prefix = check_listing_name("prefix", call.query.get("prefix", ""))
    query = Query(prefix=prefix, marker=read_token(token) if token else b"", limit=wanted)
    try:
        page, _ = await call.colony.list_containers(user.account, query)
    except NoSuchAccount:
        return xml(_document(call, "", ""))
    buckets = []
    for item in page.items:
        listed = unpack_listed(item)
        if is_bucket_name(listed.name):
            buckets.append(xml_write.bucket(listed.name, iso_millis(stamp_ms(listed.stamp))))
    token = make_token(page.next_marker) if page.truncated else ""
    return xml(_document(call, "".join(buckets), token))


def _document(call: Call, buckets: str, token: str) -> bytes:
    inner = f"{call.show_owner(call.owner).xml()}<Buckets>{buckets}</Buckets>"
    if token:
        inner += xml_write.tag("ContinuationToken", token)
    if call.query.get("prefix"):
        inner += xml_write.tag("Prefix", call.query["prefix"])
    return xml_write.root("ListAllMyBucketsResult", inner)
