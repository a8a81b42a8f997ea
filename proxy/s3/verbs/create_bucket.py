"""CreateBucket."""

from __future__ import annotations

from typing import Final

from model.containers import OWNERSHIP, S3_ACL, VERSIONING, Versioning
from model.errors import NoSuchContainer
from model.names import ContainerPath
from model.retention import OBJECT_LOCK, LockRule, pack_rule
from proxy.http.messages import Response
from proxy.s3 import acl, grants, xml_read
from proxy.s3.call import Call, empty
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.names import is_bucket_name
from proxy.s3.ownership import Ownership
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024


async def create_bucket(call: Call) -> Response:
    """Make a bucket in the asker's account, and claim its name in the whole colony."""
    user = call.user
    if user is None or not user.owns(user.account):
        raise S3Error("AccessDenied")
    name = call.bucket
    if not is_bucket_name(name):
        raise S3Error("InvalidBucketName", details={"BucketName": name})
    headers = call.request.headers
    locked = headers.get("x-amz-bucket-object-lock-enabled").lower() == "true"
    born_with = {OBJECT_LOCK: pack_rule(LockRule()), VERSIONING: Versioning.ENABLED.value} if locked else {}
    location = _location(await read_whole(call, _BODY_BYTES_MAX))
    if location and location != call.settings.region:
        raise S3Error("InvalidLocationConstraint", details={"LocationConstraint": location})
    ownership = headers.get("x-amz-object-ownership")
    if ownership and ownership not in list(Ownership):
        raise invalid_argument("x-amz-object-ownership", ownership, "Invalid x-amz-object-ownership header")
    listed = acl.from_headers(headers, call.owner, call.owner)
    if ownership == Ownership.ENFORCED and listed is not None and listed != acl.private(call.owner):
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    settings = {}
    if listed is not None:
        listed = await grants.resolve(call, listed)
        settings[S3_ACL] = acl.pack(listed)
    if ownership:
        settings[OWNERSHIP] = ownership.encode()
    path = ContainerPath(user.account, name)
    await _claim(call, path)
    if not await call.colony.create_container(path, user.id, {}, born_with=born_with):
        await _created_before(call, path, listed)
    if settings:
        await call.colony.set_container(path, settings)
    return empty(200, [("Location", f"/{name}")])


async def _claim(call: Call, path: ContainerPath) -> None:
    """Claim the name, also from an account whose bucket of that name was deleted through Swift."""
    buckets = call.services.buckets
    holder = await buckets.claim(path.container, path.account)
    if holder == path.account:
        return
    try:
        await call.colony.container(ContainerPath(holder, path.container), fresh=True)
    except NoSuchContainer:
        await buckets.release(path.container)
        if await buckets.claim(path.container, path.account) == path.account:
            return
    raise S3Error("BucketAlreadyExists", details={"BucketName": path.container})


async def _created_before(call: Call, path: ContainerPath, listed: acl.AccessList | None) -> None:
    """Refuse to make one's own bucket again, but in us-east-1, where AWS answers as if it were new.

    With another ACL than it has it is refused everywhere: nothing is opened or closed by accident.
    """
    container = await call.colony.container(path, fresh=True)
    owned = container.record.owner == call.owner
    held = acl.unpack(container.settings.get(S3_ACL, b""), container.record.owner)
    if owned and held != (listed or acl.private(call.owner)):
        raise S3Error("BucketAlreadyExists", details={"BucketName": path.container})
    if call.settings.region != "us-east-1" or not owned:
        raise S3Error("BucketAlreadyOwnedByYou", details={"BucketName": path.container})


def _location(body: bytes) -> str:
    """Return the location constraint of a body, empty where it names none."""
    if not body.strip():
        return ""
    configuration = xml_read.parse(body, "CreateBucketConfiguration")
    return configuration.value("LocationConstraint")
