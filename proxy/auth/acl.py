"""Swift's container ACLs: cleaning, parsing, and whether they let somebody in. Pure.

An ACL is a list of items: `.r:` referrer rules (`.r:*`, `.r:host`, `.r:.domain`, `.r:-host`),
`.rlistings`, and groups (`account`, `account:user`, `account:*`, `*:user`, `*:*`, a role).
Source: OpenStack, "Access Control Lists (ACLs)", object storage documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

_REFERRER_WORDS: Final = (".r", ".ref", ".referer", ".referrer")
_LISTINGS: Final = ".rlistings"
_EVERYBODY: Final = "*:*"


class AclKind(Enum):
    """Whether an ACL opens reading or writing."""

    READ = "read"
    WRITE = "write"


class Access(Enum):
    """What a request wants of a container."""

    READ_OBJECT = "read object"
    LIST = "list"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Acl:
    """An ACL parsed: referrer rules in order, and groups."""

    referrers: tuple[str, ...]
    groups: frozenset[str]


class InvalidAcl(ValueError):
    """The text is not an ACL; the message is Swift's answer to the client."""


def clean_acl(text: str, kind: AclKind) -> str:
    """Return an ACL without spaces and with short designators. Raises InvalidAcl."""
    cleaned = [item for raw in text.split(",") if (item := _clean_item(raw.strip(), kind))]
    return ",".join(cleaned)


def _clean_item(item: str, kind: AclKind) -> str:
    first, colon, value = (part.strip() for part in item.partition(":"))
    if not colon or not first.startswith("."):
        return item
    if first not in _REFERRER_WORDS:
        raise InvalidAcl(f"Unknown designator {first!r} in ACL: {item!r}")
    if kind is AclKind.WRITE:
        raise InvalidAcl(f"Referrers not allowed in write ACL: {item!r}")
    denied = "-" if value.startswith("-") else ""
    host = value.removeprefix("-").strip()
    if host != "*":
        host = host.removeprefix("*").strip()
    if host in ("", "."):
        raise InvalidAcl(f"No host/domain value after referrer designation in ACL: {item!r}")
    return f".r:{denied}{host}"


@lru_cache(maxsize=4096)
def parse_acl(text: str) -> Acl:
    """Return a stored ACL parsed."""
    items = [item for item in text.split(",") if item]
    return Acl(
        tuple(item[3:] for item in items if item.startswith(".r:")),
        frozenset(unquote(item) for item in items if not item.startswith(".r:")),
    )


def acl_admits(acl: Acl, access: Access, *, groups: frozenset[str], referrer: str) -> bool:
    """Return whether an ACL opens what is wanted to these groups, or to this Referer header.

    `groups` is empty for somebody unauthenticated.
    """
    if (
        access is not Access.WRITE
        and acl.referrers
        and (access is Access.READ_OBJECT or _LISTINGS in acl.groups)
        and referrer_admitted(referrer, acl.referrers)
    ):
        return True
    return not acl.groups.isdisjoint(groups)


def referrer_admitted(referrer: str, rules: tuple[str, ...]) -> bool:
    """Return what the last rule that fits the referrer's host says; nothing fits: False."""
    host = _host_of(referrer)
    admitted = False
    for rule in rules:
        pattern = rule.removeprefix("-")
        fits = pattern == host or (pattern.startswith(".") and host.endswith(pattern))
        if rule.startswith("-"):
            admitted = admitted and not fits
        elif fits or pattern == "*":
            admitted = True
    return admitted


def without_public(acl: Acl) -> Acl:
    """Return an ACL without what lets in everybody, or everybody who has signed in."""
    return Acl((), acl.groups - {_EVERYBODY})


def opens_to_public(acl: Acl) -> bool:
    """Return whether an ACL lets in everybody, or everybody who has signed in."""
    admits = any(not rule.startswith("-") for rule in acl.referrers)
    return admits or _EVERYBODY in acl.groups


def acl_groups(account: str, name: str, groups: frozenset[str]) -> frozenset[str]:
    """Return every group under which an ACL may name a user who is in further `groups`."""
    return groups | {
        account,
        f"{account}:{name}",
        f"{account}:*",
        f"*:{name}",
        _EVERYBODY,
    }


def _host_of(referrer: str) -> str:
    try:
        return urlsplit(referrer).hostname or "unknown"
    except ValueError:
        return "unknown"
