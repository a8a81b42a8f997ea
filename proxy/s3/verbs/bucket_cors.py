"""GetBucketCors, PutBucketCors and DeleteBucketCors."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.s3 import cors
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole


async def get_bucket_cors(call: Call) -> Response:
    """Show the CORS rules of a bucket."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    rules = cors.unpack(container.settings.get(cors.REGISTER, b""))
    if not rules:
        raise S3Error("NoSuchCORSConfiguration", details={"BucketName": call.bucket})
    return xml(cors.to_xml(rules))


async def put_bucket_cors(call: Call) -> Response:
    """Replace the CORS rules of a bucket."""
    path = await enter_as_owner(call)
    rules = cors.from_xml(await read_whole(call, cors.BODY_BYTES_MAX))
    await call.colony.set_container(path, {cors.REGISTER: cors.pack(rules)})
    return empty(200)


async def delete_bucket_cors(call: Call) -> Response:
    """Take all CORS rules from a bucket."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {cors.REGISTER: b""})
    return empty(204)
