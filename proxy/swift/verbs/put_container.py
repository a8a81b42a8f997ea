"""PUT of a container: make it, or set what the request names of one that exists."""

from __future__ import annotations

from model.containers import TOUCHED
from model.errors import NoSuchContainer
from proxy.http.messages import Response
from proxy.swift.access import check_acls, require_owner
from proxy.swift.call import Call
from proxy.swift.container_headers import check_policy, container_changes
from proxy.swift.errors import HTML, Refused, standard_page
from proxy.swift.metadata import check_total, metadata_of


async def put_container(call: Call) -> Response:
    """Make the container; 202 where it exists."""
    require_owner(call)
    path = call.route.container_path
    name_bytes = len(path.container.encode())
    if name_bytes > call.limits.container_name_bytes_max:
        limit = call.limits.container_name_bytes_max
        raise Refused(400, f"Container name length of {name_bytes} longer than {limit}")
    check_policy(call.headers)
    changes = container_changes(call.headers, call.limits, by_owner=True)
    try:
        container = await call.colony.container(path, fresh=True)
        stored = metadata_of(container.settings)
    except NoSuchContainer:
        stored = {}
    else:
        await check_acls(call, container, changes)
        # A PUT that is accepted moves Last-Modified, whether it changes anything or not.
        changes = changes or {TOUCHED: b""}
    check_total(stored, metadata_of(changes), call.limits)
    if await call.colony.create_container(path, call.user_id, changes):
        return Response(201, [("Content-Type", HTML)])
    return Response(202, [("Content-Type", HTML)], standard_page(202))
