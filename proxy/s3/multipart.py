"""Multipart uploads in hidden containers: their records, their parts, and taking parts away.

An upload is an object `key NUL upload` in uploads_of(bucket); a part is an object
`key NUL upload NUL number` (five digits) in parts_of(bucket), and stays there as a part of the finished
object, whose manifest names it. Parts are never taken away here: once neither an upload nor an object
needs them, the replicator does it, some time later, since a reader may still be at them.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.errors import CustomerKeyNeeded, NoSuchObject, NoSuchUpload
from model.listing import Listed, Query, unpack_listed
from model.names import ContainerPath, ObjectPath, encode_name, parts_of, uploads_of
from proxy import checksums
from proxy.encryption.sealed import SSE, ETags, Mode, Seal, pack_sealed, sealed_of
from proxy.operations.sealing import make_sealed, open_key
from proxy.operations.types import StoredObject
from proxy.s3 import encryption
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, invalid_argument

_PAGE_ROWS: Final = 1000
_SEPARATOR: Final = "\0"

ALGORITHM: Final = "algorithm"
"""In an upload's extra: the checksum algorithm its parts bear."""
TYPE: Final = "type"
"""In an upload's extra: FULL_OBJECT or COMPOSITE."""
SAID: Final = "said"
"""In an upload's extra: the headers of its beginning that bucket policies ask for, for all of its parts."""
CHECKSUM: Final = "sum"
"""In a part's listing row: its checksum by the upload's algorithm."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in progress. `named` tells whether the client named the algorithm itself."""

    id: str
    stored: StoredObject
    algorithm: str
    type: str
    named: bool


def new_upload_id() -> str:
    """Return a new upload id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def upload_name(key: str, upload_id: str) -> str:
    """Return the name of an upload's record."""
    return f"{key}{_SEPARATOR}{upload_id}"


def upload_path(path: ContainerPath, key: str, upload_id: str) -> ObjectPath:
    """Return where an upload's record is."""
    return uploads_of(path).object(upload_name(key, upload_id))


def part_path(path: ContainerPath, key: str, upload_id: str, number: int) -> ObjectPath:
    """Return where a part's bytes are."""
    return parts_of(path).object(f"{key}{_SEPARATOR}{upload_id}{_SEPARATOR}{number:05}")


def split_upload_name(name: str) -> tuple[str, str]:
    """Return key and upload id of the name of an upload's record."""
    key, _, upload_id = name.rpartition(_SEPARATOR)
    return key, upload_id


async def find_upload(call: Call, path: ContainerPath) -> Upload:
    """Return the upload that the query names. Raises NoSuchUpload, NoSuchContainer."""
    upload_id = call.query.get("uploadId", "")
    if not upload_id or _SEPARATOR in upload_id:
        raise NoSuchUpload(upload_id)
    try:
        stored = await call.colony.head_object(upload_path(path, call.key, upload_id))
    except NoSuchObject:
        await call.colony.container(path)
        raise NoSuchUpload(upload_id) from None
    extra = stored.record.extra
    algorithm = extra.get(ALGORITHM, "")
    return Upload(
        upload_id,
        stored,
        algorithm or checksums.CRC64NVME,
        extra.get(TYPE, checksums.FULL_OBJECT),
        bool(algorithm),
    )


async def said_at_beginning(call: Call, path: ContainerPath) -> Mapping[str, str]:
    """Return the headers that an upload began with, which policies ask for; none where it is absent."""
    try:
        upload = await find_upload(call, path)
    except NoSuchUpload:
        return {}
    said: Mapping[str, str] = upload.stored.record.extra.get(SAID, {})
    return said


def read_part_number(call: Call) -> int:
    """Return the part number of the query. Raises S3Error InvalidArgument."""
    text = call.query.get("partNumber", "")
    if text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= call.settings.parts_max:
        return int(text)
    raise invalid_argument(
        "partNumber",
        text,
        f"Part number must be an integer between 1 and {call.settings.parts_max}, inclusive",
    )


def part_number(row: Listed) -> int:
    """Return the number of a part from its listing row."""
    return int(row.name.rpartition(_SEPARATOR)[2])


async def list_parts(
    call: Call, path: ContainerPath, upload_id: str, *, after: int = 0
) -> AsyncIterator[Listed]:
    """Yield the rows of an upload's parts in order of number, those after a number."""
    prefix = encode_name(f"{call.key}{_SEPARATOR}{upload_id}{_SEPARATOR}")
    marker = prefix + b"%05d" % after
    while True:
        query = Query(prefix=prefix, marker=marker, limit=_PAGE_ROWS)
        page = await call.colony.list_objects(parts_of(path), query)
        for item in page.items:
            yield unpack_listed(item)
        if not page.truncated:
            return
        marker = page.next_marker


async def end_upload(call: Call, path: ContainerPath, name: str) -> None:
    """Forget an upload by the name of its record; the parts that no object names go later."""
    await call.colony.delete_object(uploads_of(path).object(name))


async def sealed_upload(call: Call, path: ContainerPath, seal: Seal | None) -> dict[str, Any]:
    """Return what an upload's extra keeps of the encryption that its object is to have.

    Its data key seals nothing: it shows that a customer sends the same key with each part.
    """
    if seal is None:
        return {}
    _, sealed = await make_sealed(call.colony.keys, call.object(path), seal)
    return {SSE: pack_sealed(sealed)}


async def part_seal(call: Call, path: ContainerPath, upload: Upload) -> Seal | None:
    """Return how a part is to be encrypted: as its upload says, under a data key of its own.

    The upload's own data key makes the ETags: a part that is sent again has the same one. Raises S3Error
    and Encrypted for a request without the upload's key, or with another.
    """
    key = encryption.customer_key(call, call.request.headers)
    sealed = sealed_of(upload.stored.record.extra)
    try:
        etag_key = await open_key(call.colony.keys, call.object(path), sealed, key)
    except CustomerKeyNeeded:
        raise S3Error(
            "InvalidRequest",
            "The multipart upload initiate requested encryption. Subsequent part requests must include the "
            "appropriate encryption parameters.",
        ) from None
    if sealed is None:
        return None
    etags = ETags.MD5 if sealed.mode is Mode.OWN else ETags.OPAQUE
    return Seal(sealed.mode, sealed.key_id, sealed.context, sealed.bucket_key, key or b"", etags, etag_key)


def check_part_checksum(upload: Upload, named: str) -> None:
    """Refuse a part whose client names another algorithm than its upload's. Raises S3Error."""
    if upload.named and named and named != upload.algorithm:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, "
            f"actual checksum Type: {named.lower()}",
        )
