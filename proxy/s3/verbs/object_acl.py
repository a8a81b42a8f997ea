"""GetObjectAcl and PutObjectAcl."""

from __future__ import annotations

from model.containers import S3_ACL
from model.errors import NoSuchObject
from proxy.http.messages import Response
from proxy.operations.types import StoredObject
from proxy.s3 import acl
from proxy.s3.access import enter_to_read, object_allows
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.verbs.bucket_acl import read, show
from proxy.s3.verbs.head_object import absent, check_version


async def get_object_acl(call: Call) -> Response:
    """Show the access control list of an object."""
    stored, owner, _ = await _enter(call, Permission.READ_ACP)
    return xml(show(call, acl.unpack(stored.sides.get(S3_ACL, b""), owner)))


async def put_object_acl(call: Call) -> Response:
    """Replace the access control list of an object."""
    stored, owner, bucket_owner = await _enter(call, Permission.WRITE_ACP)
    listed = await read(call, owner, bucket_owner)
    await call.colony.set_side(stored.path, S3_ACL, acl.pack(listed))
    return empty(200)


async def _enter(call: Call, wanted: Permission) -> tuple[StoredObject, str, str]:
    """Return the object, its owner's id, and the bucket's owner's id."""
    path, guard = await enter_to_read(call)
    check_version(call)
    container = guard or await call.colony.container(path)
    try:
        stored = await call.colony.head_object(call.object(path))
    except NoSuchObject:
        raise await absent(call, path, guard) from None
    if not object_allows(call, guard, stored, wanted):
        raise S3Error("AccessDenied")
    return stored, stored.record.owner or container.record.owner, container.record.owner
