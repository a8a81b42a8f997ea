"""PUT of a static large object: its segments are looked up, checked and noted in its record."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from model.errors import Absent, BadDigest, BadRequest
from model.names import ObjectPath
from model.objects import Manifest, Part
from model.stamp import stamp_micros
from proxy.auth.acl import Access
from proxy.dates import iso_micros
from proxy.http.messages import Response
from proxy.operations.types import HeldBody, NewObject, Precondition
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import Refused, status_line, status_of
from proxy.swift.expiry import requested_expiry
from proxy.swift.large.dynamic import dynamic_readable, is_dynamic
from proxy.swift.large.manifest import (
    DEPTH,
    MANIFEST_ETAG,
    SEGMENTS,
    FoundSegment,
    Segment,
    depth_of,
    large_etag,
    make_part,
    parse_manifest,
    stored_manifest,
)
from proxy.swift.large.report import Problem, report_format, write_report
from proxy.swift.object_headers import requested_type, stated_etag, stored_headers
from proxy.swift.writing import created, requested_metadata

_LOOKUPS_AT_ONCE: Final = 16
_Found = dict[ObjectPath, FoundSegment | str]


async def put_static(call: Call, precondition: Precondition | None) -> Response:
    """Store a manifest of segments. Raises Refused with a report of segments that do not fit."""
    path = call.route.object_path
    base = NewObject(
        content_type=requested_type(call.headers, path.name),
        headers=stored_headers(call.headers),
        user=requested_metadata(call),
        delete_at=requested_expiry(call.headers, call.now_s),
        owner=call.user_id,
    )
    new = await static_object(call, await _manifest_body(call), path, base)
    if stated_etag(call.headers) not in ("", new.etag):
        raise BadDigest(f"the large object's ETag is {new.etag}")
    stored = await call.colony.put_object(path, new, HeldBody(b""), precondition=precondition)
    return created(stored, f'"{new.etag}"')


async def static_object(call: Call, manifest: bytes, target: ObjectPath, base: NewObject) -> NewObject:
    """Return the new object that a manifest's JSON makes at `target`, with the metadata of `base`.

    Segments are looked up in the target's account. Raises Refused with a report of those that do not fit.
    """
    segments = parse_manifest(manifest, target)
    if sum(segment.path is not None for segment in segments) > call.limits.manifest_segments_max:
        limit = call.limits.manifest_segments_max
        raise Refused(413, f"Number of object-backed segments must be <= {limit}")
    found = await _look_up_all(call, segments)
    parts = _checked_parts(call, segments, found)
    etag = large_etag(parts)
    described = [_describe(part, found) for part in parts]
    manifest_etag = hashlib.md5(stored_manifest(parts, described), usedforsecurity=False).hexdigest()
    deepest = max((one.depth for one in found.values() if isinstance(one, FoundSegment)), default=0)
    return replace(
        base,
        verify=None,
        etag=etag,
        manifest=Manifest.STATIC,
        parts=tuple(parts),
        stated_size=sum(part.size for part in parts),
        extra={SEGMENTS: described, MANIFEST_ETAG: manifest_etag, DEPTH: deepest + 1},
        listed={MANIFEST_ETAG: manifest_etag},
    )


async def _manifest_body(call: Call) -> bytes:
    headers, limit = call.headers, call.limits.manifest_bytes_max
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise Refused(411)
    try:
        return bytes(await call.request.body.read(limit))
    except BadRequest as error:
        raise Refused(413, f"Manifest File > {limit} bytes") from error


async def _look_up_all(call: Call, segments: list[Segment]) -> _Found:
    """Return what is stored at each path, or a status where who asks finds nothing there."""
    paths = list(dict.fromkeys(segment.path for segment in segments if segment.path is not None))
    found: _Found = {}
    for start in range(0, len(paths), _LOOKUPS_AT_ONCE):
        some = paths[start : start + _LOOKUPS_AT_ONCE]
        found.update(zip(some, await asyncio.gather(*(_look_up(call, path) for path in some)), strict=True))
    return found


async def _look_up(call: Call, path: ObjectPath) -> FoundSegment | str:
    try:
        await authorize(call, path, Access.READ_OBJECT)
        stored = await call.colony.head_object(path)
        record, size, etag = stored.record, stored.record.size, stored.record.etag
        if is_dynamic(record):
            readable = await dynamic_readable(call, stored, reads=False)
            size, etag = readable.size, readable.etag
    except (Absent, Refused) as error:
        return status_line(status_of(error))
    changed = iso_micros(stamp_micros(stored.modified))
    return FoundSegment(etag, size, record.content_type, changed, depth_of(record))


def _checked_parts(call: Call, segments: list[Segment], found: _Found) -> list[Part]:
    parts: list[Part] = []
    problems: list[Problem] = []
    for number, segment in enumerate(segments, start=1):
        at_path = None if segment.path is None else found[segment.path]
        part = make_part(number, segment, at_path, last=number == len(segments))
        if isinstance(part, list):
            problems += [(quote(segment.shown), what) for what in part]
        elif isinstance(at_path, FoundSegment) and at_path.depth >= call.limits.manifest_depth_max:
            problems.append((quote(segment.shown), "Too many manifests deep"))
        else:
            parts.append(part)
    if problems:
        form = report_format(call.headers.get("accept"))
        report = write_report(form, {}, problems, root="upload")
        raise Refused(400, report.decode(), content_type=form.content_type)
    return parts


def _describe(part: Part, found: _Found) -> list[Any]:
    at_path = None if part.inline else found[ObjectPath(part.account, part.container, part.name)]
    if not isinstance(at_path, FoundSegment):
        return ["", "", False]
    return [at_path.content_type, at_path.last_modified, at_path.depth > 0]
