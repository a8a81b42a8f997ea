"""Names of accounts, containers and objects, their limits, and how they place an entry. Pure.

One namespace serves both APIs: an S3 bucket is a container, a key is an object. Names that start
with a NUL byte are the colony's own: never listed to a user, never accepted from one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.entry import Table, make_key
from model.errors import InvalidName
from model.stamp import Stamp

ACCOUNT_BYTES_MAX: Final = 256
CONTAINER_BYTES_MAX: Final = 256
OBJECT_BYTES_MAX: Final = 1024

HIDDEN: Final = "\0"
SYSTEM_ACCOUNT: Final = "\0system"
"""Holds what the colony keeps for itself: users, keys, bucket claims."""


@dataclass(frozen=True, slots=True)
class ContainerPath:
    """An account and a container in it."""

    account: str
    container: str

    def object(self, name: str) -> ObjectPath:
        """Return the path of an object in this container."""
        return ObjectPath(self.account, self.container, name)

    def __str__(self) -> str:
        return f"{self.account}/{self.container}"


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An account, a container and an object in it."""

    account: str
    container: str
    name: str

    @property
    def parent(self) -> ContainerPath:
        """The container that lists the object."""
        return ContainerPath(self.account, self.container)

    def __str__(self) -> str:
        return f"{self.account}/{self.container}/{self.name}"


def encode_name(name: str) -> bytes:
    """Return a name as bytes; bytes that were not UTF-8 on arrival come back unchanged."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(raw: bytes) -> str:
    """Return bytes as a name, the reverse of `encode_name`."""
    return raw.decode("utf-8", "surrogateescape")


def check_name(name: str, *, what: str, bytes_max: int) -> str:
    """Return the name unchanged. Raises InvalidName where it is empty, too long, hidden or not UTF-8."""
    if not name:
        raise InvalidName(f"{what} name is empty")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidName(f"{what} name is not UTF-8") from error
    if size_bytes > bytes_max:
        raise InvalidName(f"{what} name is {size_bytes} bytes long; the limit is {bytes_max}")
    if name.startswith(HIDDEN):
        raise InvalidName(f"{what} name starts with a NUL byte")
    return name


def uploads_of(path: ContainerPath) -> ContainerPath:
    """Return the hidden container that lists a container's multipart uploads, `key NUL upload`."""
    return ContainerPath(path.account, f"{HIDDEN}uploads{HIDDEN}{path.container}")


def parts_of(path: ContainerPath) -> ContainerPath:
    """Return the hidden container that lists the parts of uploads, `key NUL upload NUL number`."""
    return ContainerPath(path.account, f"{HIDDEN}parts{HIDDEN}{path.container}")


def object_key(digest: bytes, version: Stamp | None = None) -> bytes:
    """Return the key of an object's null version, or of one version; newer versions sort first."""
    suffix = b"" if version is None else bytes(255 - byte for byte in version)
    return make_key(Table.OBJECT, digest, suffix)


def index_key(digest: bytes, name: str) -> bytes:
    """Return the key of a listing row: a name in the index of the container (or account) of a digest."""
    return make_key(Table.INDEX, digest, encode_name(name))
