"""OPTIONS: which methods there are. Cross-origin rules of containers are a later feature."""

from __future__ import annotations

from typing import Final

from proxy.http.messages import Response
from proxy.swift.call import Call
from proxy.swift.errors import HTML, Refused
from proxy.swift.router import Kind

_METHODS: Final = {
    Kind.ACCOUNT: "GET, HEAD, OPTIONS, POST, PUT",
    Kind.CONTAINER: "DELETE, GET, HEAD, OPTIONS, POST, PUT",
    Kind.OBJECT: "COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT",
}


async def allow_options(call: Call) -> Response:
    """Answer with the methods of what the path names. Raises Refused for another site's script."""
    if "origin" in call.headers:
        raise Refused(401)
    return Response(200, [("Allow", _METHODS[call.route.kind]), ("Content-Type", HTML)])
