"""POST of a container: change its metadata and ACLs."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.swift.access import check_acls, require_owner
from proxy.swift.call import Call
from proxy.swift.container_headers import container_changes
from proxy.swift.errors import HTML
from proxy.swift.metadata import check_total, metadata_of


async def post_container(call: Call) -> Response:
    """Set and remove settings of the container."""
    require_owner(call)
    path = call.route.container_path
    changes = container_changes(call.headers, call.limits, by_owner=True)
    container = await call.colony.container(path, fresh=True)
    await check_acls(call, container, changes)
    check_total(metadata_of(container.settings), metadata_of(changes), call.limits)
    if changes:
        await call.colony.set_container(path, changes)
    return Response(204, [("Content-Type", HTML)])
