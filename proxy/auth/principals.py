"""The Principal element of policies: whom a statement speaks of. Pure.

A user is named by its ARN (`arn:aws:iam::ACCOUNT:user/NAME`) or by its id (`ACCOUNT:NAME`, also as a
CanonicalUser); all users of an account by its name or by `arn:aws:iam::ACCOUNT:root`. `*` is everyone,
the anonymous included. Services and federated users are understood, and are nobody here.
Source: AWS IAM user guide, "AWS JSON policy elements: Principal".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.errors import InvalidName
from model.names import ACCOUNT_BYTES_MAX, check_name
from proxy.identity.users import split_user_id

_IAM_PARTS: Final = 6
_NOBODY: Final = ("Service", "Federated")


class InvalidPrincipal(ValueError):
    """A principal is not one."""


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement names."""

    everyone: bool
    accounts: frozenset[str]
    users: frozenset[str]

    def include(self, account: str | None, user_id: str | None) -> bool:
        """Whether a user is named; None and None are somebody anonymous."""
        return self.everyone or account in self.accounts or user_id in self.users


def user_arn(account: str, name: str) -> str:
    """Return the ARN of a user."""
    return f"arn:aws:iam::{account}:user/{name}"


def read_principals(element: object) -> Principals:
    """Return the principals of a Principal or NotPrincipal element. Raises InvalidPrincipal."""
    if element == "*":
        return Principals(True, frozenset(), frozenset())
    if not isinstance(element, dict) or not element:
        raise InvalidPrincipal("Invalid principal in policy")
    everyone = False
    accounts: set[str] = set()
    users: set[str] = set()
    for kind, named in element.items():
        for text in named if isinstance(named, list) and named else [named]:
            if not isinstance(text, str) or kind not in ("AWS", "CanonicalUser", *_NOBODY):
                raise InvalidPrincipal("Invalid principal in policy")
            if kind in _NOBODY:
                continue
            if text == "*" and kind == "AWS":
                everyone = True
                continue
            account, user_id = _read(text, kind)
            if user_id:
                users.add(user_id)
            else:
                accounts.add(account)
    return Principals(everyone, frozenset(accounts), frozenset(users))


def _read(text: str, kind: str) -> tuple[str, str]:
    """Return an account and the id of a user of it, empty for the whole account."""
    try:
        if kind == "CanonicalUser":
            return _of_id(text)
        if text.startswith("arn:"):
            return _of_arn(text)
        return _of_id(text) if ":" in text else (_account(text), "")
    except InvalidName:
        raise InvalidPrincipal("Invalid principal in policy") from None


def _of_id(text: str) -> tuple[str, str]:
    account, name = split_user_id(text)
    return _account(account), f"{account}:{name}"


def _of_arn(text: str) -> tuple[str, str]:
    parts = text.split(":", _IAM_PARTS - 1)
    if len(parts) != _IAM_PARTS or not parts[1].startswith("aws") or parts[2] != "iam" or parts[3]:
        raise InvalidPrincipal("Invalid principal in policy")
    account, what = parts[4], parts[5]
    if what == "root":
        return _account(account), ""
    kind, _, name = what.partition("/")
    if kind != "user" or not name:
        raise InvalidPrincipal("Invalid principal in policy")
    return _of_id(f"{account}:{name.rpartition('/')[2]}")


def _account(name: str) -> str:
    if "*" in name or "?" in name:
        raise InvalidPrincipal("Invalid principal in policy")
    return check_name(name, what="account", bytes_max=ACCOUNT_BYTES_MAX)
