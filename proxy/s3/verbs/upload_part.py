"""UploadPart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from proxy.http.messages import Response
from proxy.operations.types import Digests, NewObject
from proxy.s3 import encryption
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty
from proxy.s3.multipart import (
    CHECKSUM,
    Upload,
    check_part_checksum,
    find_upload,
    part_path,
    part_seal,
    read_part_number,
)
from proxy.s3.upload import read_upload


async def upload_part(call: Call) -> Response:
    """Store one part of an upload, replacing an earlier one of its number."""
    number = read_part_number(call)
    path = await enter(call, Permission.WRITE)
    body = read_upload(call, bytes_max=call.settings.put_bytes_max)
    upload = await find_upload(call, path)
    check_part_checksum(upload, body.named)
    seal = await part_seal(call, path, upload)
    new = replace(new_part(call, upload, body.algorithms, body.verify), seal=seal)
    stored = await call.colony.put_object(part_path(path, call.key, upload.id, number), new, body.body)
    shown = [("ETag", f'"{stored.record.etag}"')]
    name = body.named or (upload.algorithm if upload.named else "")
    if name:
        shown.append((f"x-amz-checksum-{name.lower()}", stored.record.checksums[name]))
    return empty(200, shown + encryption.show(call.request.headers, stored.record.extra))


def new_part(
    call: Call, upload: Upload, algorithms: tuple[str, ...], verify: Callable[[Digests], None] | None
) -> NewObject:
    """Return what is stored with a part; its checksum by the upload's algorithm is listed with it."""
    listed: dict[str, Any] = {}

    def check(digests: Digests) -> None:
        if verify is not None:
            verify(digests)
        # Known only now, and still in time: the listing row is made after the body was verified.
        listed[CHECKSUM] = digests.checksums[upload.algorithm]

    return NewObject(
        owner=call.owner,
        checksums=tuple(dict.fromkeys((upload.algorithm, *algorithms))),
        verify=check,
        listed=listed,
    )
