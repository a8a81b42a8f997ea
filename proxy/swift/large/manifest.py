"""Manifests of static large objects: from the client's JSON to parts, and back. Pure.

Source: OpenStack Object Storage API reference, "Static large objects".
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from model.errors import InvalidRange
from model.names import HIDDEN, ObjectPath
from model.objects import ObjectRecord, Part
from proxy.ranges import RangeRequest, parse_range
from proxy.swift.errors import refused_plainly

SEGMENTS: Final = "slo_segments"
"""In `extra` of the record: for each part its content type, time of change, and whether it is a manifest."""
MANIFEST_ETAG: Final = "manifest_etag"
"""In `extra` of the record and of the listing row: the MD5 of the manifest's JSON."""
DEPTH: Final = "slo_depth"
"""In `extra` of the record: how many manifests deep the object is."""
_OPTIONAL: Final = frozenset(("range", "etag", "size_bytes"))


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment asked for: an object at `path`, or `data` held in the manifest."""

    path: ObjectPath | None
    shown: str = ""
    etag: str | None = None
    size: int | None = None
    range: RangeRequest | None = None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """What is stored at a segment's path."""

    etag: str
    size: int
    content_type: str
    last_modified: str
    depth: int
    """0 for a plain object, else how many manifests deep."""


def parse_manifest(body: bytes, target: ObjectPath) -> list[Segment]:
    """Return the segments of a manifest's JSON. Raises Refused with a line for each mistake."""
    try:
        items = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refused_plainly(400, "Manifest must be valid JSON.\n") from error
    if not isinstance(items, list):
        raise refused_plainly(400, "Manifest must be a list.\n")
    segments, mistakes = [], []
    for index, item in enumerate(items):
        try:
            segments.append(_parse_item(item, target, last=index == len(items) - 1))
        except _Mistake as mistake:
            mistakes.append(f"Index {index}: {mistake}")
    if items and not mistakes and all(segment.path is None for segment in segments):
        mistakes.append("Inline data segments require at least one object-backed segment.")
    if mistakes:
        raise refused_plainly(400, "".join(f"{mistake}\n" for mistake in mistakes))
    return segments


class _Mistake(ValueError):
    """What is wrong with one item."""


def _parse_item(item: object, target: ObjectPath, *, last: bool) -> Segment:
    if not isinstance(item, dict):
        raise _Mistake("not a JSON object")
    required = next((name for name in ("data", "path") if name in item), None)
    if required is None:
        raise _Mistake("expected keys to include one of 'data' or 'path'")
    allowed = {required} | (_OPTIONAL if required == "path" else set())
    extraneous = sorted(name for name in item if name not in allowed)
    if extraneous:
        raise _Mistake("extraneous keys " + ", ".join(map(json.dumps, extraneous)))
    return _parse_data(item["data"]) if required == "data" else _parse_path(item, target, last=last)


def _parse_data(text: object) -> Segment:
    try:
        data = b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None:
        raise _Mistake("data must be valid base64")
    if not data:
        raise _Mistake("too small; each segment must be at least 1 byte.")
    return Segment(None, data=data)


def _parse_path(item: Mapping[str, Any], target: ObjectPath, *, last: bool) -> Segment:
    shown, etag = item["path"], item.get("etag")
    if not isinstance(shown, str):
        raise _Mistake('"path" must be a string')
    if etag is not None and not isinstance(etag, str):
        raise _Mistake('"etag" must be a string or null (if provided)')
    _check_text(shown)
    container, slash, name = shown.lstrip("/").partition("/")
    if not slash or not name:
        raise _Mistake("path does not refer to an object. Path must be of the form /container/object.")
    size = _parse_size(item.get("size_bytes"))
    if size is not None and size < 1 and not last:
        raise _Mistake("too small; each segment must be at least 1 byte.")
    path = ObjectPath(target.account, container, name)
    if path == target:
        raise _Mistake("manifest must not include itself as a segment")
    wanted = _parse_range(item["range"], size) if item.get("range") else None
    return Segment(path, shown, etag and etag.strip('"'), size, wanted)


def _check_text(shown: str) -> None:
    """Refuse what no client may name: the colony's own hidden names, and what is not UTF-8."""
    try:
        shown.encode()
    except UnicodeEncodeError as error:
        raise _Mistake("path is not UTF-8") from error
    if HIDDEN in shown:
        raise _Mistake("path holds a NUL")


def _parse_size(value: object) -> int | None:
    if value is None:
        return None
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError) as error:
        raise _Mistake("invalid size_bytes") from error


def _parse_range(text: object, size: int | None) -> RangeRequest:
    wanted = parse_range(f"bytes={text}")
    if wanted is None:
        raise _Mistake("invalid range")
    if len(wanted.pieces) > 1:
        raise _Mistake("multiple ranges (only one allowed)")
    if size is not None:
        try:
            wanted.resolve(size)
        except InvalidRange as error:
            raise _Mistake("unsatisfiable range") from error
    return wanted


def make_part(
    number: int, segment: Segment, found: FoundSegment | str | None, *, last: bool
) -> Part | list[str]:
    """Return a segment as a part of the object, or what is wrong with what was found at its path.

    `found` is a status such as `404 Not Found` where nothing could be; it is None for inline data.
    """
    if segment.path is None:
        data = segment.data
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Part(number, "", "", "", etag, len(data), 0, len(data), data)
    if not isinstance(found, FoundSegment):
        return [found or "404 Not Found"]
    offset, size, mistakes = 0, found.size, []
    if segment.range is not None:
        try:
            spans = segment.range.resolve(found.size)
            offset, size = (spans[0].offset, spans[0].length) if spans else (0, 0)
        except InvalidRange:
            mistakes.append("Unsatisfiable Range")
    if size < 1 and not last:
        mistakes.append("Too small; each segment must be at least 1 byte.")
    if segment.size is not None and segment.size != found.size:
        mistakes.append("Size Mismatch")
    if segment.etag is not None and segment.etag != found.etag:
        mistakes.append("Etag Mismatch")
    if mistakes:
        return mistakes
    path = segment.path
    return Part(number, path.account, path.container, path.name, found.etag, size, offset, found.size)


def large_etag(parts: Sequence[Part]) -> str:
    """Return the ETag of a static large object: the MD5 of its segments' ETags and ranges."""
    text = "".join(f"{part.etag}:{_range_text(part)};" if _range_text(part) else part.etag for part in parts)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def stored_manifest(parts: Sequence[Part], segments: Sequence[Sequence[Any]]) -> bytes:
    """Return the manifest's JSON as `?multipart-manifest=get` shows it.

    `segments` holds for each part its content type, time of change and whether it is a manifest.
    """
    items: list[dict[str, object]] = []
    for part, (content_type, last_modified, is_manifest) in zip(parts, segments, strict=True):
        if part.inline:
            items.append({"data": b64encode(part.inline).decode()})
            continue
        item: dict[str, object] = {
            "name": f"/{part.container}/{part.name}",
            "bytes": part.whole,
            "hash": part.etag,
            "content_type": content_type,
            "last_modified": last_modified,
        }
        if _range_text(part):
            item["range"] = _range_text(part)
        if is_manifest:
            item["sub_slo"] = True
        items.append(item)
    return json.dumps(items).encode()


def raw_manifest(parts: Sequence[Part]) -> bytes:
    """Return the manifest's JSON in the form in which clients send it (`format=raw`)."""
    items: list[dict[str, object]] = []
    for part in parts:
        if part.inline:
            items.append({"data": b64encode(part.inline).decode()})
            continue
        item: dict[str, object] = {
            "path": f"/{part.container}/{part.name}",
            "size_bytes": part.whole,
            "etag": part.etag,
        }
        if _range_text(part):
            item["range"] = _range_text(part)
        items.append(item)
    return json.dumps(items, sort_keys=True).encode()


def depth_of(record: ObjectRecord) -> int:
    """Return how many manifests deep an object is: 0 for a plain one."""
    return int(record.extra.get(DEPTH, 0))


def _range_text(part: Part) -> str:
    if part.inline or part.size == part.whole or not part.size:
        return ""
    return f"{part.offset}-{part.offset + part.size - 1}"
