"""The directory of users and S3 keys: looked up with caches that forget within two seconds.

Both API layers authenticate through it; `colonnade user` administers through it. Nothing of it
needs more than the colony: a record is a small object that the vault keeps.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kit.clock import monotonic_ms, wall_clock_ms
from model.errors import Absent, Conflict, PreconditionFailed
from model.listing import Listed
from proxy.identity.cache import FreshCache
from proxy.identity.sealing import (
    PasswordMemory,
    Sealer,
    decoy_hash,
    hash_password,
    random_access_key,
    random_secret,
    verify_password,
)
from proxy.identity.users import (
    EMAIL_BYTES_MAX,
    S3Key,
    StoredKey,
    User,
    check_email,
    check_key_id,
    check_roles,
    pack_key,
    pack_user,
    split_user_id,
    unpack_key,
    unpack_user,
)
from proxy.identity.vault import Vault
from proxy.operations.colony import Colony

_USER: Final = "user/"
_KEY: Final = "key/"
_EMAIL: Final = "email/"
_KEEP_PASSWORD_MS: Final = 5 * 60 * 1000
_VERIFY_AT_ONCE: Final = 2
_CHANGE_TRIES: Final = 8
_LOADS_AT_ONCE: Final = 16
_ID_LENGTH_MAX: Final = 600


class NoSuchUser(Absent):
    """No user has that id."""


class NoSuchKey(Absent):
    """No S3 key has that id."""


class AlreadyExists(Conflict):
    """A user or a key of that id exists."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An S3 key as listings show it, without its secret."""

    id: str
    user_id: str
    created_s: int
    expires_s: int
    description: str


class Directory:
    """Users and keys of one colony.

    `cluster_key` is the secret that all nodes share. Every lookup may raise Unavailable.
    """

    def __init__(
        self,
        colony: Colony,
        cluster_key: bytes,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        elapsed_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._vault = Vault(colony)
        self._sealer = Sealer(cluster_key)
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._users = FreshCache(self._load_user, now_ms=elapsed_ms)
        self._keys = FreshCache(self._load_key, now_ms=elapsed_ms)
        self._passwords = PasswordMemory(keep_ms=_KEEP_PASSWORD_MS)
        self._verifying = asyncio.Semaphore(_VERIFY_AT_ONCE)

    async def user(self, user_id: str, *, fresh: bool = False) -> User | None:
        """Return a user who may sign in, or None for one unknown, disabled or expired.

        `fresh` reads past the cache, for what a cached user refuses but a changed one may grant.
        """
        if len(user_id) > _ID_LENGTH_MAX:
            return None
        if fresh:
            self._users.forget(user_id)
        user = await self._users.get(user_id)
        return user if user is not None and user.may_sign_in(self._now_ms() / 1000) else None

    async def key(self, access_key_id: str) -> S3Key | None:
        """Return a key that may be used, with its secret and its user, or None."""
        if len(access_key_id) > _ID_LENGTH_MAX:
            return None
        held = await self._keys.get(access_key_id)
        if held is None:
            return None
        stored, secret = held
        if stored.expires_s and self._now_ms() >= stored.expires_s * 1000:
            return None
        user = await self.user(stored.user_id)
        return None if user is None else S3Key(stored.id, secret, user, stored.expires_s)

    async def user_by_email(self, email: str) -> User | None:
        """Return the user who may sign in and has an e-mail address, whatever its case, or None."""
        if not email or len(email) > EMAIL_BYTES_MAX:
            return None
        kept = await self._vault.read(_EMAIL + email.lower())
        user = None if kept is None else await self.user(kept.value.decode(), fresh=True)
        return user if user is not None and user.email.lower() == email.lower() else None

    async def authenticate(self, user_id: str, password: str) -> User | None:
        """Return the user whose password this is, or None.

        A password is verified in a thread, once in some minutes; unknown users take as long.
        """
        user = await self.user(user_id)
        if user is None or not user.password_hash:
            await self._verify(decoy_hash(), password)
            return None
        if await self._fits(user, password):
            return user
        # The password may be newer than what this process remembers of the user.
        renewed = await self.user(user_id, fresh=True)
        if renewed is None or renewed.password_hash == user.password_hash:
            return None
        return renewed if await self._fits(renewed, password) else None

    async def _fits(self, user: User, password: str) -> bool:
        if self._passwords.knows(user.password_hash, password, self._elapsed_ms()):
            return True
        if not await self._verify(user.password_hash, password):
            return False
        self._passwords.remember(user.password_hash, password, self._elapsed_ms())
        return True

    async def _verify(self, password_hash: str, password: str) -> bool:
        async with self._verifying:
            return await asyncio.to_thread(verify_password, password_hash, password)

    async def _load_user(self, user_id: str) -> User | None:
        kept = await self._vault.read(_USER + user_id)
        return None if kept is None else unpack_user(kept.value)

    async def _load_key(self, key_id: str) -> tuple[StoredKey, str] | None:
        kept = await self._vault.read(_KEY + key_id)
        if kept is None:
            return None
        stored = unpack_key(kept.value)
        return stored, self._sealer.open(stored.id, stored.sealed_secret)

    # Administration: rare, so it reads past the caches.

    async def is_empty(self) -> bool:
        """Return whether there is no user at all."""
        return not await self._vault.names(_USER, limit=1)

    async def add_user(
        self,
        user_id: str,
        password: str,
        *,
        roles: Iterable[str] = (),
        display_name: str = "",
        email: str = "",
        expires_s: int = 0,
    ) -> User:
        """Add a user; with an empty password nobody signs in by one. Raises AlreadyExists, InvalidName.

        An e-mail address belongs to one user of the colony; case does not matter in it.
        """
        account, name = split_user_id(user_id)
        await self._claim_email(user_id, check_email(email))
        user = User(
            account,
            name,
            check_roles(roles),
            await self._hash(password),
            display_name,
            email,
            created_s=self._now_ms() // 1000,
            expires_s=expires_s,
            born=secrets.token_hex(4),
        )
        try:
            await self._vault.create(_USER + user_id, pack_user(user))
        except PreconditionFailed as error:
            raise AlreadyExists(f"user {user_id!r} exists") from error
        self._users.forget(user_id)
        return user

    async def _claim_email(self, user_id: str, email: str) -> None:
        """Note whose an e-mail address is, before the user bears it. Raises AlreadyExists."""
        if not email:
            return
        name = _EMAIL + email.lower()
        kept = await self._vault.read(name)
        if kept is None:
            claim = self._vault.create(name, user_id.encode())
        else:
            holder = await self._load_user(kept.value.decode())
            if holder is not None and holder.id != user_id and holder.email.lower() == email.lower():
                raise AlreadyExists(f"{holder.id!r} has the e-mail address {email!r}")
            claim = self._vault.replace(name, user_id.encode(), kept)
        try:
            await claim
        except PreconditionFailed as error:
            raise AlreadyExists(f"somebody else is just taking the e-mail address {email!r}") from error

    async def set_email(self, user_id: str, email: str) -> User:
        """Set a user's e-mail address, empty for none. Raises NoSuchUser, AlreadyExists, InvalidName."""
        before = await self.find_user(user_id)
        await self._claim_email(user_id, check_email(email))
        changed = await self._change(user_id, lambda user: replace(user, email=email))
        if before.email.lower() != email.lower():
            await self._free_email(before)
        return changed

    async def _free_email(self, user: User) -> None:
        kept = await self._vault.read(_EMAIL + user.email.lower()) if user.email else None
        if kept is not None and kept.value.decode() == user.id:
            await self._vault.remove(_EMAIL + user.email.lower())

    async def users(self, account: str = "") -> list[User]:
        """Return all users, or those of one account, by id."""
        rows = await self._vault.names(f"{_USER}{account}:" if account else _USER)
        return await _in_batches([row.name.removeprefix(_USER) for row in rows], self._load_user)

    async def find_user(self, user_id: str) -> User:
        """Return a user as stored now, disabled or not. Raises NoSuchUser."""
        user = await self._load_user(user_id)
        if user is None:
            raise NoSuchUser(f"there is no user {user_id!r}")
        return user

    async def remove_user(self, user_id: str) -> None:
        """Remove a user and its S3 keys. Raises NoSuchUser."""
        user = await self.find_user(user_id)
        # The user first: without it none of its keys works, whatever happens next.
        await self._vault.remove(_USER + user_id)
        self._users.forget(user_id)
        for row in await self.keys(user_id):
            await self._vault.remove(_KEY + row.id)
            self._keys.forget(row.id)
        await self._free_email(user)

    async def set_password(self, user_id: str, password: str) -> User:
        """Set a user's password; tokens given before end. Raises NoSuchUser."""
        hashed = await self._hash(password)
        return await self._change(
            user_id, lambda user: replace(user, password_hash=hashed, generation=user.generation + 1)
        )

    async def set_roles(self, user_id: str, roles: Iterable[str]) -> User:
        """Set a user's roles; tokens given before end. Raises NoSuchUser, InvalidName."""
        checked = check_roles(roles)
        return await self._change(
            user_id, lambda user: replace(user, roles=checked, generation=user.generation + 1)
        )

    async def set_expiry(self, user_id: str, expires_s: int) -> User:
        """Set when a user ceases to work, in seconds since the epoch, 0 for never. Raises NoSuchUser."""
        return await self._change(user_id, lambda user: replace(user, expires_s=expires_s))

    async def disable_user(self, user_id: str) -> User:
        """Shut a user out, tokens and keys included. Raises NoSuchUser."""
        return await self._change(
            user_id, lambda user: replace(user, disabled=True, generation=user.generation + 1)
        )

    async def enable_user(self, user_id: str) -> User:
        """Let a disabled user in again; tokens given before stay ended. Raises NoSuchUser."""
        return await self._change(user_id, lambda user: replace(user, disabled=False))

    async def add_key(
        self, user_id: str, *, key_id: str = "", secret: str = "", expires_s: int = 0, description: str = ""
    ) -> S3Key:
        """Add an S3 key; id and secret are drawn where not given.

        Raises NoSuchUser, AlreadyExists, InvalidName.
        """
        user = await self.find_user(user_id)
        key_id = check_key_id(key_id or random_access_key())
        secret = secret or random_secret()
        stored = StoredKey(
            key_id,
            user_id,
            self._sealer.seal(key_id, secret),
            self._now_ms() // 1000,
            expires_s,
            description,
        )
        listed = {
            "user": user_id,
            "created": stored.created_s,
            "expires": expires_s,
            "description": description,
        }
        try:
            await self._vault.create(_KEY + key_id, pack_key(stored), listed=listed)
        except PreconditionFailed as error:
            raise AlreadyExists(f"key {key_id!r} exists") from error
        self._keys.forget(key_id)
        return S3Key(key_id, secret, user, expires_s)

    async def keys(self, user_id: str = "") -> list[KeyRow]:
        """Return all keys, or those of one user, by id."""
        rows = map(_key_row, await self._vault.names(_KEY))
        return [row for row in rows if not user_id or row.user_id == user_id]

    async def remove_key(self, key_id: str) -> None:
        """Remove an S3 key; it stops working everywhere within two seconds. Raises NoSuchKey."""
        if await self._vault.read(_KEY + key_id) is None:
            raise NoSuchKey(f"there is no key {key_id!r}")
        await self._vault.remove(_KEY + key_id)
        self._keys.forget(key_id)

    async def _hash(self, password: str) -> str:
        return await asyncio.to_thread(hash_password, password) if password else ""

    async def _change(self, user_id: str, alter: Callable[[User], User]) -> User:
        """Alter a user as stored now, again from the start where somebody else did meanwhile."""
        for _ in range(_CHANGE_TRIES):
            kept = await self._vault.read(_USER + user_id)
            if kept is None:
                raise NoSuchUser(f"there is no user {user_id!r}")
            user = alter(unpack_user(kept.value))
            try:
                await self._vault.replace(_USER + user_id, pack_user(user), kept)
            except PreconditionFailed:
                continue
            self._users.forget(user_id)
            return user
        raise Conflict(f"user {user_id!r} is being changed by others; try again")


def _key_row(row: Listed) -> KeyRow:
    extra = row.extra
    return KeyRow(
        row.name.removeprefix(_KEY),
        extra.get("user", ""),
        extra.get("created", 0),
        extra.get("expires", 0),
        extra.get("description", ""),
    )


async def _in_batches(names: Sequence[str], load: Callable[[str], Awaitable[User | None]]) -> list[User]:
    users: list[User] = []
    for start in range(0, len(names), _LOADS_AT_ONCE):
        found = await asyncio.gather(*map(load, names[start : start + _LOADS_AT_ONCE]))
        users += [user for user in found if user is not None]
    return users
