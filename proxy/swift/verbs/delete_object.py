"""DELETE of an object; of a static large object with its segments where asked."""

from __future__ import annotations

from model.containers import Versioning
from model.errors import NoSuchObject, PreconditionFailed
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.operations.types import Precondition, StoredObject
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import HTML, refused_plainly
from proxy.swift.large.deletion import delete_with_segments


async def delete_object(call: Call) -> Response:
    """Delete the object; 404 where there is none."""
    path = call.route.object_path
    await authorize(call, path, Access.WRITE)
    if call.parameters.get("multipart-manifest") == "delete":
        return await delete_with_segments(call)
    precondition = _expiry_precondition(call)
    container = await call.colony.container(path.parent)
    if container.versioning is not Versioning.OFF:
        # There a marker would be made whether the object is there or not.
        precondition = _there_and(precondition)
    deleted = await call.colony.delete_object(path, precondition=precondition)
    if deleted.stored is None and not deleted.is_marker:
        raise NoSuchObject(path.name)
    return Response(204, [("Content-Type", HTML)])


def _there_and(precondition: Precondition | None) -> Precondition:
    def there(stored: StoredObject | None) -> None:
        if stored is None or stored.is_marker:
            raise NoSuchObject("there is no such object")
        if precondition is not None:
            precondition(stored)

    return there


def _expiry_precondition(call: Call) -> Precondition | None:
    """Return that the object must still expire when X-If-Delete-At says, so that no newer one is deleted."""
    text = call.headers.get("x-if-delete-at")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise refused_plainly(400, "Bad X-If-Delete-At header value")
    delete_at_s = int(text)

    def unchanged(stored: StoredObject | None) -> None:
        if stored is not None and stored.record.delete_at != delete_at_s:
            raise PreconditionFailed("the object expires at another time")

    return unchanged
