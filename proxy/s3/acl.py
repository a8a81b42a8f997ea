"""S3 access control lists: canned ones, grants by header and XML, storage, and what they allow. Pure.

A list is kept in the register `s3:acl` of a bucket or an object; where the register is not set, the
owner alone has full control. Users are named by their id (`account:name`).

Source: Amazon S3 user guide, "Access control list (ACL) overview".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgpack

from model.errors import CorruptRecord
from proxy.s3 import xml_read
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.xml_write import Grantee

if TYPE_CHECKING:
    from proxy.http.messages import Headers
    from proxy.identity.users import User

FORMAT_VERSION: Final = 1
GRANTS_MAX: Final = 100
ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
_GROUPS: Final = frozenset((ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY))
_PUBLIC: Final = frozenset((ALL_USERS, AUTHENTICATED_USERS))


class Permission(StrEnum):
    """What a grant allows."""

    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


Grant = tuple[Grantee, Permission]


@dataclass(frozen=True, slots=True)
class AccessList:
    """The owner's id and the grants in order."""

    owner: str
    grants: tuple[Grant, ...]

    def allows(self, user: User | None, wanted: Permission) -> bool:
        """Whether a user (None for anonymous) may do what is wanted.

        Whoever owns an account gets what its users are granted.
        """
        if wanted in _OWNERS_ALWAYS and _stands_for(user, self.owner):
            return True
        return any(
            permission in (wanted, Permission.FULL_CONTROL) and _includes(who, user)
            for who, permission in self.grants
        )

    @property
    def is_public(self) -> bool:
        """Whether the list opens anything to everybody, or to everybody who has signed in."""
        return any(who.uri in _PUBLIC for who, _ in self.grants)


_OWNERS_ALWAYS: Final = (Permission.READ_ACP, Permission.WRITE_ACP)


def _includes(who: Grantee, user: User | None) -> bool:
    if who.uri == ALL_USERS:
        return True
    if user is None:
        return False
    return who.uri == AUTHENTICATED_USERS or (bool(who.id) and _stands_for(user, who.id))


def _stands_for(user: User | None, user_id: str) -> bool:
    return user is not None and (user.id == user_id or user.owns(user_id.partition(":")[0]))


def without_public(listed: AccessList) -> AccessList:
    """Return a list without its grants to everybody, or to everybody who has signed in."""
    return AccessList(listed.owner, tuple(grant for grant in listed.grants if grant[0].uri not in _PUBLIC))


def private(owner: str) -> AccessList:
    """Return the list that a bucket or object has by default."""
    return AccessList(owner, ((Grantee(id=owner), Permission.FULL_CONTROL),))


def canned(name: str, owner: str, bucket_owner: str) -> AccessList:
    """Return a canned list by its name. Raises S3Error InvalidArgument for an unknown one."""
    grants: list[Grant] = [(Grantee(id=owner), Permission.FULL_CONTROL)]
    match name:
        case "private" | "aws-exec-read":
            pass
        case "public-read":
            grants.append((Grantee(uri=ALL_USERS), Permission.READ))
        case "public-read-write":
            grants.append((Grantee(uri=ALL_USERS), Permission.READ))
            grants.append((Grantee(uri=ALL_USERS), Permission.WRITE))
        case "authenticated-read":
            grants.append((Grantee(uri=AUTHENTICATED_USERS), Permission.READ))
        case "bucket-owner-read":
            if bucket_owner != owner:
                grants.append((Grantee(id=bucket_owner), Permission.READ))
        case "bucket-owner-full-control":
            if bucket_owner != owner:
                grants.append((Grantee(id=bucket_owner), Permission.FULL_CONTROL))
        case "log-delivery-write":
            grants.append((Grantee(uri=LOG_DELIVERY), Permission.WRITE))
            grants.append((Grantee(uri=LOG_DELIVERY), Permission.READ_ACP))
        case _:
            raise invalid_argument("x-amz-acl", name, "")
    return AccessList(owner, tuple(grants))


GRANT_HEADERS: Final = {
    "x-amz-grant-read": Permission.READ,
    "x-amz-grant-write": Permission.WRITE,
    "x-amz-grant-read-acp": Permission.READ_ACP,
    "x-amz-grant-write-acp": Permission.WRITE_ACP,
    "x-amz-grant-full-control": Permission.FULL_CONTROL,
}


def from_headers(headers: Headers, owner: str, bucket_owner: str) -> AccessList | None:
    """Return the list that headers ask for, or None where they name none. Raises S3Error."""
    name = headers.get("x-amz-acl")
    given = [(header, what) for header, what in GRANT_HEADERS.items() if header in headers]
    if name and given:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if name:
        return canned(name, owner, bucket_owner)
    if not given:
        return None
    grants = [(who, what) for header, what in given for who in _grantees(header, headers[header])]
    return _bounded(owner, grants)


def _grantees(header: str, text: str) -> Iterable[Grantee]:
    for item in text.split(","):
        kind, _, value = item.strip().partition("=")
        value = value.strip().strip('"')
        match kind.strip().lower():
            case "id" if value:
                yield Grantee(id=value)
            case "uri" if value in _GROUPS:
                yield Grantee(uri=value)
            case "emailaddress" if value:
                yield Grantee(email=value)
            case _:
                raise invalid_argument(header, text, "Argument format not recognized")


def from_xml(body: bytes | bytearray | memoryview, owner: str) -> AccessList:
    """Return the list of an AccessControlPolicy document. Raises S3Error MalformedACLError."""
    try:
        policy = xml_read.parse(body, "AccessControlPolicy")
    except S3Error as error:
        raise S3Error("MalformedACLError") from error
    named, listed = policy.child("Owner"), policy.child("AccessControlList")
    if named is None or listed is None:
        raise S3Error("MalformedACLError")
    if named.value("ID", owner) != owner:
        raise S3Error("AccessDenied")
    return _bounded(owner, [_grant(node) for node in listed.children("Grant")])


def _grant(node: xml_read.Node) -> Grant:
    who = node.child("Grantee")
    permission = node.value("Permission")
    if who is None or permission not in Permission.__members__:
        raise S3Error("MalformedACLError")
    match who.attribute("type"):
        case "CanonicalUser" if who.value("ID"):
            return Grantee(id=who.value("ID")), Permission(permission)
        case "Group" if who.value("URI") in _GROUPS:
            return Grantee(uri=who.value("URI")), Permission(permission)
        case "Group":
            raise invalid_argument("Grantee/URI", who.value("URI"), "Invalid group uri")
        case "AmazonCustomerByEmail" if who.value("EmailAddress"):
            return Grantee(email=who.value("EmailAddress")), Permission(permission)
        case _:
            raise S3Error("MalformedACLError")


def _bounded(owner: str, grants: Iterable[Grant]) -> AccessList:
    listed = tuple(grants)
    if len(listed) > GRANTS_MAX:
        raise S3Error("MalformedACLError", f"An ACL has at most {GRANTS_MAX} grants")
    return AccessList(owner, listed)


def pack(acl: AccessList) -> bytes:
    """Return the register of a list whose grantees have ids."""
    grants = [(who.id, who.uri, str(what)) for who, what in acl.grants]
    packed: bytes = msgpack.packb((FORMAT_VERSION, acl.owner, grants), unicode_errors="surrogateescape")
    return packed


def unpack(packed: bytes, owner: str) -> AccessList:
    """Return the list of a register; the default of an owner where it is not set. Raises CorruptRecord."""
    if not packed:
        return private(owner)
    try:
        version, owner, grants = msgpack.unpackb(packed, unicode_errors="surrogateescape")
        if version != FORMAT_VERSION:
            raise CorruptRecord(f"access list of version {version}")
        return AccessList(owner, tuple((Grantee(who, uri), Permission(what)) for who, uri, what in grants))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"access list cannot be decoded: {error}") from error
