"""DeleteObject."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty
from proxy.s3.conditional import of_delete
from proxy.s3.locks import both, guard_deletion
from proxy.s3.names import check_key
from proxy.s3.versions import DELETE_MARKER, VERSION_ID, wanted_version


async def delete_object(call: Call) -> Response:
    """Delete an object, or one version of it; to delete what is not there succeeds too."""
    check_key(call.key)
    path = await enter(call, Permission.WRITE)
    version = wanted_version(call)
    precondition = of_delete(call.request.headers)
    if version is not None:
        container = await call.colony.container(path, fresh=True)
        precondition = both(precondition, await guard_deletion(call, container, call.key))
    deleted = await call.colony.delete_object(call.object(path), version=version, precondition=precondition)
    if deleted.stored is None and not deleted.is_marker:
        await call.colony.container(path)
    shown = [(DELETE_MARKER, "true")] if deleted.is_marker else []
    if deleted.version_id is not None:
        shown.append((VERSION_ID, deleted.version_id))
    return empty(204, shown)
