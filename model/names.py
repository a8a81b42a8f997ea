"""Names of accounts, containers and objects, their limits, and how they place an entry. Pure.

One namespace serves both APIs: an S3 bucket is a container, a key is an object. Names that start
with a NUL byte are the colony's own: never listed to a user, never accepted from one. Nor is a NUL
anywhere else in a name, since it parts a name from a version in the keys of listing rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.entry import KEY_HEAD_BYTES, Table, make_key
from model.errors import InvalidName
from model.stamp import STAMP_BYTES, Stamp

_INVERSE: Final = bytes(range(255, -1, -1))

ACCOUNT_BYTES_MAX: Final = 256
CONTAINER_BYTES_MAX: Final = 256
OBJECT_BYTES_MAX: Final = 1024

HIDDEN: Final = "\0"
ROW_SEPARATOR: Final = b"\0"
"""Between a name and a version in the key of a listing row."""
NULL_VERSION: Final = "null"
"""The version id of the version that has none: written while versioning was off or suspended."""
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
    """Return the name unchanged. Raises InvalidName where it is empty, too long, not UTF-8 or holds a NUL."""
    if not name:
        raise InvalidName(f"{what} name is empty")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidName(f"{what} name is not UTF-8") from error
    if size_bytes > bytes_max:
        raise InvalidName(f"{what} name is {size_bytes} bytes long; the limit is {bytes_max}")
    if HIDDEN in name:
        raise InvalidName(f"{what} name holds a NUL byte")
    return name


def uploads_of(path: ContainerPath) -> ContainerPath:
    """Return the hidden container that lists a container's multipart uploads, `key NUL upload`."""
    return ContainerPath(path.account, f"{HIDDEN}uploads{HIDDEN}{path.container}")


def parts_of(path: ContainerPath) -> ContainerPath:
    """Return the hidden container that lists the parts of uploads, `key NUL upload NUL number`."""
    return ContainerPath(path.account, f"{HIDDEN}parts{HIDDEN}{path.container}")


def object_key(digest: bytes, version: Stamp | None = None) -> bytes:
    """Return the key of an object's null version, or of one version; newer versions sort first."""
    return make_key(Table.OBJECT, digest, b"" if version is None else inverse(version))


def version_of_key(key: bytes) -> Stamp | None:
    """Return the version that the key of an object is of, None for the null version."""
    suffix = key[KEY_HEAD_BYTES:]
    return Stamp(inverse(suffix)) if suffix else None


def inverse(stamp: bytes) -> bytes:
    """Return the bitwise inverse of a stamp, so that the newest sorts first, or the stamp of an inverse."""
    return stamp.translate(_INVERSE)


def index_key(digest: bytes, name: str, version: Stamp | None = None) -> bytes:
    """Return the key of a listing row: a name in the index of the container (or account) of a digest.

    The row of a version has the name, a NUL and the inverse of the version's stamp: so the versions of a
    name follow its null row, newest first, and come before every other name.
    """
    suffix = encode_name(name)
    if version is not None:
        suffix += ROW_SEPARATOR + inverse(version)
    return make_key(Table.INDEX, digest, suffix)


def split_row_name(raw: bytes) -> tuple[bytes, Stamp | None]:
    """Return the name that a row of a user's container is under, and its version, None for the null row."""
    name, separator, version = raw.partition(ROW_SEPARATOR)
    return name, Stamp(inverse(version)) if separator and len(version) == STAMP_BYTES else None
