"""CompleteMultipartUpload."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Final

from model.errors import NoSuchObject, NoSuchUpload
from model.listing import Listed
from model.manifests import UPLOAD
from model.names import ContainerPath, parts_of
from model.objects import Manifest, Part
from proxy import checksums
from proxy.auth.query import encode
from proxy.encryption.sealed import SSE, sealed_of
from proxy.http.messages import Response
from proxy.operations.sealing import open_customers
from proxy.operations.types import HeldBody, NewObject, StoredObject
from proxy.s3 import encryption, xml_read, xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.conditional import of_write
from proxy.s3.errors import S3Error
from proxy.s3.expiration import show_expiration
from proxy.s3.metadata import chosen_checksum
from proxy.s3.multipart import (
    CHECKSUM,
    Upload,
    end_upload,
    find_upload,
    list_parts,
    part_number,
    upload_name,
)
from proxy.s3.upload import Stated, read_whole
from proxy.s3.versions import show_new_version

_BODY_BYTES_MAX: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class _Named:
    """A part as the request names it."""

    number: int
    etag: str
    checksums: dict[str, str]


async def complete_multipart_upload(call: Call) -> Response:
    """Make an object of the parts that the request names, in order."""
    path = await enter(call, Permission.WRITE)
    named = _read_parts(await read_whole(call, _BODY_BYTES_MAX, Stated.OBJECT), call.settings.parts_max)
    try:
        upload = await find_upload(call, path)
    except NoSuchUpload:
        return await _completed_before(call, path, named)
    rows = {part_number(row): row async for row in list_parts(call, path, upload.id)}
    parts = [_part(call, path, rows, one, upload) for one in named]
    _check_sizes(call, parts)
    stated = _whole_checksum(call, upload, parts)
    record = upload.stored.record
    _check_key(call, path, upload)
    new = NewObject(
        content_type=record.content_type,
        headers=record.headers,
        user=record.user,
        owner=record.owner,
        stated_checksums=stated,
        etag=_etag(parts),
        manifest=Manifest.MULTIPART,
        parts=tuple(parts),
        stated_size=sum(part.size for part in parts),
        extra={UPLOAD: upload.id, **({SSE: record.extra[SSE]} if SSE in record.extra else {})},
        sides=upload.stored.sides,
    )
    stored = await call.colony.put_object(
        call.object(path), new, HeldBody(b""), precondition=of_write(call.request.headers)
    )
    await end_upload(call, path, upload_name(call.key, upload.id))
    response = _result(call, stored)
    response.headers += await show_expiration(call, stored)
    return response


async def _completed_before(call: Call, path: ContainerPath, named: Sequence[_Named]) -> Response:
    """Answer a client that asks again because it did not hear the answer. Raises NoSuchUpload."""
    upload_id = call.query["uploadId"]
    try:
        stored = await call.colony.head_object(call.object(path))
    except NoSuchObject:
        raise NoSuchUpload(upload_id) from None
    parts = [part.number for part in stored.record.parts]
    if stored.record.extra.get(UPLOAD) != upload_id or parts != [one.number for one in named]:
        raise NoSuchUpload(upload_id)
    return _result(call, stored)


def _result(call: Call, stored: StoredObject) -> Response:
    host = call.request.headers.get("host")
    scheme = "https" if call.request.secure else "http"
    location = f"{scheme}://{host}/{call.bucket}/{encode(call.key, safe='/')}"
    inner = (
        xml_write.tag("Location", location)
        + xml_write.tag("Bucket", call.bucket)
        + xml_write.tag("Key", call.key)
        + f"<ETag>&quot;{stored.record.etag}&quot;</ETag>"
    )
    chosen = chosen_checksum(stored.record.checksums)
    if chosen is not None:
        inner += xml_write.checksum_tags({chosen[0]: chosen[1], "Type": chosen[2]})
    return xml(
        xml_write.root("CompleteMultipartUploadResult", inner),
        headers=encryption.show(call.request.headers, stored.record.extra) + show_new_version(stored),
    )


def _check_key(call: Call, path: ContainerPath, upload: Upload) -> None:
    """Refuse a request without the customer's key that the upload was begun with, or with another."""
    key = encryption.customer_key(call, call.request.headers)
    open_customers(call.object(path), sealed_of(upload.stored.record.extra), key)


def _read_parts(body: bytes, parts_max: int) -> list[_Named]:
    if not body.strip():
        raise S3Error("MalformedXML")
    document = xml_read.parse(body, "CompleteMultipartUpload", "CompleteMultipartUploadRequest")
    named = []
    for node in document.children("Part"):
        fields = node.fields()
        number = fields.get("PartNumber", "").strip()
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:10]) <= parts_max):
            raise S3Error("MalformedXML")
        if "ETag" not in fields:
            raise S3Error("MalformedXML")
        given = {
            name: fields[f"Checksum{name}"].strip() for name in checksums.BYTES if f"Checksum{name}" in fields
        }
        named.append(_Named(int(number), fields["ETag"].strip().strip('"'), given))
    if not named or len(named) > parts_max:
        raise S3Error("MalformedXML")
    if any(one.number >= two.number for one, two in itertools.pairwise(named)):
        raise S3Error("InvalidPartOrder")
    return named


def _part(call: Call, path: ContainerPath, rows: dict[int, Listed], named: _Named, upload: Upload) -> Part:
    row = rows.get(named.number)
    held = "" if row is None else row.extra.get(CHECKSUM, "")
    given = named.checksums.get(upload.algorithm, held) if upload.named else held
    if row is None or row.etag != named.etag or given != held:
        raise S3Error(
            "InvalidPart",
            details={
                "UploadId": upload.id,
                "PartNumber": str(named.number),
                "ETag": named.etag,
            },
        )
    return Part(
        named.number,
        path.account,
        parts_of(path).container,
        row.name,
        row.etag,
        row.size,
        whole=row.size,
        checksum=held,
    )


def _check_sizes(call: Call, parts: Sequence[Part]) -> None:
    smallest = call.settings.part_bytes_min
    for part in parts[:-1]:
        if part.size < smallest:
            raise S3Error(
                "EntityTooSmall",
                details={
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(smallest),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    size = sum(part.size for part in parts)
    if size > call.settings.object_bytes_max:
        raise S3Error("EntityTooLarge")
    promised = call.request.headers.get("x-amz-mp-object-size")
    if promised and promised != str(size):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {promised} does not match what was computed: "
            f"{size}",
        )


def _etag(parts: Sequence[Part]) -> str:
    """Return the MD5 of the parts' MD5s, with their count."""
    joined = b"".join([bytes.fromhex(part.etag) for part in parts])
    return f"{md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _whole_checksum(call: Call, upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    """Return the checksum of the finished object, held against what the request says of it."""
    if not all(part.checksum for part in parts):
        return {}
    name = upload.algorithm
    if upload.type == checksums.COMPOSITE:
        whole = checksums.composite(name, [part.checksum for part in parts])
    else:
        whole = checksums.full_object(name, [(part.checksum, part.size) for part in parts])
    kind = call.request.headers.get("x-amz-checksum-type").upper()
    if kind and upload.named and kind != upload.type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.type} checksum mode. The complete request must use "
            "the same checksum mode.",
        )
    said = call.request.headers.get(f"x-amz-checksum-{name.lower()}")
    if said and said.partition("-")[0] != whole.partition("-")[0]:
        raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")
    return {name: whole}
