"""Who asks, and may they: tokens, ownership of accounts and container ACLs.

Somebody unknown is refused with 401, somebody known with 403. Whether a container exists is told
only to those who may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from model.containers import ACL_READ, ACL_WRITE
from model.errors import NoSuchContainer
from model.names import ContainerPath, ObjectPath
from proxy.auth.acl import Access, acl_admits, acl_groups, opens_to_public, parse_acl, without_public
from proxy.auth.bucket_rules import block_of, shuts_out
from proxy.auth.tempauth import TOKEN_PREFIX
from proxy.http.messages import Request
from proxy.identity.users import ACCOUNT_PREFIX, RESELLER_READER, User
from proxy.operations.types import Container, StoredObject
from proxy.swift import policy
from proxy.swift.call import Call, Services
from proxy.swift.errors import Refused

_NO_GROUPS: Final[frozenset[str]] = frozenset()


async def identify(request: Request, services: Services) -> User | None:
    """Return who sent a request by its token, or None without one. Raises Refused for a bad token."""
    headers = request.headers
    text = headers.get("x-auth-token") or headers.get("x-storage-token")
    if not text.startswith(TOKEN_PREFIX):
        # Tokens of other systems are none of ours: whoever sends one is a stranger here.
        return None
    token = services.mint.verify(text, services.now_ms() / 1000)
    if token is not None:
        user = await services.directory.user(token.user_id)
        if user is not None and not token.fits(user.generation, user.born):
            # The token may be newer than what this process remembers of the user.
            user = await services.directory.user(token.user_id, fresh=True)
        if user is not None and token.fits(user.generation, user.born):
            return user
    raise unauthorized("unknown")


async def authorize(
    call: Call, path: ContainerPath | ObjectPath, access: Access, *, action: str = ""
) -> None:
    """Let a request on to a container, to its objects or to one of them, or raise Refused.

    `action` is what a bucket policy calls what is to be done, where `access` and the method do not tell.
    """
    if await policy.denies(call, path, action or _action(call, access)):
        raise denied(call)
    if isinstance(path, ObjectPath):
        path = path.parent
    user = call.user
    if user is not None and (
        user.owns(path.account) or (RESELLER_READER in user.roles and access is not Access.WRITE)
    ):
        return
    # What this process remembers of a container may be older than a grant: look again before refusing.
    for fresh in (False, True):
        try:
            container = await call.colony.container(path, fresh=fresh)
        except NoSuchContainer as error:
            raise denied(call) from error
        if _acl_lets_in(call, container, access):
            return
    raise denied(call)


def _action(call: Call, access: Access) -> str:
    match access:
        case Access.LIST:
            return policy.LIST
        case Access.READ_OBJECT:
            return policy.READ_OBJECT
        case Access.WRITE:
            return policy.DELETE_OBJECT if call.request.method == "DELETE" else policy.WRITE_OBJECT


async def heed_tags(call: Call, stored: StoredObject) -> None:
    """Refuse an object that a bucket policy denies for its tags, or raise nothing."""
    if await policy.denies_stored(call, stored):
        raise denied(call)


async def heed_policy(call: Call, action: str) -> None:
    """Refuse what a bucket policy denies its owner too."""
    if await policy.denies(call, call.route.container_path, action):
        raise denied(call)


async def check_acls(call: Call, container: Container, changes: Mapping[str, bytes]) -> None:
    """Refuse changes of ACLs that a policy denies, or that open to everybody what blocks that."""
    given = [changes[name] for name in (ACL_READ, ACL_WRITE) if name in changes]
    if given:
        await heed_policy(call, policy.SET_ACL)
    if block_of(container).block_acls and any(
        opens_to_public(parse_acl(text.decode("utf-8", "surrogateescape"))) for text in given
    ):
        raise denied(call)


def _acl_lets_in(call: Call, container: Container, access: Access) -> bool:
    text = container.settings.get(ACL_WRITE if access is Access.WRITE else ACL_READ)
    if not text or shuts_out(container, call.user):
        return False
    user = call.user
    groups = _NO_GROUPS if user is None else acl_groups(user.account, user.name, user.groups)
    acl = parse_acl(text.decode("utf-8", "surrogateescape"))
    if block_of(container).ignore_acls:
        acl = without_public(acl)
    return acl_admits(acl, access, groups=groups, referrer=call.headers.get("referer"))


def require_owner(call: Call) -> None:
    """Let on only who owns the account; a reader of all accounts may GET and HEAD."""
    if call.owns_account:
        return
    reads = call.request.method in ("GET", "HEAD")
    if reads and call.user is not None and RESELLER_READER in call.user.roles:
        return
    raise denied(call)


def require_reseller_admin(call: Call) -> None:
    """Let on only who owns every account."""
    if call.user is None or not call.user.is_reseller_admin:
        raise denied(call)


def denied(call: Call) -> Refused:
    """Return the refusal of somebody who may not: 401 for a stranger, 403 for a user."""
    if call.user is not None:
        return Refused(403)
    return unauthorized(ACCOUNT_PREFIX + call.route.account)


def unauthorized(realm: str) -> Refused:
    """Return a 401 that names the realm to sign in to."""
    safe = quote(realm, errors="surrogateescape")
    return Refused(401, headers=(("Www-Authenticate", f'Swift realm="{safe}"'),))
