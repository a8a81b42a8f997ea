"""GET of a static large object: its bytes, one of its parts, or its manifest."""

from __future__ import annotations

import hashlib

from model.errors import NoSuchObject
from model.names import ContainerPath, ObjectPath
from model.objects import ObjectRecord
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.operations.types import OpenObject, StoredObject
from proxy.ranges import Span, content_range, unsatisfied_range
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import PLAIN, Refused
from proxy.swift.large.manifest import (
    MANIFEST_ETAG,
    SEGMENTS,
    raw_manifest,
    stored_manifest,
)
from proxy.swift.object_headers import describe_object
from proxy.swift.reading import Readable, open_body


async def static_readable(call: Call, stored: StoredObject, opened: OpenObject | None) -> Readable:
    """Return the bytes of the segments, which who asks must be able to read. Raises Refused."""
    record = stored.record
    if opened is not None:
        await _authorize_segments(call, record, depth=1)
    return Readable(
        stored,
        record.size,
        record.etag,
        f'"{record.etag}"',
        None if opened is None else opened.read,
        joined=True,
        more_headers=(("X-Manifest-Etag", str(record.extra.get(MANIFEST_ETAG, ""))),),
    )


async def _authorize_segments(call: Call, record: ObjectRecord, *, depth: int) -> None:
    """Raise Refused with 409 where a segment lies in a container that who asks may not read."""
    if depth > call.limits.manifest_depth_max:
        raise Refused(409)
    described = record.extra.get(SEGMENTS, ())
    containers = {ContainerPath(part.account, part.container) for part in record.parts if not part.inline}
    for path in containers:
        try:
            await authorize(call, path, Access.READ_OBJECT)
        except Refused as error:
            raise Refused(409) from error
    if call.owns_account:
        return
    for part, (_, _, is_manifest) in zip(record.parts, described, strict=False):
        if is_manifest:
            inner = await _inner(call, ObjectPath(part.account, part.container, part.name))
            await _authorize_segments(call, inner, depth=depth + 1)


async def _inner(call: Call, path: ObjectPath) -> ObjectRecord:
    try:
        return (await call.colony.head_object(path)).record
    except NoSuchObject as error:
        raise Refused(409) from error


def manifest_response(call: Call, stored: StoredObject) -> Response:
    """Return the manifest itself, as stored or as clients send it (`format=raw`)."""
    record = stored.record
    if call.parameters.get("format") == "raw":
        body, content_type = raw_manifest(record.parts), record.content_type
    else:
        body = stored_manifest(record.parts, record.extra[SEGMENTS])
        content_type = "application/json; charset=utf-8"
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    items = describe_object(record, stored.modified, etag=etag)
    items[0] = ("Content-Type", content_type)
    if call.request.method == "HEAD":
        return Response(200, items, length=len(body))
    return Response(200, items, body)


async def part_response(call: Call, stored: StoredObject, opened: OpenObject | None) -> Response:
    """Return one part of a static large object, by `?part-number=`. Raises Refused."""
    record = stored.record
    span = part_span(call, record)
    readable = await static_readable(call, stored, opened)
    items = describe_object(record, stored.modified, etag=readable.shown_etag)
    items += [*readable.more_headers, ("X-Parts-Count", str(len(record.parts)))]
    if span is None:
        unsatisfied = ("Content-Range", unsatisfied_range(record.size))
        items[0] = ("Content-Type", PLAIN)
        body = b"" if opened is None else b"The requested part number is not satisfiable"
        return Response(416, [*items, unsatisfied], body)
    items.append(("Content-Range", content_range(span, record.size)))
    if opened is None:
        return Response(206, items, length=span.length)
    return Response(206, items, await open_body(readable, span), span.length)


def part_span(call: Call, record: ObjectRecord) -> Span | None:
    """Return the bytes of the part that `?part-number=` names, None beyond the last. Raises Refused."""
    text = call.parameters["part-number"]
    if not (text.isascii() and text.isdigit()) or not int(text[:9]):
        raise Refused(400, "Part number must be an integer greater than 0")
    if "range" in call.headers:
        raise Refused(400, "Range requests are not supported with part number queries")
    number = int(text[:9])
    if number > len(record.parts):
        return None
    return Span(sum(part.size for part in record.parts[: number - 1]), record.parts[number - 1].size)
