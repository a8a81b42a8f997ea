"""GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration and DeleteBucketLifecycle."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final

from model.lifecycle import LIFECYCLE, pack_rules, unpack_rules
from proxy.http.messages import Response
from proxy.s3 import lifecycle_xml
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 4 << 20
_PACKED_BYTES_MAX: Final = 1 << 20
"""A bucket's settings travel with each look-up of it."""
_SMALLEST: Final = "x-amz-transition-default-minimum-object-size"


async def get_bucket_lifecycle_configuration(call: Call) -> Response:
    """Show the lifecycle rules of a bucket."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    rules = unpack_rules(container.settings.get(LIFECYCLE, b""))
    if rules is None:
        raise S3Error("NoSuchLifecycleConfiguration", details={"BucketName": call.bucket})
    shown = rules.smallest or lifecycle_xml.SMALLEST[0]
    return xml(lifecycle_xml.show(rules), headers=[(_SMALLEST, shown)])


async def put_bucket_lifecycle_configuration(call: Call) -> Response:
    """Replace the lifecycle rules of a bucket."""
    path = await enter_as_owner(call)
    smallest = call.request.headers.get(_SMALLEST)
    if smallest and smallest not in lifecycle_xml.SMALLEST:
        raise invalid_argument(_SMALLEST, smallest, f"Unknown value of {_SMALLEST}")
    rules = lifecycle_xml.read(await read_whole(call, _BODY_BYTES_MAX), _new_id)
    packed = pack_rules(replace(rules, smallest=smallest))
    if len(packed) > _PACKED_BYTES_MAX:
        raise S3Error("InvalidRequest", "The lifecycle configuration is too large")
    await call.colony.set_container(path, {LIFECYCLE: packed})
    return empty(200, [(_SMALLEST, smallest or lifecycle_xml.SMALLEST[0])])


async def delete_bucket_lifecycle(call: Call) -> Response:
    """Take all lifecycle rules from a bucket."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {LIFECYCLE: b""})
    return empty(204)


def _new_id() -> str:
    return secrets.token_urlsafe(36)
