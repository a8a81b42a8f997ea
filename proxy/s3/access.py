"""Who may do what: from a bucket's name to its container, past policy, ownership and ACLs.

Users with the admin role own all buckets of their account; others, and anonymous requests, get in
where the bucket's policy, an S3 ACL or a Swift ACL of the container opens it. What an operation needs
is told by proxy.s3.actions, and judged by proxy.s3.judging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from model.containers import OWNERSHIP, POLICY
from model.errors import NoSuchContainer
from model.names import ContainerPath
from proxy.operations.types import Container, StoredObject
from proxy.s3.acl import GRANT_HEADERS, Permission
from proxy.s3.actions import (
    ACTIONS,
    ALONG,
    CREATORS,
    DELETE_OBJECT,
    LIST_BUCKET,
    OF_UPLOADS,
    POLICY_ACTIONS,
    PUT_OBJECT_ACL,
    Action,
    Scope,
)
from proxy.s3.call import Call
from proxy.s3.errors import S3Error
from proxy.s3.facts import More, more_of_upload, more_of_version, tags_of_upload
from proxy.s3.judging import (
    Deed,
    all_permit,
    denies,
    owns_bucket,
    permits,
    permits_owner,
    permits_stored,
)
from proxy.s3.multipart import said_at_beginning
from proxy.s3.names import is_bucket_name


async def locate(call: Call, bucket: str = "") -> ContainerPath:
    """Return the container of a bucket (the request's own by default), whoever asks.

    A claimed name belongs to its account; an unclaimed one is a container of the asker's account.
    `account:bucket` names the account too, `:bucket` leaves it open. Raises NoSuchContainer, or
    S3Error InvalidBucketName.
    """
    named = bucket or call.bucket
    said, _, name = named.rpartition(":")
    account = await call.services.buckets.account_of(name, call.user)
    if account is None:
        if not is_bucket_name(name):
            raise S3Error("InvalidBucketName", details={"BucketName": named})
        if call.user is None:
            raise NoSuchContainer(name)
        account = said or call.user.account
    elif said and said != account:
        raise NoSuchContainer(named)
    return ContainerPath(account, name)


async def enter(call: Call, wanted: Permission, *, bucket: str = "") -> ContainerPath:
    """Return the container of a bucket in which the asker may do what the request is for.

    `wanted` is the permission of the bucket's ACL that opens it too: reading a bucket is listing it,
    writing is putting and deleting objects in it. Raises S3Error AccessDenied, NoSuchContainer.
    """
    return (await _enter(call, wanted, bucket)).path


async def enter_as_owner(call: Call) -> ContainerPath:
    """Return the container of a bucket whose account the asker owns, or whose policy lets it in.

    Raises S3Error AccessDenied, and MethodNotAllowed where another account would touch the policy.
    """
    container = await _enter(call, None)
    if needed(call)[0].name in POLICY_ACTIONS:
        user, account = call.user, container.path.account
        if user is None or (user.account != account and not user.owns(account)):
            raise S3Error("MethodNotAllowed")
    return container.path


async def enter_bucket(call: Call, wanted: Permission | None) -> Container:
    """Return a bucket as `enter` does, with its settings."""
    return await _enter(call, wanted)


async def _enter(call: Call, wanted: Permission | None, bucket: str = "") -> Container:
    path = await locate(call, bucket)
    check_expected_owner(call, path)
    container = await call.colony.container(path)
    if not await _may_enter(call, container, wanted):
        # What this process remembers of a bucket may be older than a grant: look again.
        container = await call.colony.container(path, fresh=True)
        if not await _may_enter(call, container, wanted):
            raise S3Error("AccessDenied")
    return container


async def _may_enter(call: Call, container: Container, wanted: Permission | None) -> bool:
    if POLICY not in container.settings:
        return owns_bucket(call, container) or all_permit(call, container, needed(call), wanted)
    deeds = needed(call)
    if call.operation in OF_UPLOADS:
        said = await said_at_beginning(call, container.path)
        more, asked = more_of_upload(said), tags_of_upload(said)
        deeds = [replace(deed, more=more, request_tags=asked) for deed in deeds]
    if not all_permit(call, container, deeds, wanted):
        return False
    headers = call.request.headers
    given = any(name in headers for name in ("x-amz-acl", *GRANT_HEADERS))
    if given and call.operation in CREATORS:
        # Who may write an object gives it its first ACL, unless that is denied.
        return not denies(call, container, Deed(PUT_OBJECT_ACL, call.key))
    return True


def needed(call: Call) -> Sequence[Deed]:
    """Return all that a request does to its own bucket or key."""
    version = "versionId" in call.query
    deeds = [Deed(action, call.key, version) for action in ACTIONS[call.operation]]
    if call.operation in CREATORS:
        headers = call.request.headers
        deeds += [Deed(action, call.key) for name, action in ALONG.items() if name in headers]
    return deeds


async def enter_to_read(call: Call, bucket: str = "") -> tuple[ContainerPath, Container | None]:
    """Return where objects are read from, and the container where each object must still be checked."""
    path = await locate(call, bucket)
    if bucket:
        check_expected_owner(call, path, "x-amz-source-expected-bucket-owner")
    else:
        check_expected_owner(call, path)
    container = await call.colony.container(path)
    settings = container.settings
    if POLICY not in settings and OWNERSHIP not in settings and owns_bucket(call, container):
        return path, None
    return path, container


def check_expected_owner(
    call: Call, path: ContainerPath, header: str = "x-amz-expected-bucket-owner"
) -> None:
    """Refuse where the request expects the bucket of another account."""
    expected = call.request.headers.get(header)
    if expected and expected != path.account:
        raise S3Error("AccessDenied")


def object_allows(
    call: Call,
    container: Container | None,
    stored: StoredObject,
    wanted: Permission | None,
    *,
    deeds: Sequence[Deed] = (),
) -> bool:
    """Whether the asker may do with an object what the request is for, or all of some deeds.

    `container` is what `enter_to_read` gave; `wanted` is the permission of the object's ACL that opens
    it too, None where none does.
    """
    if container is None:
        return permits_owner(call, stored, wanted)
    return all(permits_stored(call, container, stored, deed, wanted) for deed in deeds or needed(call))


async def check_object(
    call: Call,
    container: Container | None,
    stored: StoredObject,
    wanted: Permission | None,
    *,
    deeds: Sequence[Deed] = (),
) -> None:
    """Let on who may do with an object what the request is for. Raises S3Error AccessDenied."""
    if object_allows(call, container, stored, wanted, deeds=deeds):
        return
    if container is not None:
        # What this process remembers of a bucket may be older than a grant: look again.
        container = await call.colony.container(container.path, fresh=True)
        if object_allows(call, container, stored, wanted, deeds=deeds):
            return
    raise S3Error("AccessDenied")


def may_know_absence(call: Call, container: Container | None, key: str = "") -> bool:
    """Whether the asker may learn that a key is absent: only who may list the bucket at that key."""
    if container is None:
        return True
    prefix: More = {"s3:prefix": (key or call.key,)}
    return permits(call, container, Deed(LIST_BUCKET, more=prefix), Permission.READ)


async def may_also(
    call: Call,
    path: ContainerPath,
    action: Action,
    *,
    key: str = "",
    version: bool = False,
    wanted: Permission | None = None,
    more: More | None = None,
) -> bool:
    """Whether an asker who got in may do something more to a key (the request's own by default).

    `wanted` is the permission of the bucket's ACL that opens it too, None where none does.
    """
    container = await call.colony.container(path)
    named = key or (call.key if action.scope is Scope.OBJECT else "")
    deed = Deed(action, named, version, more=more)
    if permits(call, container, deed, wanted):
        return True
    return permits(call, await call.colony.container(path, fresh=True), deed, wanted)


async def enter_to_delete(call: Call) -> tuple[ContainerPath, Callable[[str, str], bool]]:
    """Return a container, and what tells by key and version id whether the asker may delete there.

    Who has no way to delete anything is refused at once. Raises S3Error AccessDenied, NoSuchContainer.
    """
    path = await locate(call)
    check_expected_owner(call, path)
    container = await call.colony.container(path)
    if POLICY not in container.settings and owns_bucket(call, container):
        return path, lambda key, version: True
    container = await call.colony.container(path, fresh=True)
    if POLICY not in container.settings and not permits(
        call, container, Deed(DELETE_OBJECT), Permission.WRITE
    ):
        raise S3Error("AccessDenied")

    def allows(key: str, version: str) -> bool:
        deed = Deed(DELETE_OBJECT, key, bool(version), more=more_of_version(version))
        return permits(call, container, deed, Permission.WRITE)

    return path, allows


def tagging_deeds(call: Call, asked: Mapping[str, str]) -> Sequence[Deed]:
    """Return what a request does that sets tags by its body."""
    version = "versionId" in call.query
    return [Deed(action, call.key, version, asked) for action in ACTIONS[call.operation]]


__all__ = [
    "Deed",
    "check_expected_owner",
    "check_object",
    "enter",
    "enter_as_owner",
    "enter_bucket",
    "enter_to_delete",
    "enter_to_read",
    "locate",
    "may_also",
    "may_know_absence",
    "needed",
    "object_allows",
    "owns_bucket",
    "tagging_deeds",
]
