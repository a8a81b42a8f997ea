"""POST of an object: replace its metadata, leaving its bytes."""

from __future__ import annotations

from model.objects import PostedMetadata
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import HTML, standard_page
from proxy.swift.expiry import requested_expiry
from proxy.swift.metadata import check_headers
from proxy.swift.object_headers import check_type, stored_headers


async def post_object(call: Call) -> Response:
    """Replace the object's metadata as a whole; the content type stays where none is sent."""
    path = call.route.object_path
    await authorize(call, path, Access.WRITE)
    user = check_headers(call.headers, "object", call.limits)
    content_type = call.headers.get("content-type")
    posted = PostedMetadata(
        check_type(content_type) if content_type else None,
        stored_headers(call.headers),
        {name: value for name, value in user.items() if value},
        requested_expiry(call.headers, call.now_s),
    )
    await call.colony.post_object(path, posted)
    return Response(202, [("Content-Type", HTML)], standard_page(202))
