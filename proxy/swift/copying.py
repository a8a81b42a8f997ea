"""Copying an object, or a part of one, with the source's metadata under that of the request.

A large object is copied as its bytes, or with `?multipart-manifest=get` as its manifest.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from model.names import ObjectPath
from model.objects import Manifest
from proxy.auth.acl import Access
from proxy.conditions import Verdict, read_conditions
from proxy.dates import http_date
from proxy.http.messages import Response
from proxy.identity.users import ACCOUNT_PREFIX
from proxy.operations.types import BodySource, HeldBody, NewObject, StoredObject, StreamedBody
from proxy.ranges import Span
from proxy.swift.access import authorize, heed_tags
from proxy.swift.call import Call
from proxy.swift.errors import Refused
from proxy.swift.expiry import requested_expiry
from proxy.swift.large.dynamic import DYNAMIC_HEADER
from proxy.swift.large.manifest import raw_manifest
from proxy.swift.large.static_reading import part_span
from proxy.swift.large.static_writing import static_object
from proxy.swift.metadata import header_name
from proxy.swift.object_headers import (
    last_modified_s,
    requested_type,
    stated_etag,
    stored_headers,
)
from proxy.swift.parameters import is_true
from proxy.swift.reading import Readable, judge, open_body, wanted_spans
from proxy.swift.resolve import MANIFEST, resolve_readable
from proxy.swift.router import decode_path, strip_account
from proxy.swift.writing import (
    check_object_name,
    created,
    etag_verifier,
    requested_metadata,
    require_empty_body,
    write_precondition,
)


def named_account(call: Call, header: str) -> str:
    """Return the account that a header names, or that of the path. Raises Refused."""
    value = call.headers.get(header)
    if not value:
        return call.route.account
    name = decode_path(value)
    if "/" in name:
        raise Refused(412, "Account name cannot contain slashes")
    return strip_account(name)


async def copy(call: Call, source: ObjectPath, target: ObjectPath) -> Response:
    """Copy the bytes and metadata of one object to another. Raises Refused, NoSuchObject, …"""
    require_empty_body(call)
    # The source is looked up before the target's ACL, so an absent one is 404 to who may read there.
    await authorize(call, source, Access.READ_OBJECT)
    opened = await call.colony.open_object(source)
    await heed_tags(call, opened.stored)
    await authorize(call, target, Access.WRITE)
    check_object_name(target, call.limits)
    stored = opened.stored
    whole_manifest = call.parameters.get(MANIFEST) == "get"
    new = _new_object(call, stored, target, keep_manifest=whole_manifest)
    precondition = write_precondition(call.headers)
    if whole_manifest and stored.record.manifest is Manifest.STATIC:
        new = await static_object(call, raw_manifest(stored.record.parts), target, new)
        body: BodySource = HeldBody(b"")
    else:
        readable = await resolve_readable(call, stored, opened)
        body = await _body(call, readable)
    written = await call.colony.put_object(target, new, body, precondition=precondition)
    return _answer(call, source, stored, written)


def _new_object(call: Call, stored: StoredObject, target: ObjectPath, *, keep_manifest: bool) -> NewObject:
    """Return the copy's metadata: the source's, each item replaced by that of the request."""
    headers, user = stored_headers(call.headers), requested_metadata(call)
    delete_at = requested_expiry(call.headers, call.now_s)
    record = stored.record
    kept_headers = dict(record.headers)
    manifest = kept_headers.pop(DYNAMIC_HEADER, None)
    if is_true(call.headers.get("x-fresh-metadata")):
        kept_headers = {}
    else:
        user = {**record.user, **user}
        delete_at = delete_at or record.delete_at
    if keep_manifest and manifest is not None:
        kept_headers[DYNAMIC_HEADER] = manifest
    named_type = call.headers.get("content-type") or call.headers.get("x-detect-content-type")
    return NewObject(
        content_type=requested_type(call.headers, target.name) if named_type else record.content_type,
        headers={**kept_headers, **headers},
        user=user,
        delete_at=delete_at,
        owner=call.user_id,
        verify=etag_verifier(stated_etag(call.headers)),
    )


async def _body(call: Call, readable: Readable) -> BodySource:
    """Return the bytes to copy. Raises Refused where the source does not fit the request's conditions."""
    # If-None-Match speaks of the target here; the other conditions speak of the source.
    conditions = replace(read_conditions(call.headers), if_none_match=())
    match judge(conditions, readable):
        case Verdict.FAILED:
            raise Refused(412)
        case Verdict.NOT_MODIFIED:
            raise Refused(304)
        case Verdict.PROCEED:
            pass
    span = _span(call, readable)
    if span.length > call.limits.file_bytes_max:
        raise Refused(413)
    body = await open_body(readable, span)
    if isinstance(body, bytes | bytearray | memoryview):
        return HeldBody(body)
    return StreamedBody(body, span.length)


def _span(call: Call, readable: Readable) -> Span:
    record = readable.stored.record
    if record.manifest is Manifest.STATIC and "part-number" in call.parameters:
        part = part_span(call, record)
        if part is None:
            raise Refused(416, "The requested part number is not satisfiable")
        return part
    spans = wanted_spans(call.headers, readable)
    if len(spans) > 1:
        raise Refused(416, "Copies take one range at most")
    return spans[0] if spans else Span(0, readable.size)


def _answer(call: Call, source: ObjectPath, stored: StoredObject, written: StoredObject) -> Response:
    record = written.record
    etag = f'"{record.etag}"' if record.manifest is Manifest.STATIC else record.etag
    response = created(written, etag)
    response.headers += [
        ("X-Copied-From-Account", _quoted(ACCOUNT_PREFIX + source.account)),
        ("X-Copied-From", _quoted(f"{source.container}/{source.name}")),
        ("X-Copied-From-Last-Modified", http_date(last_modified_s(stored.modified))),
    ]
    response.headers += [(header_name("X-Object-Meta-", name), value) for name, value in record.user.items()]
    if record.delete_at:
        response.headers.append(("X-Delete-At", str(record.delete_at)))
    return response


def _quoted(text: str) -> str:
    return quote(text, safe="/", errors="surrogateescape")
