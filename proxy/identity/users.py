"""What is known of a user and of an S3 key, and how both are stored. Pure.

Both are msgpack arrays that start with a format version. A user's id is `account:name`, as in
Swift's TempAuth; an S3 access key is any text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from model.errors import CorruptRecord, InvalidName
from model.names import ACCOUNT_BYTES_MAX, check_name

RECORD_VERSION: Final = 1
ACCOUNT_PREFIX: Final = "AUTH_"
"""Stands before an account's name in Swift's URLs and ACL groups; never in stored names."""

ADMIN: Final = "admin"
"""Owns the account: may do anything in it."""
RESELLER_ADMIN: Final = "reseller_admin"
"""Owns every account."""
RESELLER_READER: Final = "reseller_reader"
"""May read every account."""
MEMBER: Final = "member"
"""May do what an ACL opens."""
ROLES: Final = (ADMIN, RESELLER_ADMIN, RESELLER_READER, MEMBER)

_USER_NAME_BYTES_MAX: Final = 256
_KEY_ID_BYTES_MAX: Final = 512
EMAIL_BYTES_MAX: Final = 254


@dataclass(frozen=True, slots=True)
class User:
    """One user.

    `roles` holds the roles above and any further group that ACLs may name. `generation` counts the
    changes that must end tokens given before (password, roles, disabling); `born` is drawn at the
    user's creation, so that a user made again under an old name does not revive its tokens.
    `expires_s` is seconds since the epoch, 0 for never.
    """

    account: str
    name: str
    roles: frozenset[str]
    password_hash: str = ""
    display_name: str = ""
    email: str = ""
    created_s: int = 0
    expires_s: int = 0
    disabled: bool = False
    generation: int = 1
    born: str = ""

    @property
    def id(self) -> str:
        """`account:name`."""
        return f"{self.account}:{self.name}"

    @property
    def is_admin(self) -> bool:
        """Whether the user owns its account."""
        return ADMIN in self.roles

    @property
    def is_reseller_admin(self) -> bool:
        """Whether the user owns every account."""
        return RESELLER_ADMIN in self.roles

    @property
    def groups(self) -> frozenset[str]:
        """The groups that ACLs may name. Built-in roles are none: an account may bear such a name."""
        return self.roles.difference(ROLES)

    def may_sign_in(self, now_s: float) -> bool:
        """Return whether the user is neither disabled nor expired."""
        return not self.disabled and (not self.expires_s or now_s < self.expires_s)

    def owns(self, account: str) -> bool:
        """Return whether the user may do anything in an account."""
        return RESELLER_ADMIN in self.roles or (ADMIN in self.roles and account == self.account)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An S3 access key at rest: the secret is sealed (proxy.identity.sealing)."""

    id: str
    user_id: str
    sealed_secret: bytes
    created_s: int = 0
    expires_s: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class S3Key:
    """An S3 access key ready to check signatures with, and the user it speaks for."""

    id: str
    secret: str
    user: User
    expires_s: int = 0

    @property
    def account(self) -> str:
        """The account in which the key makes buckets."""
        return self.user.account


def make_user_id(account: str, name: str) -> str:
    """Return `account:name`. Raises InvalidName where either part cannot be one."""
    check_name(account, what="account", bytes_max=ACCOUNT_BYTES_MAX)
    check_name(name, what="user", bytes_max=_USER_NAME_BYTES_MAX)
    if ":" in account or "/" in account or "," in account:
        raise InvalidName("an account name holds no colon, slash or comma")
    if account.startswith((ACCOUNT_PREFIX, ".")):
        raise InvalidName(f"an account name does not start with {ACCOUNT_PREFIX} or a dot")
    if "," in name or "/" in name:
        raise InvalidName("a user name holds no comma or slash")
    return f"{account}:{name}"


def split_user_id(user_id: str) -> tuple[str, str]:
    """Return account and name of an id. Raises InvalidName where it is not `account:name`."""
    account, colon, name = user_id.partition(":")
    if not colon:
        raise InvalidName(f"{user_id!r} is not of the form account:user")
    make_user_id(account, name)
    return account, name


def check_key_id(key_id: str) -> str:
    """Return an S3 access key id. Raises InvalidName where clients could not send it."""
    check_name(key_id, what="access key", bytes_max=_KEY_ID_BYTES_MAX)
    if any(mark in key_id for mark in "/, \t\r\n"):
        raise InvalidName("an access key holds no slash, comma or space")
    return key_id


def check_email(email: str) -> str:
    """Return an e-mail address, or nothing. Raises InvalidName where it is no address."""
    if not email:
        return ""
    check_name(email, what="e-mail address", bytes_max=EMAIL_BYTES_MAX)
    local, _, domain = email.rpartition("@")
    if not local or not domain or any(mark in email for mark in '/, "\t\r\n'):
        raise InvalidName(f"{email!r} is no e-mail address")
    return email


def check_roles(roles: Iterable[str]) -> frozenset[str]:
    """Return the roles as a set. Raises InvalidName for one that an ACL could not name."""
    checked = frozenset(role.strip().removeprefix(".") for role in roles if role.strip())
    for role in checked:
        check_name(role, what="role", bytes_max=_USER_NAME_BYTES_MAX)
        if "," in role or ":" in role:
            raise InvalidName(f"role {role!r} holds a comma or a colon")
    return checked


def pack_user(user: User) -> bytes:
    """Return the msgpack of a user."""
    return _pack(
        (
            RECORD_VERSION,
            user.account,
            user.name,
            sorted(user.roles),
            user.password_hash,
            user.display_name,
            user.email,
            user.created_s,
            user.expires_s,
            user.disabled,
            user.generation,
            user.born,
        )
    )


def unpack_user(packed: bytes) -> User:
    """Return the user of a msgpack. Raises CorruptRecord."""
    account, name, roles, *rest = _unpack(packed, 12)
    return User(account, name, frozenset(roles), *rest)


def pack_key(key: StoredKey) -> bytes:
    """Return the msgpack of an S3 key at rest."""
    return _pack(
        (
            RECORD_VERSION,
            key.id,
            key.user_id,
            key.sealed_secret,
            key.created_s,
            key.expires_s,
            key.description,
        )
    )


def unpack_key(packed: bytes) -> StoredKey:
    """Return the S3 key of a msgpack. Raises CorruptRecord."""
    return StoredKey(*_unpack(packed, 7))


def _pack(fields: tuple[object, ...]) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack(packed: bytes, count: int) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"an identity record cannot be decoded: {error}") from error
    if not isinstance(fields, list) or len(fields) != count or fields[0] != RECORD_VERSION:
        raise CorruptRecord("an identity record is of an unknown form")
    return fields[1:]
