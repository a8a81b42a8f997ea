"""GetObjectAcl and PutObjectAcl."""

from __future__ import annotations

from model.containers import S3_ACL
from model.errors import NoSuchObject, NoSuchVersion
from proxy.http.messages import Response
from proxy.operations.types import Container, StoredObject
from proxy.s3 import acl, grants
from proxy.s3.access import check_object, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.ownership import Ownership, owner_of, ownership_of
from proxy.s3.versions import absent, show_version, wanted_version


async def get_object_acl(call: Call) -> Response:
    """Show the access control list of an object."""
    stored, container = await _enter(call, Permission.READ_ACP)
    owner = owner_of(container, stored.record)
    if ownership_of(container.settings) is Ownership.ENFORCED:
        listed = acl.private(owner)
    else:
        listed = acl.unpack(stored.sides.get(S3_ACL, b""), owner)
    return xml(await grants.show(call, listed), headers=show_version(stored))


async def put_object_acl(call: Call) -> Response:
    """Replace the access control list of an object."""
    stored, container = await _enter(call, Permission.WRITE_ACP)
    container = await call.colony.container(container.path, fresh=True)
    listed = await grants.read_list(call, container, owner_of(container, stored.record))
    await call.colony.set_side(stored.path, S3_ACL, acl.pack(listed), version=stored.version_id)
    return empty(200, show_version(stored))


async def _enter(call: Call, wanted: Permission) -> tuple[StoredObject, Container]:
    """Return the object, and the bucket's settings. Raises S3Error, NoSuchContainer."""
    path, guard = await enter_to_read(call)
    version = wanted_version(call)
    try:
        stored = await call.colony.head_object(call.object(path), version=version)
    except (NoSuchObject, NoSuchVersion) as error:
        raise await absent(call, path, guard, error) from None
    await check_object(call, guard, stored, wanted)
    return stored, guard or await call.colony.container(path)
