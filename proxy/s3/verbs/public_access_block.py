"""PutPublicAccessBlock, GetPublicAccessBlock and DeletePublicAccessBlock."""

from __future__ import annotations

from typing import Final

from model.containers import PUBLIC_ACCESS_BLOCK
from proxy.auth.public_access import PublicAccessBlock, pack_block, unpack_block
from proxy.http.messages import Response
from proxy.s3 import xml_read, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024
_SWITCHES: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_FLAGS: Final = {"true": True, "false": False}


async def put_public_access_block(call: Call) -> Response:
    """Set what of public access a bucket blocks; a switch that is not named is off."""
    path = await enter_as_owner(call)
    document = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "PublicAccessBlockConfiguration")
    values = [_FLAGS.get(document.value(name, "false").lower()) for name in _SWITCHES]
    if any(value is None for value in values):
        raise S3Error("MalformedXML")
    block = PublicAccessBlock(*map(bool, values))
    await call.colony.set_container(path, {PUBLIC_ACCESS_BLOCK: pack_block(block)})
    return empty(200)


async def get_public_access_block(call: Call) -> Response:
    """Show what of public access a bucket blocks."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    packed = container.settings.get(PUBLIC_ACCESS_BLOCK)
    if not packed:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", details={"BucketName": path.container})
    block = unpack_block(packed)
    values = (block.block_acls, block.ignore_acls, block.block_policy, block.restrict_buckets)
    inner = "".join(
        [xml_write.flag(name, holds=value) for name, value in zip(_SWITCHES, values, strict=True)]
    )
    return xml(xml_write.root("PublicAccessBlockConfiguration", inner))


async def delete_public_access_block(call: Call) -> Response:
    """Block nothing any more."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {PUBLIC_ACCESS_BLOCK: b""})
    return empty(204)
