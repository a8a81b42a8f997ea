"""GetObjectTagging, PutObjectTagging and DeleteObjectTagging."""

from __future__ import annotations

from typing import Final

from model.errors import NoSuchObject, NoSuchVersion
from model.objects import TAGS
from proxy.http.messages import Response
from proxy.operations.types import Container, StoredObject
from proxy.s3 import tags, xml_write
from proxy.s3.access import check_object, enter_to_read, tagging_deeds
from proxy.s3.call import Call, empty, xml
from proxy.s3.upload import read_whole
from proxy.s3.versions import absent, show_version, wanted_version

_BODY_BYTES_MAX: Final = 64 * 1024


async def get_object_tagging(call: Call) -> Response:
    """Show the tags of an object. No ACL opens them, as in AWS."""
    stored, guard = await _find(call)
    await check_object(call, guard, stored, None)
    tagging = xml_write.tagging(tags.unpack(stored.sides.get(TAGS, b"")))
    return xml(tagging, headers=show_version(stored))


async def put_object_tagging(call: Call) -> Response:
    """Replace the tags of an object."""
    stored, guard = await _find(call)
    body = await read_whole(call, _BODY_BYTES_MAX)
    # Policies may ask what tags are to be set: who may not, learns no more of a bad body than of a good one.
    await check_object(call, guard, stored, None, deeds=tagging_deeds(call, tags.seen_in(body)))
    packed = tags.pack(tags.from_xml(body))
    await call.colony.set_side(stored.path, TAGS, packed, version=stored.version_id)
    return empty(200, show_version(stored))


async def delete_object_tagging(call: Call) -> Response:
    """Take all tags from an object."""
    stored, guard = await _find(call)
    await check_object(call, guard, stored, None)
    await call.colony.set_side(stored.path, TAGS, b"", version=stored.version_id)
    return empty(204, show_version(stored))


async def _find(call: Call) -> tuple[StoredObject, Container | None]:
    path, guard = await enter_to_read(call)
    version = wanted_version(call)
    try:
        return await call.colony.head_object(call.object(path), version=version), guard
    except (NoSuchObject, NoSuchVersion) as error:
        raise await absent(call, path, guard, error) from None
