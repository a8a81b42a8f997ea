"""GetBucketTagging, PutBucketTagging and DeleteBucketTagging."""

from __future__ import annotations

from typing import Final

from model.containers import SETTING
from proxy.http.messages import Response
from proxy.s3 import tags, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole

REGISTER: Final = SETTING + "tagging"
_BODY_BYTES_MAX: Final = 256 * 1024


async def get_bucket_tagging(call: Call) -> Response:
    """Show the tags of a bucket."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    held = tags.unpack(container.settings.get(REGISTER, b""))
    if not held:
        raise S3Error("NoSuchTagSet", details={"BucketName": call.bucket})
    return xml(xml_write.tagging(held))


async def put_bucket_tagging(call: Call) -> Response:
    """Replace the tags of a bucket."""
    path = await enter_as_owner(call)
    wanted = tags.from_xml(await read_whole(call, _BODY_BYTES_MAX), count_max=tags.BUCKET_TAGS_MAX)
    await call.colony.set_container(path, {REGISTER: tags.pack(wanted)})
    return empty(204)


async def delete_bucket_tagging(call: Call) -> Response:
    """Take all tags from a bucket."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {REGISTER: b""})
    return empty(204)
