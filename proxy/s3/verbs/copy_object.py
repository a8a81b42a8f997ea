"""CopyObject."""

from __future__ import annotations

from dataclasses import replace

from model.names import ContainerPath
from model.objects import TAGS, ObjectRecord
from proxy import checksums
from proxy.dates import iso_millis
from proxy.http.messages import Response
from proxy.operations.types import NewObject, OpenObject
from proxy.s3 import encryption, metadata, xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, xml
from proxy.s3.conditional import of_write
from proxy.s3.copying import (
    body_of,
    check_tags_copied,
    open_source,
    read_source,
    read_span,
    show_source_version,
)
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.expiration import show_expiration
from proxy.s3.names import check_key
from proxy.s3.ownership import owner_of_new
from proxy.s3.upload import named_algorithm
from proxy.s3.verbs.put_object import new_sides
from proxy.s3.versions import show_new_version

_CHANGES = ("x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-checksum-algorithm")


async def copy_object(call: Call) -> Response:
    """Store an object with the bytes of another, its metadata copied or replaced."""
    check_key(call.key)
    headers = call.request.headers
    path = await enter(call, Permission.WRITE)
    source = read_source(headers["x-amz-copy-source"])
    replaces = _replaces(call, "x-amz-metadata-directive")
    opened = await open_source(call, source)
    # To copy an older version over its own key is to restore it.
    onto_itself = opened.stored.path == call.object(path) and source.version is None
    changes = any(name in headers for name in _CHANGES) or encryption.changes(headers)
    if onto_itself and not replaces and not changes:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    span = read_span(call, opened)
    if TAGS in opened.stored.sides and not _replaces(call, "x-amz-tagging-directive"):
        await check_tags_copied(call, source, opened, path)
    container = await call.colony.container(path)
    new = replace(
        await _new_object(call, path, opened, replaces=replaces),
        owner=owner_of_new(container, call.user, headers.get("x-amz-acl")),
        seal=encryption.wanted_seal(call, headers, container.settings),
    )
    stored = await call.colony.put_object(
        call.object(path), new, body_of(opened, span), precondition=of_write(headers)
    )
    chosen = metadata.chosen_checksum(stored.record.checksums)
    shown = {} if chosen is None else {chosen[0]: chosen[1], "Type": chosen[2]}
    return xml(
        xml_write.copied("CopyObjectResult", stored.record.etag, iso_millis(stored.modified_ms), shown),
        headers=[
            *encryption.show_written(headers, stored.record.extra),
            *await show_expiration(call, stored),
            *show_source_version(opened),
            *show_new_version(stored),
        ],
    )


async def _new_object(call: Call, path: ContainerPath, opened: OpenObject, *, replaces: bool) -> NewObject:
    headers, record = call.request.headers, opened.stored.record
    sides = await new_sides(call, path)
    if not _replaces(call, "x-amz-tagging-directive"):
        sides.pop(TAGS, None)
        if TAGS in opened.stored.sides:
            sides[TAGS] = opened.stored.sides[TAGS]
    asked = metadata.read_headers(headers)
    if replaces:
        content_type = headers.get("content-type") or metadata.DEFAULT_TYPE
        kept, user = asked, metadata.read_user(headers)
    else:
        content_type, user = record.content_type, dict(record.user)
        kept = {
            name: value
            for name, value in record.headers.items()
            if metadata.is_copied(name) and name not in _CHANGES
        }
        kept |= {name: asked[name] for name in _CHANGES if name in asked}
    return NewObject(
        content_type=content_type,
        headers=kept,
        user=user,
        checksums=(named_algorithm(headers) or _algorithm_of(record),),
        sides=sides,
    )


def _algorithm_of(record: ObjectRecord) -> str:
    """Return the algorithm of the source's checksum, or the usual one."""
    chosen = metadata.chosen_checksum(record.checksums)
    return chosen[0] if chosen is not None and chosen[0] in checksums.BYTES else checksums.CRC64NVME


def _replaces(call: Call, directive: str) -> bool:
    value = call.request.headers.get(directive, "COPY").upper()
    if value not in ("COPY", "REPLACE"):
        raise invalid_argument(directive, value, f"Unknown {directive.removeprefix('x-amz-')}.")
    return value == "REPLACE"
