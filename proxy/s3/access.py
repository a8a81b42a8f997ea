"""Who may do what: from a bucket's name to its container, past ownership and ACLs.

Users with the admin role own all buckets of their account; others, and anonymous requests, get in
where an S3 ACL or a Swift ACL of the container opens it.
"""

from __future__ import annotations

from model.containers import ACL_READ, ACL_WRITE, S3_ACL
from model.errors import NoSuchContainer
from model.names import ContainerPath
from proxy.auth.acl import Access, acl_admits, acl_groups, parse_acl
from proxy.operations.types import Container, StoredObject
from proxy.s3 import acl
from proxy.s3.acl import Permission
from proxy.s3.call import Call
from proxy.s3.errors import S3Error
from proxy.s3.names import is_bucket_name


async def locate(call: Call, bucket: str = "") -> ContainerPath:
    """Return the container of a bucket (the request's own by default), whoever asks.

    A claimed name belongs to its account; an unclaimed one is a container of the asker's account.
    Raises NoSuchContainer, or S3Error InvalidBucketName.
    """
    name = bucket or call.bucket
    account = await call.services.buckets.account_of(name, call.user)
    if account is None:
        if not is_bucket_name(name):
            raise S3Error("InvalidBucketName", details={"BucketName": name})
        if call.user is None:
            raise NoSuchContainer(name)
        account = call.user.account
    return ContainerPath(account, name)


async def enter(call: Call, wanted: Permission, *, bucket: str = "") -> ContainerPath:
    """Return the container of a bucket that the asker may read, write, or control as wanted.

    Reading a bucket is listing it, writing is putting and deleting objects in it. Raises S3Error
    AccessDenied, NoSuchContainer.
    """
    path = await locate(call, bucket)
    check_expected_owner(call, path)
    if call.user is not None and call.user.owns(path.account):
        return path
    container = await call.colony.container(path)
    if not bucket_allows(call, container, wanted):
        # What this process remembers of a bucket may be older than a grant: look again.
        container = await call.colony.container(path, fresh=True)
        if not bucket_allows(call, container, wanted):
            raise S3Error("AccessDenied")
    return path


async def enter_as_owner(call: Call) -> ContainerPath:
    """Return the container of a bucket whose account the asker owns. Raises S3Error AccessDenied."""
    path = await locate(call)
    check_expected_owner(call, path)
    if call.user is None or not call.user.owns(path.account):
        await call.colony.container(path)
        raise S3Error("AccessDenied")
    return path


async def enter_to_read(call: Call, bucket: str = "") -> tuple[ContainerPath, Container | None]:
    """Return where objects are read from, and the container where each object must still be checked."""
    path = await locate(call, bucket)
    if not bucket:
        check_expected_owner(call, path)
    if call.user is not None and call.user.owns(path.account):
        return path, None
    return path, await call.colony.container(path)


def check_expected_owner(call: Call, path: ContainerPath) -> None:
    """Refuse where the request expects the bucket of another account."""
    expected = call.request.headers.get("x-amz-expected-bucket-owner")
    if expected and expected != path.account:
        raise S3Error("AccessDenied")


def bucket_allows(call: Call, container: Container, wanted: Permission) -> bool:
    """Whether the ACLs of a bucket allow the asker what is wanted."""
    listed = acl.unpack(container.settings.get(S3_ACL, b""), container.record.owner)
    if listed.allows(call.user_id, wanted):
        return True
    if wanted is Permission.READ:
        return _swift_allows(call, container, Access.LIST)
    return wanted is Permission.WRITE and _swift_allows(call, container, Access.WRITE)


def object_allows(call: Call, container: Container | None, stored: StoredObject, wanted: Permission) -> bool:
    """Whether the asker may do what is wanted with an object; None stands for the account's owner."""
    if container is None:
        return True
    owner = stored.record.owner or container.record.owner
    if acl.unpack(stored.sides.get(S3_ACL, b""), owner).allows(call.user_id, wanted):
        return True
    return wanted is Permission.READ and _swift_allows(call, container, Access.READ_OBJECT)


def may_know_absence(call: Call, container: Container | None) -> bool:
    """Whether the asker may learn that a key is absent: only who may list the bucket."""
    return container is None or bucket_allows(call, container, Permission.READ)


def _swift_allows(call: Call, container: Container, wanted: Access) -> bool:
    register = ACL_WRITE if wanted is Access.WRITE else ACL_READ
    text = container.settings.get(register, b"")
    if not text:
        return False
    user = call.user
    groups = frozenset[str]() if user is None else acl_groups(user.account, user.name, user.groups)
    parsed = parse_acl(text.decode("utf-8", "surrogateescape"))
    return acl_admits(parsed, wanted, groups=groups, referrer=call.request.headers.get("referer"))
