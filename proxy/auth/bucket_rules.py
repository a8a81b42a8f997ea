"""What the registers of a container say of access to it, whatever the API: policy and public access. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model.containers import POLICY, PUBLIC_ACCESS_BLOCK
from proxy.auth.policy import Policy, stored_policy
from proxy.auth.principals import user_arn
from proxy.auth.public_access import PublicAccessBlock, unpack_block
from proxy.dates import iso_millis

if TYPE_CHECKING:
    from proxy.http.messages import Request
    from proxy.identity.users import User
    from proxy.operations.types import Container


def policy_of(container: Container) -> Policy | None:
    """Return the policy of a container, or None. Raises CorruptRecord."""
    text = container.settings.get(POLICY)
    return None if text is None else stored_policy(text, container.path.container)


def block_of(container: Container) -> PublicAccessBlock:
    """Return what of public access a container blocks. Raises CorruptRecord."""
    return unpack_block(container.settings.get(PUBLIC_ACCESS_BLOCK))


def shuts_out(container: Container, user: User | None) -> bool:
    """Whether the policy is public, the container restricts public ones, and the user is a stranger to it."""
    if POLICY not in container.settings or not block_of(container).restrict_buckets:
        return False
    account = container.path.account
    if user is not None and (user.account == account or user.owns(account)):
        return False
    policy = policy_of(container)
    return policy is not None and policy.is_public


def global_facts(request: Request, user: User | None, account: str, now_ms: int) -> Mapping[str, str]:
    """Return the condition keys that every request has: aws:…, and s3:ResourceAccount.

    `account` is that of the container; `now_ms` is milliseconds since the epoch.
    """
    facts = {
        "aws:currenttime": iso_millis(now_ms),
        "aws:epochtime": str(now_ms // 1000),
        "aws:principalisawsservice": "false",
        "aws:principaltype": "Anonymous" if user is None else "User",
        "aws:resourceaccount": account,
        "aws:securetransport": "true" if request.secure else "false",
        "aws:userid": "anonymous" if user is None else user.id,
        "aws:viaawsservice": "false",
        "s3:resourceaccount": account,
    }
    if request.remote:
        facts["aws:sourceip"] = request.remote
    for key, header in (("aws:referer", "referer"), ("aws:useragent", "user-agent")):
        if header in request.headers:
            facts[key] = request.headers[header]
    if user is not None:
        facts["aws:principalaccount"] = user.account
        facts["aws:principalarn"] = user_arn(user.account, user.name)
        facts["aws:username"] = user.name
    return facts
