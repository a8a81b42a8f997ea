"""What a container's and an account's entry say, and the register each setting lives in. Pure.

The base of a CONTAINER entry is its creation; every setting is a side register of its own, so two
administrators who change different settings at once both succeed. Register names:

    meta:NAME       a user's metadata (X-Container-Meta-NAME), lower case
    acl:read        Swift read ACL text          acl:write   Swift write ACL text
    s3:acl          S3 ACL grants (msgpack)      set:NAME    any other setting, by its own codec
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgpack

from model.entry import Entry, Sides
from model.errors import CorruptRecord

RECORD_VERSION: Final = 1
META: Final = "meta:"
ACL_READ: Final = "acl:read"
ACL_WRITE: Final = "acl:write"
S3_ACL: Final = "s3:acl"
SETTING: Final = "set:"
VERSIONING: Final = "set:versioning"
"""Absent where versioning was never turned on; see `Versioning`."""
POLICY: Final = "set:policy"
"""The JSON text of the bucket policy, as it was put."""
PUBLIC_ACCESS_BLOCK: Final = "set:public-access-block"
"""See proxy.auth.public_access."""
OWNERSHIP: Final = "set:ownership"
"""AWS's name of who owns objects that other accounts write; see proxy.s3.ownership."""
TOUCHED: Final = "set:touched"
"""Never has a value: its stamp alone tells when a PUT that changed nothing was accepted."""


class Versioning(Enum):
    """Whether writes to a container keep what was there; the value is that of the register."""

    OFF = b""
    """Never turned on: each name has one version, the null one."""
    ENABLED = b"Enabled"
    """Each write makes a version of its own, each deletion a marker."""
    SUSPENDED = b"Suspended"
    """Writes replace the null version, deletions make null markers; older versions stay."""


_VERSIONING: Final = {one.value: one for one in Versioning}


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """The base value of a CONTAINER entry (of an ACCOUNT entry too, with an empty container).

    `owner` is the id of the user who made it. `policy` names the storage policy.
    """

    account: str
    container: str
    owner: str
    policy: str = "default"


def pack_container(record: ContainerRecord) -> bytes:
    """Return the msgpack of a container's record."""
    fields = (RECORD_VERSION, record.account, record.container, record.owner, record.policy)
    packed: bytes = msgpack.packb(fields, unicode_errors="surrogateescape")
    return packed


def unpack_container(packed: bytes) -> ContainerRecord:
    """Return the record of a msgpack. Raises CorruptRecord for one that cannot be decoded."""
    try:
        version, *fields = msgpack.unpackb(packed, unicode_errors="surrogateescape")
        if version != RECORD_VERSION:
            raise CorruptRecord(f"container record of version {version}")
        return ContainerRecord(*fields)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"container record cannot be decoded: {error}") from error


def registers(sides: Sides) -> dict[str, bytes]:
    """Return the registers that are set: name to value, removed ones left out."""
    return {name: value for name, (_, value) in sides.items() if value}


def versioning_of(settings: Mapping[str, bytes]) -> Versioning:
    """Return the versioning that a container's registers say. Raises CorruptRecord."""
    try:
        return _VERSIONING[settings.get(VERSIONING, b"")]
    except KeyError as error:
        raise CorruptRecord(f"container with a versioning of {error}") from error


def metadata(entry: Entry) -> dict[str, str]:
    """Return the user metadata of a container or account entry, names lower case without prefix."""
    cut = len(META)
    return {
        name[cut:]: value.decode("utf-8", "surrogateescape")
        for name, (_, value) in entry.sides.items()
        if value and name.startswith(META)
    }
