"""The bucket policy of a container, as far as it binds Swift's requests: what it denies.

An explicit deny holds for whichever API asks: each request is judged as the action of S3 that does the
same. An allow lets nobody in here: Swift's own ACLs do that.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.containers import POLICY
from model.errors import NoSuchContainer
from model.names import ContainerPath, ObjectPath
from model.objects import TAGS
from proxy.auth.bucket_rules import global_facts, policy_of
from proxy.auth.policy import BUCKET_ARN, Asked, Verdict
from proxy.operations.types import Container, StoredObject
from proxy.s3 import tags
from proxy.swift.call import Call

READ_OBJECT = "s3:GetObject"
WRITE_OBJECT = "s3:PutObject"
DELETE_OBJECT = "s3:DeleteObject"
LIST = "s3:ListBucket"
DELETE_CONTAINER = "s3:DeleteBucket"
SET_ACL = "s3:PutBucketAcl"

_PARAMETERS = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "limit"}
_HEADERS = {"s3:if-match": "if-match", "s3:if-none-match": "if-none-match"}
_EXISTING_TAG = "s3:existingobjecttag/"


async def denies(call: Call, path: ContainerPath | ObjectPath, action: str) -> bool:
    """Whether a container's policy denies an action on it, or on one of its objects.

    Of an action on objects that names none, all that the policy denies anywhere counts.
    """
    parent = path.parent if isinstance(path, ObjectPath) else path
    try:
        container = await call.colony.container(parent)
    except NoSuchContainer:
        # The request itself finds that out, and says so in its own way.
        return False
    return POLICY in container.settings and _denies(call, container, path, action, None)


async def denies_stored(call: Call, stored: StoredObject) -> bool:
    """Whether a container's policy denies reading an object that is there, by its tags too."""
    container = await call.colony.container(stored.path.parent)
    return POLICY in container.settings and _denies(call, container, stored.path, READ_OBJECT, stored)


def _denies(
    call: Call,
    container: Container,
    path: ContainerPath | ObjectPath,
    action: str,
    stored: StoredObject | None,
) -> bool:
    policy = policy_of(container)
    if policy is None:
        return False
    resource: str | None = BUCKET_ARN + container.path.container
    if isinstance(path, ObjectPath):
        resource = f"{resource}/{path.name}"
    elif action in (READ_OBJECT, WRITE_OBJECT, DELETE_OBJECT):
        resource = None
    user = call.user
    facts = global_facts(call.request, user, container.path.account, call.services.now_ms())
    held = {} if stored is None else tags.unpack(stored.sides.get(TAGS, b""))

    def lookup(key: str) -> Sequence[str] | None:
        if key in facts:
            return (facts[key],)
        if key in _PARAMETERS:
            value = call.parameters.get(_PARAMETERS[key])
            return None if value is None else (value,)
        if key in _HEADERS:
            return (call.headers[_HEADERS[key]],) if _HEADERS[key] in call.headers else None
        if key.startswith(_EXISTING_TAG):
            name = key.removeprefix(_EXISTING_TAG)
            return tuple(value for tag, value in held.items() if tag.lower() == name) or None
        return None

    account, user_id = (None, None) if user is None else (user.account, user.id)
    asked = Asked(account, user_id, action, resource, lookup)
    return policy.judge(asked) is Verdict.DENY
