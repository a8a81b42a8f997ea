"""DELETE of an object; of a static large object with its segments where asked."""

from __future__ import annotations

from model.errors import NoSuchObject
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import HTML
from proxy.swift.large.deletion import delete_with_segments


async def delete_object(call: Call) -> Response:
    """Delete the object; 404 where there is none."""
    path = call.route.object_path
    await authorize(call, path.parent, Access.WRITE)
    if call.parameters.get("multipart-manifest") == "delete":
        return await delete_with_segments(call)
    if await call.colony.delete_object(path) is None:
        raise NoSuchObject(path.name)
    return Response(204, [("Content-Type", HTML)])
