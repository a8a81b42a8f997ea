"""HeadObject, and what it shares with GetObject: finding the object and the part of it asked for."""

from __future__ import annotations

from model.errors import NoSuchObject, NoSuchVersion
from model.objects import Manifest
from proxy.http.messages import Response
from proxy.operations.sealing import check_customer_key
from proxy.operations.types import StoredObject
from proxy.ranges import Span, content_range, parse_range
from proxy.s3 import encryption, locks, metadata
from proxy.s3.access import check_object, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.call import Call
from proxy.s3.conditional import answer_read
from proxy.s3.errors import S3Error
from proxy.s3.expiration import show_expiration
from proxy.s3.multipart import read_part_number
from proxy.s3.versions import absent, show_version, wanted_version


async def head_object(call: Call) -> Response:
    """Answer with the headers that GetObject would send."""
    stored = await find_readable(call)
    span, response = describe(call, stored)
    response.headers += await show_expiration(call, stored)
    response.length = stored.record.size if span is None else span.length
    return response


async def find_readable(call: Call) -> StoredObject:
    """Return the object of a request whose asker may read it. Raises S3Error, NoSuchContainer."""
    path, guard = await enter_to_read(call)
    version = wanted_version(call)
    headers = call.request.headers
    encryption.refuse_on_read(headers)
    key = encryption.customer_key(call, headers)
    try:
        stored = await call.colony.head_object(call.object(path), version=version)
    except (NoSuchObject, NoSuchVersion) as error:
        raise await absent(call, path, guard, error) from None
    await check_object(call, guard, stored, Permission.READ)
    check_customer_key(stored, key)
    return stored


def describe(call: Call, stored: StoredObject) -> tuple[Span | None, Response]:
    """Return the span asked for (None for the whole) and the response without its body.

    The span is empty where the conditions of the request say 304. Raises S3Error, InvalidRange.
    """
    headers, record = call.request.headers, stored.record
    unchanged = answer_read(headers, stored)
    if unchanged is not None:
        return Span(0, 0), unchanged
    shown = metadata.show(stored) + show_version(stored)
    if stored.sides:
        shown += locks.show(stored)
    if record.extra:
        shown += encryption.show(headers, record.extra)
    span = None
    if "partNumber" in call.query:
        span = _part_span(call, stored)
        if metadata.parts_count(record):
            shown.append(("x-amz-mp-parts-count", str(metadata.parts_count(record))))
    elif "range" in headers:
        wanted = parse_range(headers["range"])
        if wanted is not None and len(wanted.pieces) == 1:
            spans = wanted.resolve(record.size)
            span = spans[0] if spans else None
    if headers.get("x-amz-checksum-mode").upper() == "ENABLED":
        if "partNumber" in call.query and metadata.parts_count(record):
            shown += metadata.show_part_checksum(record, read_part_number(call))
        elif span is None or span.length == record.size:
            shown += metadata.show_checksum(record)
    if call.query:
        if call.user is None and any(name in metadata.OVERRIDES for name in call.query):
            raise S3Error(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            )
        shown = metadata.override(shown, call.query)
    if span is None:
        return None, Response(200, shown)
    if span.length:
        shown.append(("Content-Range", content_range(span, record.size)))
    return span, Response(206, shown)


def _part_span(call: Call, stored: StoredObject) -> Span:
    if "range" in call.request.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    number = read_part_number(call)
    record = stored.record
    if record.manifest is not Manifest.MULTIPART:
        if number == 1:
            return Span(0, record.size)
    elif number <= len(record.parts):
        # Of a finished object the parts are counted, whatever numbers they were uploaded by.
        before, part = record.parts[: number - 1], record.parts[number - 1]
        return Span(sum(one.size for one in before), part.size)
    raise S3Error("InvalidPartNumber", details={"PartNumberRequested": str(number)})
