"""The first administrator, made when a colony starts with no user at all."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.identity.directory import AlreadyExists, Directory
from proxy.identity.sealing import random_secret
from proxy.identity.users import ADMIN, RESELLER_ADMIN


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """What the first administrator signs in with; shown once, then known to nobody but the reader."""

    user_id: str
    password: str
    access_key: str
    secret: str


async def ensure_first_admin(
    directory: Directory,
    *,
    user_id: str = "admin:admin",
    password: str = "",
    access_key: str = "",
    secret: str = "",
) -> FirstAdmin | None:
    """Make an administrator of every account where the colony has no user; return its credentials.

    Returns None where there are users already. What is not given is drawn at random. Raises
    Unavailable, InvalidName.
    """
    if not await directory.is_empty():
        return None
    password = password or random_secret()
    try:
        await directory.add_user(user_id, password, roles=(ADMIN, RESELLER_ADMIN))
    except AlreadyExists:
        # Another node starts at the same moment and was first.
        return None
    key = await directory.add_key(user_id, key_id=access_key, secret=secret, description="first admin")
    return FirstAdmin(user_id, password, key.id, key.secret)
