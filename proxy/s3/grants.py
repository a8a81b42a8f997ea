"""The ACL that a request gives: read, its grantees looked up, and held against what the bucket allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.auth.bucket_rules import block_of
from proxy.operations.types import Container
from proxy.s3 import acl, xml_write
from proxy.s3.acl import GRANT_HEADERS, AccessList, Permission
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.ownership import OWNERS_FULL_CONTROL, Ownership, ownership_of
from proxy.s3.upload import read_whole
from proxy.s3.xml_write import Grantee

_BODY_BYTES_MAX: Final = 256 * 1024


async def show(call: Call, listed: AccessList) -> bytes:
    """Return the document of a list: groups first, then users, each in the order given."""
    grants = []
    for who, what in listed.grants:
        if who.id:
            who = replace(who, name=(await call.named_owner(who.id)).display_name)
        grants.append((who, str(what)))
    grants.sort(key=lambda grant: not grant[0].uri)
    return xml_write.access_control_policy(await call.named_owner(listed.owner), grants)


async def read_list(call: Call, container: Container, owner: str) -> AccessList:
    """Return the list that headers or the body of a request give. Raises S3Error."""
    body = await read_whole(call, _BODY_BYTES_MAX)
    listed = acl.from_headers(call.request.headers, owner, container.record.owner)
    if listed is not None and body.strip():
        raise S3Error("UnexpectedContent")
    if listed is None:
        if not body.strip():
            raise S3Error("MissingSecurityHeader", details={"MissingHeaderName": "x-amz-acl"})
        listed = acl.from_xml(body, owner)
    return await accept(call, container, listed)


async def list_of_new(call: Call, container: Container, owner: str) -> AccessList | None:
    """Return the list that headers ask for beside a new object, or None for the usual one. Raises S3Error."""
    headers = call.request.headers
    if "x-amz-acl" not in headers and not any(name in headers for name in GRANT_HEADERS):
        return None
    listed = acl.from_headers(headers, owner, container.record.owner)
    if listed is None:
        return None
    # What this process remembers of the bucket may be older than a block of public ACLs.
    fresh = await call.colony.container(container.path, fresh=True)
    listed = await accept(call, fresh, listed)
    return None if listed == acl.private(owner) else listed


async def accept(call: Call, container: Container, listed: AccessList) -> AccessList:
    """Return a list with its grantees by id, where the bucket takes such lists. Raises S3Error."""
    if ownership_of(container.settings) is Ownership.ENFORCED and not _gives_owner_all(
        call, container, listed
    ):
        raise S3Error("AccessControlListNotSupported")
    if listed.is_public and block_of(container).block_acls:
        raise S3Error("AccessDenied")
    return await resolve(call, listed)


async def resolve(call: Call, listed: AccessList) -> AccessList:
    """Return a list with its grantees by id. Raises S3Error where there is no such user."""
    grants = tuple([(await _known(call, who, listed.owner), what) for who, what in listed.grants])
    return AccessList(listed.owner, grants)


def _gives_owner_all(call: Call, container: Container, listed: AccessList) -> bool:
    if call.request.headers.get("x-amz-acl"):
        return call.request.headers["x-amz-acl"] == OWNERS_FULL_CONTROL
    return listed.grants == ((Grantee(id=container.record.owner), Permission.FULL_CONTROL),)


async def _known(call: Call, who: Grantee, owner: str) -> Grantee:
    directory = call.services.directory
    if who.email:
        user = await directory.user_by_email(who.email)
        if user is None:
            raise S3Error("UnresolvableGrantByEmailAddress", details={"EmailAddress": who.email})
        return Grantee(id=user.id)
    if who.id and who.id not in (owner, call.user_id) and await directory.user(who.id) is None:
        raise invalid_argument("CanonicalUser/ID", who.id, "Invalid id")
    return who
