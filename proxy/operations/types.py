"""The words that the API verbs and the operations share: what to store, and what was found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from model.containers import ContainerRecord, Versioning, registers, versioning_of
from model.entry import Entry
from model.errors import Encrypted
from model.listing import Listed
from model.names import NULL_VERSION, ContainerPath, ObjectPath
from model.objects import Manifest, ObjectRecord, Part
from model.stamp import Stamp, stamp_ms
from proxy.encryption.sealed import Seal

Buffer = bytes | bytearray | memoryview


class BodySource(Protocol):
    """The bytes of a new object, read once. `proxy.http.messages.BodyStream` is one."""

    length: int | None

    def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the bytes, in buffers that are the receiver's to keep. May raise at any point, also
        after the last byte (a trailing checksum that does not match): then nothing is stored."""


class HeldBody:
    """A body that is already in memory."""

    def __init__(self, body: Buffer) -> None:
        self.body = body
        self.length: int | None = len(body)

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the body at once."""
        if self.body:
            yield self.body


class StreamedBody:
    """A body that another operation produces, for copies."""

    def __init__(self, source: AsyncIterator[Buffer], length: int | None) -> None:
        self.source = source
        self.length = length

    def chunks(self) -> AsyncIterator[Buffer]:
        """Return the source itself."""
        return self.source


@dataclass(frozen=True, slots=True)
class Digests:
    """What was computed over a whole body: hex MD5, size in bytes, base64 by S3 algorithm name."""

    md5: str
    size: int
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewObject:
    """What a client wants stored beside the bytes.

    `checksums` names the S3 algorithms to compute over the body (CRC32, CRC32C, CRC64NVME, SHA1,
    SHA256); the results are stored in the record. `verify` is called with the digests once the
    body is whole and before anything is stored; what it raises ends the write. `etag` replaces the
    MD5 as the ETag (manifests). `stated_size` is the logical size where the bytes are elsewhere.
    """

    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    user: Mapping[str, str] = field(default_factory=dict)
    delete_at: int = 0
    owner: str = ""
    checksums: tuple[str, ...] = ()
    stated_checksums: Mapping[str, str] = field(default_factory=dict)
    verify: Callable[[Digests], None] | None = None
    etag: str | None = None
    manifest: Manifest = Manifest.NONE
    parts: tuple[Part, ...] = ()
    stated_size: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    listed: Mapping[str, Any] = field(default_factory=dict)
    """What goes into `extra` of the listing row (for example an SLO's own ETag)."""
    sides: Mapping[str, bytes] = field(default_factory=dict)
    """Side registers written together with the object (tags, retention)."""
    seal: Seal | None = None
    """How the bytes are to be encrypted."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as GET and HEAD know it: its record with later metadata updates laid over.

    `modified_ms` is the newest of the data and a metadata update; `created_ms` that of the data.
    """

    path: ObjectPath
    record: ObjectRecord
    stamp: Stamp
    modified: Stamp
    sides: Mapping[str, bytes]
    version_id: str = NULL_VERSION
    """The id by which this version is asked for: "null", or that of `stamp`."""
    is_versioned_container: bool = False
    """Whether versioning was ever turned on where the object is, so that clients are told the id."""
    is_marker: bool = False
    """Whether it stands for a delete marker; only preconditions of deletions ever see one."""

    @property
    def created_ms(self) -> int:
        """Milliseconds since the epoch at which the data was written."""
        return stamp_ms(self.stamp)

    @property
    def modified_ms(self) -> int:
        """Milliseconds since the epoch of the last change, metadata included."""
        return stamp_ms(self.modified)


Precondition = Callable[[StoredObject | None], None]
"""Looks at what is stored now (None for absent) and raises where a condition of the request fails."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion did.

    `stored` is the version that is gone for good with its bytes, None where none is. `version_id` is
    that of the marker made or of the version removed; None in a container without versioning, and
    `is_marker` says that a marker was made, or that the version removed was one.
    """

    stored: StoredObject | None = None
    version_id: str | None = None
    is_marker: bool = False


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """What a listing of versions asks for; names in bytes, as they sort.

    It goes on after `version_marker` (a version id, or "null") of the name `key_marker`, or without one
    after all versions of that name.
    """

    prefix: bytes = b""
    delimiter: bytes = b""
    key_marker: bytes = b""
    version_marker: str | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version on a page: its listing row, its id, what it is, and the stamp it is ordered by."""

    row: Listed
    version_id: str
    is_latest: bool
    is_marker: bool
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One page of versions: names ascending, newest first in each; a common prefix is a `str`.

    Where `truncated`, the next page goes on after `next_key` and `next_version` (None after a prefix).
    """

    items: Sequence[ListedVersion | str]
    truncated: bool = False
    next_key: bytes = b""
    next_version: str | None = None


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object with a way to its bytes.

    `data` is all of the bytes asked for, where the object is small and was asked for whole; else
    `read(offset, length)` yields any range, in order, verified, falling over between replicas. Where the
    object is encrypted and cannot be opened, `locked` says why, and `read` raises it.
    """

    stored: StoredObject
    data: Buffer | None
    read: Callable[[int, int], AsyncIterator[Buffer]]
    locked: Encrypted | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container (or account) as it is now: creation and settings."""

    path: ContainerPath
    record: ContainerRecord
    entry: Entry
    settings: Mapping[str, bytes]
    """Registers that are set: see model.containers for the names."""

    @property
    def versioning(self) -> Versioning:
        """Whether writes keep what was there."""
        return versioning_of(self.settings)

    @property
    def created_ms(self) -> int:
        """Milliseconds since the epoch of its creation."""
        return stamp_ms(self.entry.stamp)

    @property
    def modified_ms(self) -> int:
        """Milliseconds since the epoch of its last change of settings."""
        return stamp_ms(self.entry.newest)

    @staticmethod
    def of(path: ContainerPath, record: ContainerRecord, entry: Entry) -> Container:
        """Return the container of a live entry."""
        return Container(path, record, entry, registers(entry.sides))


@dataclass(frozen=True, slots=True)
class Totals:
    """Live objects in a container, and their logical bytes."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """Containers of an account, their objects and bytes."""

    containers: int
    objects: int
    bytes: int
