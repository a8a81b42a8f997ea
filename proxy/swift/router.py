"""From a path to what it names: a typed route. Pure.

A path is percent-decoded as a whole before it is split, as Swift does, so an encoded slash
separates like a plain one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

from model.names import HIDDEN, ContainerPath, ObjectPath, decode_name
from proxy.identity.users import ACCOUNT_PREFIX
from proxy.swift.errors import Refused

_VERSIONS: Final = ("v1", "v1.0")
INFO_PATH: Final = "/info"
HEALTH_PATH: Final = "/healthcheck"
_AUTH: Final = "/auth/"


class Kind(Enum):
    """What a Swift path names."""

    AUTH = "auth"
    INFO = "info"
    HEALTH = "health"
    ACCOUNT = "account"
    CONTAINER = "container"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Route:
    """What a request names. `account` is without the reseller's prefix, as the colony stores it.

    For AUTH, `object` holds the rest of the path.
    """

    kind: Kind
    account: str = ""
    container: str = ""
    object: str = ""

    @property
    def container_path(self) -> ContainerPath:
        """The container named."""
        return ContainerPath(self.account, self.container)

    @property
    def object_path(self) -> ObjectPath:
        """The object named."""
        return ObjectPath(self.account, self.container, self.object)


def route_path(raw_path: str) -> Route:
    """Return the route of a path. Raises Refused for one that names nothing."""
    if raw_path == INFO_PATH:
        return Route(Kind.INFO)
    if raw_path == HEALTH_PATH:
        return Route(Kind.HEALTH)
    if raw_path.startswith(_AUTH):
        return Route(Kind.AUTH, object=raw_path[len(_AUTH) :])
    path = decode_path(raw_path)
    parts = path.split("/", 4)
    if len(parts) < 3 or parts[0]:
        raise Refused(412, "Bad URL")
    if not parts[1] or not parts[2]:
        raise Refused(404)
    if parts[1] not in _VERSIONS:
        raise Refused(400)
    account = strip_account(parts[2])
    container = parts[3] if len(parts) > 3 else ""
    name = parts[4] if len(parts) > 4 else ""
    if not container:
        if name:
            raise Refused(404)
        return Route(Kind.ACCOUNT, account)
    if not name:
        return Route(Kind.CONTAINER, account, container)
    return Route(Kind.OBJECT, account, container, name)


def decode_path(raw_path: str) -> str:
    """Return a path percent-decoded. Raises Refused where it is not UTF-8 or holds a NUL."""
    path = raw_path
    if "%" in raw_path:
        path = decode_name(unquote_to_bytes(raw_path.encode("utf-8", "surrogateescape")))
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise Refused(412, "Invalid UTF8 or contains NULL") from error
    if HIDDEN in path:
        raise Refused(412, "Invalid UTF8 or contains NULL")
    return path


def strip_account(name: str) -> str:
    """Return the account of a path's `AUTH_account`. Raises Refused for another reseller's."""
    account = name.removeprefix(ACCOUNT_PREFIX)
    if not account or account == name:
        raise Refused(404)
    return account


def split_object_header(value: str, complaint: str) -> tuple[str, str]:
    """Return container and object of a header such as Destination. Raises Refused with the complaint."""
    container, slash, name = decode_path(value).removeprefix("/").partition("/")
    if not container or not slash or not name:
        raise Refused(412, complaint)
    return container, name
