"""What an object's entry says of it: metadata, checksums, and where its parts are. Pure.

`ObjectRecord` is the value of an OBJECT entry; `PostedMetadata` is the side register that a Swift
POST writes over it. Both are msgpack arrays that start with a format version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import msgpack

from model.errors import CorruptRecord
from model.listing import STANDS_AT, pack_listed
from model.names import HIDDEN, ObjectPath
from model.stamp import Stamp

RECORD_VERSION: Final = 1
POSTED: Final = "posted"
"""Name of the side register that a metadata-only update writes."""
TAGS: Final = "tags"

LISTED: Final = "listed"
"""In a record's extra: what its listing row shows beside ETag and content type."""
EXPIRES: Final = "x"
"""In a listing row's extra, and as its side register (decimal): seconds since the epoch of expiry."""
SUM: Final = "c"
"""In a listing row's extra: the algorithm of the object's first checksum; OF_PARTS follows a COMPOSITE's."""
OF_PARTS: Final = "-"
STORAGE_CLASS: Final = "s"
"""In a listing row's extra: the storage class, where it was named and is not STANDARD."""
_STORAGE_CLASS_HEADER: Final = "x-amz-storage-class"
WITHIN: Final = "in"
"""In the extra of a row of a hidden container, which has no entry of its own: [account, container]."""


class Manifest(IntEnum):
    """Whether an object's bytes are its own or those of other objects."""

    NONE = 0
    MULTIPART = 1
    """S3 multipart upload: parts live in the hidden container and go when the object goes."""
    STATIC = 2
    """Swift SLO: segments are objects of the user's own."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a manifest: an object of `account`, or bytes held inline.

    `offset` and `size` select the bytes used, of an object of `whole` bytes. `number` is the S3
    part number, or the 1-based position of a segment.
    """

    number: int
    account: str
    container: str
    name: str
    etag: str
    size: int
    offset: int = 0
    whole: int = 0
    inline: bytes = b""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """Everything about one version of an object but its bytes.

    `etag` is the hex ETag without quotes. `headers` are stored response headers under their lower
    case names (content-encoding, cache-control, x-object-manifest, …). `user` is user metadata,
    lower-case names without any prefix: one set for both APIs. `delete_at` is seconds since the
    epoch, 0 for never. `checksums` maps an S3 algorithm name to its base64 value, or with a `-N`
    suffix for a COMPOSITE one. `extra` holds what later formats add.
    """

    account: str
    container: str
    name: str
    size: int
    etag: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    user: Mapping[str, str] = field(default_factory=dict)
    delete_at: int = 0
    owner: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    manifest: Manifest = Manifest.NONE
    parts: tuple[Part, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PostedMetadata:
    """What a metadata-only update replaces; None leaves the stored content type."""

    content_type: str | None
    headers: Mapping[str, str]
    user: Mapping[str, str]
    delete_at: int = 0


def part_fields(part: Part) -> tuple[object, ...]:
    """Return the fields of a part in the order of its constructor."""
    return (
        part.number,
        part.account,
        part.container,
        part.name,
        part.etag,
        part.size,
        part.offset,
        part.whole,
        part.inline,
        part.checksum,
    )


def pack_record(record: ObjectRecord) -> bytes:
    """Return the msgpack of a record."""
    parts = [part_fields(part) for part in record.parts]
    return _pack(
        (
            RECORD_VERSION,
            record.account,
            record.container,
            record.name,
            record.size,
            record.etag,
            record.content_type,
            record.headers,
            record.user,
            record.delete_at,
            record.owner,
            record.checksums,
            record.manifest,
            parts,
            record.extra,
        )
    )


def unpack_record(packed: bytes) -> ObjectRecord:
    """Return the record of a msgpack. Raises CorruptRecord for one that cannot be decoded."""
    fields = _unpack(packed, 15)
    parts = tuple(Part(*part) for part in fields[13])
    return ObjectRecord(*(*fields[1:12], Manifest(fields[12]), parts, fields[14]))


def pack_posted(posted: PostedMetadata) -> bytes:
    """Return the msgpack of a metadata-only update."""
    return _pack((RECORD_VERSION, posted.content_type, posted.headers, posted.user, posted.delete_at))


def unpack_posted(packed: bytes) -> PostedMetadata:
    """Return the update of a msgpack. Raises CorruptRecord for one that cannot be decoded."""
    return PostedMetadata(*_unpack(packed, 5)[1:])


def row_value(record: ObjectRecord, stands_at: Stamp | None = None) -> bytes:
    """Return the value of the listing row that belongs to a record: all of it derives from the record.

    `stands_at` is the record's stamp where the row's own is later.
    """
    extra = dict(record.extra.get(LISTED, {}))
    if stands_at is not None:
        extra[STANDS_AT] = stands_at
    if record.delete_at:
        extra[EXPIRES] = record.delete_at
    if record.container.startswith(HIDDEN):
        extra[WITHIN] = [record.account, record.container]
    elif record.checksums:
        name, value = next(iter(record.checksums.items()))
        extra[SUM] = name + OF_PARTS if OF_PARTS in value else name
    storage_class = record.headers.get(_STORAGE_CLASS_HEADER, "STANDARD")
    if storage_class != "STANDARD":
        extra[STORAGE_CLASS] = storage_class
    return pack_listed(record.etag, record.content_type, extra)


def marker_value(path: ObjectPath) -> bytes:
    """Return the value of a delete marker: a record that names what is deleted and says no more."""
    return pack_record(ObjectRecord(path.account, path.container, path.name, 0, "", ""))


def marker_row_value(stands_at: Stamp | None = None) -> bytes:
    """Return the value of the listing row of a delete marker; see `row_value`."""
    return pack_listed("", "", None if stands_at is None else {STANDS_AT: stands_at})


def pack_names(path: ObjectPath) -> bytes:
    """Return the value of a tombstone: the names it stands for, since its key is only a digest of them.

    A container's tombstone has an empty object name, an account's an empty container name too.
    """
    return _pack((RECORD_VERSION, path.account, path.container, path.name))


def unpack_names(packed: bytes) -> ObjectPath:
    """Return the names in a tombstone's value. Raises CorruptRecord for one that cannot be decoded."""
    return ObjectPath(*_unpack(packed, 4)[1:])


def _pack(fields: tuple[object, ...]) -> bytes:
    packed: bytes = msgpack.packb(fields, unicode_errors="surrogateescape")
    return packed


def _unpack(packed: bytes, count: int) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed, unicode_errors="surrogateescape", strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"metadata cannot be decoded: {error}") from error
    if not isinstance(fields, list) or len(fields) != count or fields[0] != RECORD_VERSION:
        raise CorruptRecord("metadata is of an unknown form")
    return fields
