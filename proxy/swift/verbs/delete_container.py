"""DELETE of a container, which must be empty."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.swift.access import heed_policy, require_owner
from proxy.swift.call import Call
from proxy.swift.errors import HTML
from proxy.swift.policy import DELETE_CONTAINER


async def delete_container(call: Call) -> Response:
    """Delete the container; 409 while it holds objects."""
    require_owner(call)
    await heed_policy(call, DELETE_CONTAINER)
    await call.colony.delete_container(call.route.container_path)
    return Response(204, [("Content-Type", HTML)])
