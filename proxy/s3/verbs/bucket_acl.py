"""GetBucketAcl and PutBucketAcl."""

from __future__ import annotations

from model.containers import S3_ACL
from proxy.http.messages import Response
from proxy.s3 import acl, grants
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.ownership import Ownership, ownership_of


async def get_bucket_acl(call: Call) -> Response:
    """Show the access control list of a bucket."""
    path = await enter(call, Permission.READ_ACP)
    container = await call.colony.container(path, fresh=True)
    owner = container.record.owner
    if ownership_of(container.settings) is Ownership.ENFORCED:
        return xml(await grants.show(call, acl.private(owner)))
    return xml(await grants.show(call, acl.unpack(container.settings.get(S3_ACL, b""), owner)))


async def put_bucket_acl(call: Call) -> Response:
    """Replace the access control list of a bucket."""
    path = await enter(call, Permission.WRITE_ACP)
    container = await call.colony.container(path, fresh=True)
    listed = await grants.read_list(call, container, container.record.owner)
    await call.colony.set_container(container.path, {S3_ACL: acl.pack(listed)})
    return empty(200)
