"""PUT of an object: bytes from the client, a manifest of segments, or a copy."""

from __future__ import annotations

from model.names import ObjectPath
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.operations.types import NewObject
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.copying import copy, named_account
from proxy.swift.expiry import requested_expiry
from proxy.swift.large.static_writing import put_static
from proxy.swift.object_headers import requested_type, stated_etag, stored_headers
from proxy.swift.resolve import MANIFEST
from proxy.swift.router import split_object_header
from proxy.swift.writing import (
    check_object_name,
    checked_body,
    created,
    etag_verifier,
    requested_metadata,
    write_precondition,
)


async def put_object(call: Call) -> Response:
    """Store the object."""
    precondition = write_precondition(call.headers)
    path = call.route.object_path
    if call.headers.get("x-copy-from"):
        return await _put_copy(call)
    await authorize(call, path, Access.WRITE)
    check_object_name(path, call.limits)
    if call.parameters.get(MANIFEST) == "put":
        return await put_static(call, precondition)
    body = checked_body(call)
    new = NewObject(
        content_type=requested_type(call.headers, path.name),
        headers=stored_headers(call.headers),
        user=requested_metadata(call),
        delete_at=requested_expiry(call.headers, call.now_s),
        owner=call.user_id,
        verify=etag_verifier(stated_etag(call.headers)),
    )
    stored = await call.colony.put_object(path, new, body, precondition=precondition)
    return created(stored, stored.record.etag)


async def _put_copy(call: Call) -> Response:
    complaint = "X-Copy-From header must be of the form <container name>/<object name>"
    container, name = split_object_header(call.headers["x-copy-from"], complaint)
    account = named_account(call, "x-copy-from-account")
    return await copy(call, ObjectPath(account, container, name), call.route.object_path)
