"""GetObject."""

from __future__ import annotations

from model.errors import NoSuchObject, NoSuchVersion
from proxy.http.messages import Response
from proxy.s3 import encryption
from proxy.s3.access import check_object, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.call import Call
from proxy.s3.expiration import show_expiration
from proxy.s3.segments import check_segments
from proxy.s3.verbs.head_object import describe
from proxy.s3.versions import absent, wanted_version


async def get_object(call: Call) -> Response:
    """Send an object, or a range or part of it."""
    path, guard = await enter_to_read(call)
    version = wanted_version(call)
    headers = call.request.headers
    encryption.refuse_on_read(headers)
    key = encryption.customer_key(call, headers)
    try:
        opened = await call.colony.open_object(call.object(path), version=version, customer_key=key)
    except (NoSuchObject, NoSuchVersion) as error:
        raise await absent(call, path, guard, error) from None
    stored = opened.stored
    await check_object(call, guard, stored, Permission.READ)
    await check_segments(call, stored)
    if opened.locked is not None:
        raise opened.locked
    span, response = describe(call, stored)
    if response.status == 304:
        return response
    response.headers += await show_expiration(call, stored)
    offset, length = (0, stored.record.size) if span is None else (span.offset, span.length)
    response.length = length
    if opened.data is not None:
        response.body = opened.data if span is None else memoryview(opened.data)[offset : offset + length]
    elif length:
        response.body = opened.read(offset, length)
    return response
