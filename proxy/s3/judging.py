"""Whether somebody may do something in a bucket: policy, ownership, ACLs and the public access block.

An explicit deny of the policy outweighs everything. Then an allow of it, ownership of the account, or an ACL
lets in. Nothing is read from the colony here: the bucket and the object are given.
Source: Amazon S3 user guide, "How Amazon S3 authorizes a request".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.containers import ACL_READ, ACL_WRITE, POLICY, S3_ACL
from proxy.auth.acl import Access, acl_admits, acl_groups, parse_acl, without_public
from proxy.auth.bucket_rules import block_of, policy_of, shuts_out
from proxy.auth.policy import BUCKET_ARN, Asked, Verdict
from proxy.operations.types import Container, StoredObject
from proxy.s3 import acl
from proxy.s3.acl import Permission
from proxy.s3.actions import POLICY_ACTIONS, Action, Scope
from proxy.s3.call import Call
from proxy.s3.facts import Facts, More
from proxy.s3.ownership import Ownership, owner_of, ownership_of


@dataclass(frozen=True, slots=True)
class Deed:
    """An action on a bucket or on one of its keys, and what the request says of it beyond its headers.

    `version` tells whether it is done to a named version.
    """

    action: Action
    key: str = ""
    version: bool = False
    request_tags: Mapping[str, str] | None = None
    more: More | None = None

    @property
    def name(self) -> str:
        """The action's name."""
        return self.action.named(version=self.version)


def owns_bucket(call: Call, container: Container) -> bool:
    """Whether the asker may do everything in the bucket's account."""
    return call.user is not None and call.user.owns(container.path.account)


def permits(call: Call, container: Container, deed: Deed, wanted: Permission | None) -> bool:
    """Whether the asker may do something to a bucket, or make, replace or delete one of its objects.

    `wanted` is the permission of the bucket's ACL that opens it too, None where none does.
    """
    owns = owns_bucket(call, container)
    if POLICY not in container.settings:
        return owns or _bucket_lists_admit(call, container, wanted)
    if owns and deed.name in POLICY_ACTIONS:
        # Also where the policy can no longer be read: somebody must be able to replace it.
        return True
    verdict = verdict_of(call, container, deed)
    if verdict is Verdict.DENY:
        return False
    if owns:
        return True
    if shuts_out(container, call.user):
        return False
    return verdict is Verdict.ALLOW or _bucket_lists_admit(call, container, wanted)


def denies(call: Call, container: Container, deed: Deed) -> bool:
    """Whether the bucket's policy refuses a deed explicitly."""
    return POLICY in container.settings and verdict_of(call, container, deed) is Verdict.DENY


def permits_stored(
    call: Call, container: Container, stored: StoredObject, deed: Deed, wanted: Permission | None
) -> bool:
    """Whether the asker may do something with an object that is there.

    What another account wrote, and owns, is not the bucket's to give: neither its owner nor an allow
    of its policy opens that.
    """
    owner = owner_of(container, stored.record)
    account = owner.partition(":")[0]
    owns = call.user is not None and call.user.owns(account)
    if POLICY in container.settings:
        verdict = verdict_of(call, container, deed, stored)
        if verdict is Verdict.DENY:
            return False
        if owns_bucket(call, container) and account == container.path.account:
            return True
        if shuts_out(container, call.user):
            return False
        if verdict is Verdict.ALLOW and account == container.path.account:
            return True
    return owns or _object_lists_admit(call, container, stored, owner, wanted)


def permits_owner(call: Call, stored: StoredObject, wanted: Permission | None) -> bool:
    """Whether an owner of the bucket's account may do something with an object of a plain bucket."""
    user, owner = call.user, stored.record.owner
    if user is None or not owner or owner == user.id or user.owns(owner.partition(":")[0]):
        return True
    return wanted is not None and acl.unpack(stored.sides.get(S3_ACL, b""), owner).allows(user, wanted)


def verdict_of(call: Call, container: Container, deed: Deed, stored: StoredObject | None = None) -> Verdict:
    """Return what the policy of a bucket says of a deed."""
    path, user = container.path, call.user
    policy = policy_of(container)
    if policy is None:
        return Verdict.SILENT
    resource = BUCKET_ARN + path.container
    if deed.action.scope is Scope.OBJECT:
        resource += f"/{deed.key}"
    facts = Facts(call, path.account, stored=stored, request_tags=deed.request_tags, more=deed.more)
    account, user_id = (None, None) if user is None else (user.account, user.id)
    return policy.judge(Asked(account, user_id, deed.name, resource, facts))


# Access control lists.

_SWIFT: Final = {Permission.READ: Access.LIST, Permission.WRITE: Access.WRITE}


def _bucket_lists_admit(call: Call, container: Container, wanted: Permission | None) -> bool:
    if wanted is None:
        return False
    settings = container.settings
    if S3_ACL in settings or call.user is not None:
        listed = acl.unpack(settings.get(S3_ACL, b""), container.record.owner)
        if _admits(call, container, listed, wanted):
            return True
    access = _SWIFT.get(wanted)
    return access is not None and _swift_admits(call, container, access)


def _object_lists_admit(
    call: Call, container: Container, stored: StoredObject, owner: str, wanted: Permission | None
) -> bool:
    if wanted is None:
        return False
    listed = acl.unpack(stored.sides.get(S3_ACL, b""), owner)
    if _admits(call, container, listed, wanted):
        return True
    return wanted is Permission.READ and _swift_admits(call, container, Access.READ_OBJECT)


def _admits(call: Call, container: Container, listed: acl.AccessList, wanted: Permission) -> bool:
    """Whether an S3 ACL lets in, as far as the bucket heeds ACLs."""
    if ownership_of(container.settings) is Ownership.ENFORCED:
        return False
    if block_of(container).ignore_acls:
        listed = acl.without_public(listed)
    return listed.allows(call.user, wanted)


def _swift_admits(call: Call, container: Container, wanted: Access) -> bool:
    register = ACL_WRITE if wanted is Access.WRITE else ACL_READ
    text = container.settings.get(register, b"")
    if not text:
        return False
    user = call.user
    groups = frozenset[str]() if user is None else acl_groups(user.account, user.name, user.groups)
    parsed = parse_acl(text.decode("utf-8", "surrogateescape"))
    if block_of(container).ignore_acls:
        parsed = without_public(parsed)
    return acl_admits(parsed, wanted, groups=groups, referrer=call.request.headers.get("referer"))


def all_permit(call: Call, container: Container, deeds: Sequence[Deed], wanted: Permission | None) -> bool:
    """Whether the asker may do all of several things to a bucket or a key."""
    return all(permits(call, container, deed, wanted) for deed in deeds)
