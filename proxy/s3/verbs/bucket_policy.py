"""PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus."""

from __future__ import annotations

from typing import Final

from model.containers import ACL_READ, ACL_WRITE, POLICY, S3_ACL
from proxy.auth.acl import opens_to_public, parse_acl
from proxy.auth.bucket_rules import block_of, policy_of
from proxy.auth.policy import MalformedPolicy, parse_policy
from proxy.http.messages import Response
from proxy.operations.types import Container
from proxy.s3 import acl, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.ownership import Ownership, ownership_of
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 1 << 20
"""More than a policy may have, so that a longer one is refused as a policy."""


async def put_bucket_policy(call: Call) -> Response:
    """Set the policy of a bucket."""
    path = await enter_as_owner(call)
    text = await read_whole(call, _BODY_BYTES_MAX)
    container = await call.colony.container(path, fresh=True)
    try:
        policy = parse_policy(text, path.container)
    except MalformedPolicy as error:
        raise S3Error("MalformedPolicy", str(error)) from error
    if policy.is_public and block_of(container).block_policy:
        raise S3Error("AccessDenied")
    await call.colony.set_container(path, {POLICY: text})
    return empty(204)


async def get_bucket_policy(call: Call) -> Response:
    """Show the policy of a bucket as it was put."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    text = container.settings.get(POLICY)
    if not text:
        raise S3Error("NoSuchBucketPolicy", details={"BucketName": path.container})
    return Response(200, [("Content-Type", "application/json")], text)


async def delete_bucket_policy(call: Call) -> Response:
    """Take the policy from a bucket; one without a policy is no error."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {POLICY: b""})
    return empty(204)


async def get_bucket_policy_status(call: Call) -> Response:
    """Say whether a bucket is public: by its policy, or by an ACL that counts."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    inner = xml_write.flag("IsPublic", holds=_is_public(container))
    return xml(xml_write.root("PolicyStatus", inner))


def _is_public(container: Container) -> bool:
    settings = container.settings
    policy = policy_of(container)
    if policy is not None and policy.is_public:
        return True
    if block_of(container).ignore_acls:
        return False
    heeded = ownership_of(settings) is not Ownership.ENFORCED
    if heeded and acl.unpack(settings.get(S3_ACL, b""), container.record.owner).is_public:
        return True
    texts = [
        settings[name].decode("utf-8", "surrogateescape")
        for name in (ACL_READ, ACL_WRITE)
        if name in settings
    ]
    return any(opens_to_public(parse_acl(text)) for text in texts)
