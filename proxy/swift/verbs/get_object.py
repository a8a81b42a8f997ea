"""GET and HEAD of an object, whether its bytes are its own or those of segments."""

from __future__ import annotations

from model.errors import Absent
from model.objects import Manifest
from proxy.auth.acl import Access
from proxy.conditions import ANY, read_conditions
from proxy.http.messages import Response
from proxy.swift.access import authorize, heed_tags
from proxy.swift.call import Call
from proxy.swift.errors import Refused
from proxy.swift.large.static_reading import manifest_response, part_response
from proxy.swift.reading import answer
from proxy.swift.resolve import MANIFEST, resolve_readable


async def get_object(call: Call) -> Response:
    """Answer with the object's bytes; for HEAD, with their headers."""
    path = call.route.object_path
    await authorize(call, path, Access.READ_OBJECT)
    method = call.request.method
    opened = None
    try:
        if method == "HEAD":
            stored = await call.colony.head_object(path)
        else:
            opened = await call.colony.open_object(path)
            stored = opened.stored
    except Absent as error:
        if ANY in read_conditions(call.headers).if_match:
            raise Refused(412) from error
        raise
    await heed_tags(call, stored)
    if stored.record.manifest is Manifest.STATIC and call.parameters:
        if call.parameters.get(MANIFEST) == "get":
            return manifest_response(call, stored)
        if "part-number" in call.parameters:
            return await part_response(call, stored, opened)
    readable = await resolve_readable(call, stored, opened)
    return await answer(readable, call.headers, method)
