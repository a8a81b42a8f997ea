"""Which account a bucket name belongs to, remembered where that cannot mislead."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.identity.users import User
    from proxy.operations.colony import Colony

KEPT_MAX: Final = 100_000
KEEP_MS: Final = 60_000


class BucketNames:
    """Claims of bucket names as this process has seen them.

    A remembered claim is used only for a user who owns that account: at worst, the bucket has gone
    since, and the operation itself says so. Anyone else is answered from the colony, so that who
    takes over a name, or is let in by an ACL, meets the present holder. Absence is never remembered.
    """

    def __init__(self, colony: Colony, now_ms: Callable[[], int]) -> None:
        self._colony = colony
        self._now_ms = now_ms
        self._kept: OrderedDict[str, tuple[int, str]] = OrderedDict()

    async def account_of(self, name: str, user: User | None) -> str | None:
        """Return the account that holds a name, or None where it is free."""
        kept = self._kept.get(name)
        now_ms = self._now_ms()
        if kept is not None and kept[0] > now_ms and user is not None and user.owns(kept[1]):
            return kept[1]
        account = await self._colony.bucket_account(name)
        if account is None:
            self._kept.pop(name, None)
            return None
        self._kept[name] = (now_ms + KEEP_MS, account)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return account

    async def claim(self, name: str, account: str) -> str:
        """Claim a name for an account; return who holds it, maybe another."""
        return await self._colony.claim_bucket(name, account)

    async def release(self, name: str) -> None:
        """Give a name up."""
        self._kept.pop(name, None)
        await self._colony.release_bucket(name)
