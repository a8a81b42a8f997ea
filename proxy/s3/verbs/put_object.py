"""PutObject."""

from __future__ import annotations

from model.containers import S3_ACL
from model.names import ContainerPath
from model.objects import TAGS
from proxy.http.messages import Response
from proxy.operations.types import NewObject, StoredObject
from proxy.s3 import acl, encryption, locks, metadata, tags
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, empty
from proxy.s3.conditional import of_write
from proxy.s3.expiration import show_expiration
from proxy.s3.grants import list_of_new
from proxy.s3.names import check_key
from proxy.s3.ownership import owner_of_new
from proxy.s3.upload import Upload, read_upload
from proxy.s3.versions import show_new_version


async def put_object(call: Call) -> Response:
    """Store an object."""
    check_key(call.key)
    path = await enter(call, Permission.WRITE)
    upload = read_upload(call, bytes_max=call.settings.put_bytes_max)
    stored = await store(call, path, upload)
    return empty(200, show_written(call, stored) + await show_expiration(call, stored))


async def store(call: Call, path: ContainerPath, upload: Upload) -> StoredObject:
    """Store a body under the request's key, as its headers say. Raises S3Error, NoSuchContainer."""
    headers = call.request.headers
    # Whoever sends a body into a bucket that is not there learns it before the body is sent.
    container = await call.colony.container(path)
    new = NewObject(
        content_type=headers.get("content-type") or metadata.DEFAULT_TYPE,
        headers=metadata.read_headers(headers),
        user=metadata.read_user(headers),
        owner=owner_of_new(container, call.user, headers.get("x-amz-acl")),
        checksums=upload.algorithms,
        verify=upload.verify,
        sides=await new_sides(call, path),
        seal=encryption.wanted_seal(call, headers, container.settings),
    )
    return await call.colony.put_object(call.object(path), new, upload.body, precondition=of_write(headers))


def show_written(call: Call, stored: StoredObject) -> list[tuple[str, str]]:
    """Return the headers that tell of an object just stored."""
    record = stored.record
    shown = [("ETag", f'"{record.etag}"'), *metadata.show_checksum(record), *show_new_version(stored)]
    return shown + encryption.show_written(call.request.headers, record.extra)


async def new_sides(call: Call, path: ContainerPath) -> dict[str, bytes]:
    """Return the registers that headers ask for beside a new object: tags, locks, an ACL. Raises S3Error."""
    headers = call.request.headers
    sides = await locks.of_new(call, path)
    tagging = headers.get("x-amz-tagging")
    if tagging:
        sides[TAGS] = tags.pack(tags.from_header(tagging))
    container = await call.colony.container(path)
    owner = owner_of_new(container, call.user, headers.get("x-amz-acl"))
    listed = await list_of_new(call, container, owner)
    if listed is not None:
        sides[S3_ACL] = acl.pack(listed)
    return sides
