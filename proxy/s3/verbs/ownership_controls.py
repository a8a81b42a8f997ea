"""PutBucketOwnershipControls, GetBucketOwnershipControls and DeleteBucketOwnershipControls."""

from __future__ import annotations

from typing import Final

from model.containers import OWNERSHIP, S3_ACL
from proxy.http.messages import Response
from proxy.s3 import acl, xml_read, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.ownership import Ownership
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024


async def put_bucket_ownership_controls(call: Call) -> Response:
    """Say who owns objects that other accounts write into a bucket."""
    path = await enter_as_owner(call)
    document = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "OwnershipControls")
    rules = list(document.children("Rule"))
    if len(rules) != 1 or rules[0].value("ObjectOwnership") not in list(Ownership):
        raise S3Error("MalformedXML")
    wanted = Ownership(rules[0].value("ObjectOwnership"))
    if wanted is Ownership.ENFORCED:
        container = await call.colony.container(path, fresh=True)
        listed = acl.unpack(container.settings.get(S3_ACL, b""), container.record.owner)
        if any(who.id != listed.owner for who, _ in listed.grants):
            raise S3Error("InvalidBucketAclWithObjectOwnership")
    await call.colony.set_container(path, {OWNERSHIP: wanted.encode()})
    return empty(200)


async def get_bucket_ownership_controls(call: Call) -> Response:
    """Show who owns objects that other accounts write into a bucket."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    held = container.settings.get(OWNERSHIP)
    if not held:
        raise S3Error("OwnershipControlsNotFoundError", details={"BucketName": path.container})
    inner = f"<Rule>{xml_write.tag('ObjectOwnership', held.decode())}</Rule>"
    return xml(xml_write.root("OwnershipControls", inner))


async def delete_bucket_ownership_controls(call: Call) -> Response:
    """Return to the default: who writes an object owns it."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {OWNERSHIP: b""})
    return empty(204)
