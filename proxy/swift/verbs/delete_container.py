"""DELETE of a container, which must be empty."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.swift.access import require_owner
from proxy.swift.call import Call
from proxy.swift.errors import HTML


async def delete_container(call: Call) -> Response:
    """Delete the container; 409 while it holds objects."""
    require_owner(call)
    await call.colony.delete_container(call.route.container_path)
    return Response(204, [("Content-Type", HTML)])
