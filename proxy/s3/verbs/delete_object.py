"""DeleteObject."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty
from proxy.s3.conditional import of_delete
from proxy.s3.locks import both, guard_deletion
from proxy.s3.names import check_key
from proxy.s3.verbs.head_object import check_version


async def delete_object(call: Call) -> Response:
    """Delete an object; to delete what is not there succeeds too."""
    check_key(call.key)
    path = await enter(call, Permission.WRITE)
    check_version(call)
    precondition = of_delete(call.request.headers)
    if "versionId" in call.query:
        container = await call.colony.container(path, fresh=True)
        precondition = both(precondition, await guard_deletion(call, container, call.key))
    deleted = await call.colony.delete_object(call.object(path), precondition=precondition)
    if deleted.stored is None:
        await call.colony.container(path)
    return empty(204)
