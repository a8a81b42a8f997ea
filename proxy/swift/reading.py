"""Answering with an object's bytes: conditions, ranges and the body, whatever the bytes are made of."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from model.errors import Absent, CorruptRecord, InvalidRange
from proxy.conditions import Conditions, Verdict, judge_read, read_conditions
from proxy.dates import parse_http_date
from proxy.http.messages import Buffer, Headers, Response
from proxy.operations.types import StoredObject
from proxy.ranges import Multipart, Span, content_range, frame_multipart, parse_range, unsatisfied_range
from proxy.swift.errors import HTML, Refused, standard_page
from proxy.swift.object_headers import HeaderItems, describe_object, last_modified_s


@dataclass(frozen=True, slots=True)
class Readable:
    """The bytes that a GET answers with: an object's own, or those of its segments.

    `etag` is without quotes; `shown_etag` as the header says it. `data` is all of the bytes where
    they are at hand. `joined` says that the bytes are those of other objects, which may be gone;
    with `one_range_only` a request for several ranges gets the whole, as Swift does for a DLO.
    """

    stored: StoredObject
    size: int
    etag: str
    shown_etag: str
    read: Callable[[int, int], AsyncIterator[Buffer]] | None
    data: Buffer | None = None
    joined: bool = False
    one_range_only: bool = False
    more_headers: tuple[tuple[str, str], ...] = ()


def judge(conditions: Conditions, readable: Readable) -> Verdict:
    """Return what a request's conditions say of what would be sent."""
    modified_s = last_modified_s(readable.stored.modified)
    verdict = judge_read(conditions, readable.etag, modified_s)
    if verdict is Verdict.PROCEED and conditions.if_match:
        # HTTP lets a matching ETag alone decide; Swift wants the date to hold as well.
        return judge_read(replace(conditions, if_match=()), readable.etag, modified_s)
    return verdict


async def answer(readable: Readable, headers: Headers, method: str) -> Response:
    """Return the response to a GET or HEAD. Raises Refused where a segment is gone."""
    stored = readable.stored
    items = describe_object(stored.record, stored.modified, etag=readable.shown_etag)
    items += readable.more_headers
    match judge(read_conditions(headers), readable):
        case Verdict.NOT_MODIFIED:
            return Response(304, items)
        case Verdict.FAILED:
            return Response(412, items)
        case Verdict.PROCEED:
            pass
    if method == "HEAD" or readable.read is None:
        return Response(200, items, length=readable.size)
    try:
        spans = wanted_spans(headers, readable)
    except InvalidRange as error:
        items[0] = ("Content-Type", HTML)
        items.append(("Content-Range", unsatisfied_range(error.size)))
        return Response(416, items, standard_page(416))
    if not spans:
        whole = Span(0, readable.size)
        return Response(200, items, await open_body(readable, whole), readable.size)
    if len(spans) == 1:
        span = spans[0]
        items.append(("Content-Range", content_range(span, readable.size)))
        return Response(206, items, await open_body(readable, span), span.length)
    return _several(readable, spans, items)


def wanted_spans(headers: Headers, readable: Readable) -> tuple[Span, ...]:
    """Return the spans that a Range header selects, none for the whole. Raises InvalidRange."""
    text = headers.get("range")
    if not text or not _range_applies(headers.get("if-range"), readable):
        return ()
    request = parse_range(text)
    if request is None or (readable.one_range_only and len(request.pieces) > 1):
        return ()
    return request.resolve(readable.size)


def _range_applies(if_range: str, readable: Readable) -> bool:
    """Return whether what If-Range names is still what is stored (RFC 9110, section 13.1.5)."""
    if not if_range:
        return True
    moment_s = parse_http_date(if_range) if "," in if_range else None
    if moment_s is not None:
        return moment_s == last_modified_s(readable.stored.modified)
    return if_range.strip().strip('"') == readable.etag


async def open_body(readable: Readable, span: Span) -> Buffer | AsyncIterator[Buffer]:
    """Return the bytes of a span. Raises Refused with 409 where the first segment is gone."""
    if not span.length:
        return b""
    if readable.data is not None:
        return memoryview(readable.data)[span.offset : span.end]
    assert readable.read is not None
    body = readable.read(span.offset, span.length)
    return await _primed(body) if readable.joined else body


async def _primed(body: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    """Fetch the first bytes before the status is sent: while it can still say that a segment is gone."""
    try:
        first = await anext(body)
    except StopAsyncIteration:
        return body
    except (CorruptRecord, Absent) as error:
        raise Refused(409) from error
    return _after(first, body)


async def _after(first: Buffer, body: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    yield first
    async for chunk in body:
        yield chunk


def _several(readable: Readable, spans: Sequence[Span], items: HeaderItems) -> Response:
    content_type = readable.stored.record.content_type
    frame = frame_multipart(spans, readable.size, content_type=content_type, boundary=secrets.token_hex(16))
    items[0] = ("Content-Type", frame.content_type)
    return Response(206, items, _framed(readable, spans, frame), frame.length)


async def _framed(readable: Readable, spans: Sequence[Span], frame: Multipart) -> AsyncIterator[Buffer]:
    for head, span in zip(frame.heads, spans, strict=True):
        yield head
        body = await open_body(readable, span)
        if isinstance(body, bytes | bytearray | memoryview):
            yield body
            continue
        async for chunk in body:
            yield chunk
    yield frame.tail
