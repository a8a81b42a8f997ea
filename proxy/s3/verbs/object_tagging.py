"""GetObjectTagging, PutObjectTagging and DeleteObjectTagging."""

from __future__ import annotations

from typing import Final

from model.errors import NoSuchObject
from model.objects import TAGS
from proxy.http.messages import Response
from proxy.operations.types import StoredObject
from proxy.s3 import tags, xml_write
from proxy.s3.access import enter, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole
from proxy.s3.verbs.head_object import absent, check_version

_BODY_BYTES_MAX: Final = 64 * 1024


async def get_object_tagging(call: Call) -> Response:
    """Show the tags of an object, to owners of the bucket's account."""
    stored = await _find(call)
    return xml(xml_write.tagging(tags.unpack(stored.sides.get(TAGS, b""))))


async def put_object_tagging(call: Call) -> Response:
    """Replace the tags of an object."""
    await enter(call, Permission.FULL_CONTROL)
    wanted = tags.from_xml(await read_whole(call, _BODY_BYTES_MAX))
    stored = await _find(call)
    await call.colony.set_side(stored.path, TAGS, tags.pack(wanted))
    return empty(200)


async def delete_object_tagging(call: Call) -> Response:
    """Take all tags from an object."""
    await enter(call, Permission.FULL_CONTROL)
    stored = await _find(call)
    await call.colony.set_side(stored.path, TAGS, b"")
    return empty(204)


async def _find(call: Call) -> StoredObject:
    path, guard = await enter_to_read(call)
    if guard is not None:
        raise S3Error("AccessDenied")
    check_version(call)
    try:
        return await call.colony.head_object(call.object(path))
    except NoSuchObject:
        raise await absent(call, path, guard) from None
