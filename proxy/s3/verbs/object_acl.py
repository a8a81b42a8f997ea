"""GetObjectAcl and PutObjectAcl."""

from __future__ import annotations

from model.containers import S3_ACL
from model.errors import NoSuchObject
from proxy.http.messages import Response
from proxy.operations.types import Container, StoredObject
from proxy.s3 import acl, grants
from proxy.s3.access import check_object, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.ownership import Ownership, owner_of, ownership_of
from proxy.s3.verbs.head_object import absent, check_version


async def get_object_acl(call: Call) -> Response:
    """Show the access control list of an object."""
    stored, container = await _enter(call, Permission.READ_ACP)
    owner = owner_of(container, stored.record)
    if ownership_of(container.settings) is Ownership.ENFORCED:
        return xml(await grants.show(call, acl.private(owner)))
    return xml(await grants.show(call, acl.unpack(stored.sides.get(S3_ACL, b""), owner)))


async def put_object_acl(call: Call) -> Response:
    """Replace the access control list of an object."""
    stored, container = await _enter(call, Permission.WRITE_ACP)
    container = await call.colony.container(container.path, fresh=True)
    listed = await grants.read_list(call, container, owner_of(container, stored.record))
    await call.colony.set_side(stored.path, S3_ACL, acl.pack(listed))
    return empty(200)


async def _enter(call: Call, wanted: Permission) -> tuple[StoredObject, Container]:
    """Return the object, and the bucket's settings. Raises S3Error, NoSuchContainer."""
    path, guard = await enter_to_read(call)
    check_version(call)
    try:
        stored = await call.colony.head_object(call.object(path))
    except NoSuchObject:
        raise await absent(call, path, guard) from None
    await check_object(call, guard, stored, wanted)
    return stored, guard or await call.colony.container(path)
