"""CreateMultipartUpload."""

from __future__ import annotations

from typing import Any

from model.names import ContainerPath
from proxy import checksums
from proxy.http.messages import Headers, Response
from proxy.operations.types import HeldBody, NewObject
from proxy.s3 import encryption, metadata, xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.errors import S3Error
from proxy.s3.expiration import show_abort
from proxy.s3.facts import said_of_new
from proxy.s3.multipart import ALGORITHM, SAID, TYPE, new_upload_id, sealed_upload, upload_path
from proxy.s3.names import check_key
from proxy.s3.ownership import owner_of_new
from proxy.s3.upload import named_algorithm
from proxy.s3.verbs.put_object import new_sides


async def create_multipart_upload(call: Call) -> Response:
    """Begin an upload: keep what the finished object is to bear, and give it an id."""
    check_key(call.key)
    path: ContainerPath = await enter(call, Permission.WRITE)
    headers = call.request.headers
    extra = _checksum_choice(headers)
    container = await call.colony.container(path)
    sealed = await sealed_upload(call, path, encryption.wanted_seal(call, headers, container.settings))
    said = said_of_new(headers)
    owner = owner_of_new(container, call.user, headers.get("x-amz-acl"))
    new = NewObject(
        content_type=headers.get("content-type") or metadata.DEFAULT_TYPE,
        headers=metadata.read_headers(headers),
        user=metadata.read_user(headers),
        owner=owner,
        extra={**extra, **sealed, **({SAID: said} if said else {})},
        listed={"owner": owner, **extra},
        sides=await new_sides(call, path),
    )
    upload_id = new_upload_id()
    begun = await call.colony.put_object(upload_path(path, call.key, upload_id), new, HeldBody(b""))
    inner = (
        xml_write.tag("Bucket", call.bucket)
        + xml_write.tag("Key", call.key)
        + xml_write.tag("UploadId", upload_id)
    )
    shown = _show_choice(extra) + encryption.show_written(headers, sealed)
    shown += await show_abort(call, path, begun.created_ms)
    return xml(xml_write.root("InitiateMultipartUploadResult", inner), headers=shown)


def _checksum_choice(headers: Headers) -> dict[str, Any]:
    """Return the algorithm and type of checksum asked for, empty where none is. Raises S3Error."""
    algorithm = named_algorithm(headers)
    kind = headers.get("x-amz-checksum-type").upper()
    if kind not in ("", checksums.FULL_OBJECT, checksums.COMPOSITE):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if not algorithm:
        if kind:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return {}
    usual = checksums.FULL_OBJECT if algorithm == checksums.CRC64NVME else checksums.COMPOSITE
    chosen = kind or usual
    possible = {
        checksums.FULL_OBJECT: checksums.can_be_full_object(algorithm),
        checksums.COMPOSITE: algorithm != checksums.CRC64NVME,
    }
    if not possible[chosen]:
        raise S3Error(
            "InvalidRequest",
            f"The {chosen} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return {ALGORITHM: algorithm, TYPE: chosen}


def _show_choice(extra: dict[str, Any]) -> list[tuple[str, str]]:
    if not extra:
        return []
    return [("x-amz-checksum-algorithm", extra[ALGORITHM]), ("x-amz-checksum-type", extra[TYPE])]
