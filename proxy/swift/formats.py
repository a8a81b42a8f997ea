"""Listings as plain text, JSON or XML, and which of them a client wants. Pure."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from json.encoder import encode_basestring_ascii as quote
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from model.entry import ROW_HEAD
from model.listing import Listed, RawRow, unpack_listed
from model.names import decode_name
from proxy.dates import iso_of_hybrid, iso_of_stamp
from proxy.swift.errors import Refused

MANIFEST_ETAG: Final = "manifest_etag"
"""In the listing row of a static large object: the ETag of its manifest, which Swift lists as its hash."""


class Format(Enum):
    """A form of a listing; the value is its media type."""

    PLAIN = "text/plain"
    JSON = "application/json"
    XML = "application/xml"
    TEXT_XML = "text/xml"

    @property
    def content_type(self) -> str:
        """The Content-Type of a listing in this form."""
        return f"{self.value}; charset=utf-8"


_BY_PARAMETER: Final = {"json": Format.JSON, "xml": Format.XML}
_unpack_usual: Final = struct.Struct(">xQ8xQI").unpack_from
"""Of model.entry's row head: the hybrid time of the stamp, the size, the bytes of the value."""
_HEAD_BYTES: Final = ROW_HEAD.size
_USUAL_ETAG: Final = b"\x93\xd9\x20"
"""How the value of a usual row begins: an array of three, the first a text of 32 bytes."""
_ETAG_AT: Final = _HEAD_BYTES + len(_USUAL_ETAG)
_TAIL_AT: Final = _ETAG_AT + 32
_XML_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Subdir(NamedTuple):
    """A common prefix in a listing."""

    name: str


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A container in an account's listing."""

    name: str
    count: int
    bytes: int
    last_modified: str
    policy: str


def choose_format(parameter: str | None, accept: str) -> Format:
    """Return the form asked for by `?format=` or the Accept header. Raises Refused with 406 or 400."""
    if parameter:
        return _BY_PARAMETER.get(parameter.lower(), Format.PLAIN)
    if not accept or accept == "*/*":
        return Format.PLAIN
    if accept == Format.JSON.value:
        return Format.JSON
    best, best_weight = None, 0.0
    ranges = _parse_accept(accept)
    for candidate in Format:
        weight = _weight(candidate.value, ranges)
        if weight > best_weight:
            best, best_weight = candidate, weight
    if best is None:
        raise Refused(406)
    return best


def _parse_accept(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        media, *options = (piece.strip() for piece in part.split(";"))
        kind, slash, subtype = media.partition("/")
        if not slash or not kind or not subtype or " " in media:
            raise Refused(400, "Invalid Accept header")
        weight = 1.0
        for option in options:
            name, _, value = option.partition("=")
            if name.strip().lower() == "q":
                try:
                    weight = float(value)
                except ValueError as error:
                    raise Refused(400, "Invalid Accept header") from error
        ranges.append((media.lower(), weight))
    return ranges


def _weight(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that fits."""
    kind = media.partition("/")[0]
    for pattern in (media, f"{kind}/*", "*/*"):
        for name, weight in ranges:
            if name == pattern:
                return weight
    return 0.0


def plain_listing(names: Iterable[str]) -> bytes:
    """Return names, one on each line."""
    text = "\n".join(names)
    return (text + "\n").encode("utf-8", "surrogateescape") if text else b""


def json_objects(items: Iterable[RawRow]) -> bytes:
    """Return a container's listing in JSON, from rows and common prefixes as `model.listing` pages them.

    The usual row, an MD5 ETag and nothing extra, is cut out of its bytes: 1,000 of them pass here on
    each page, and their content types are few.
    """
    lines = []
    tails: dict[bytes, str] = {}
    for item in items:
        name, row = item
        if not row:
            lines.append(f'{{"subdir": {quote(decode_name(name))}}}')
            continue
        hybrid, size, value_bytes = _unpack_usual(row)
        if row[_HEAD_BYTES:_ETAG_AT] != _USUAL_ETAG or len(row) != _HEAD_BYTES + value_bytes:
            lines.append(_json_object(unpack_listed(item)))
            continue
        tail = row[_TAIL_AT:]
        content_type = tails.get(tail)
        if content_type is None:
            listed = unpack_listed(item)
            if listed.extra:
                lines.append(_json_object(listed))
                continue
            content_type = tails[tail] = quote(listed.content_type)
        shown, etag = quote(name.decode("utf-8", "surrogateescape")), row[_ETAG_AT:_TAIL_AT].decode()
        lines.append(
            f'{{"name": {shown}, "hash": "{etag}", "bytes": {size}, '
            f'"content_type": {content_type}, "last_modified": "{iso_of_hybrid(hybrid)}"}}'
        )
    return f"[{', '.join(lines)}]".encode()


def _json_object(listed: Listed) -> str:
    name, stamp, size, etag, content_type, extra = listed
    more = ""
    if extra and (shown := extra.get(MANIFEST_ETAG)) is not None:
        quoted = f'"{etag}"'
        more = f', "slo_etag": {quote(quoted)}'
        etag = shown
    return (
        f'{{"name": {quote(name)}, "hash": "{etag}", "bytes": {size}, '
        f'"content_type": {quote(content_type)}, "last_modified": "{iso_of_stamp(stamp)}"{more}}}'
    )


def xml_objects(container: str, rows: Iterable[Listed | Subdir]) -> bytes:
    """Return a container's listing in XML."""
    lines = [f"{_XML_HEAD}<container name={_attribute(container)}>"]
    for row in rows:
        if isinstance(row, Subdir):
            lines.append(f"<subdir name={_attribute(row.name)}><name>{_text(row.name)}</name></subdir>")
            continue
        etag = row.extra.get(MANIFEST_ETAG, row.etag) if row.extra else row.etag
        lines.append(
            f"<object><name>{_text(row.name)}</name><hash>{etag}</hash><bytes>{row.size}</bytes>"
            f"<content_type>{_text(row.content_type)}</content_type>"
            f"<last_modified>{iso_of_stamp(row.stamp)}</last_modified></object>"
        )
    lines.append("</container>")
    return "".join(lines).encode("utf-8", "surrogateescape")


def json_containers(rows: Iterable[ContainerRow | Subdir]) -> bytes:
    """Return an account's listing in JSON."""
    items: list[dict[str, object]] = [
        {"subdir": row.name}
        if isinstance(row, Subdir)
        else {
            "name": row.name,
            "count": row.count,
            "bytes": row.bytes,
            "last_modified": row.last_modified,
            "storage_policy": row.policy,
        }
        for row in rows
    ]
    return json.dumps(items).encode()


def xml_containers(account: str, rows: Iterable[ContainerRow | Subdir]) -> bytes:
    """Return an account's listing in XML."""
    lines = [f"{_XML_HEAD}<account name={_attribute(account)}>\n"]
    for row in rows:
        if isinstance(row, Subdir):
            lines.append(f"<subdir name={_attribute(row.name)} />\n")
            continue
        lines.append(
            f"<container><name>{_text(row.name)}</name><count>{row.count}</count><bytes>{row.bytes}</bytes>"
            f"<last_modified>{row.last_modified}</last_modified>"
            f"<storage_policy>{_text(row.policy)}</storage_policy></container>\n"
        )
    lines.append("</account>")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _attribute(text: str) -> str:
    return quoteattr(_xml_safe(text))


def _text(text: str) -> str:
    return escape(_xml_safe(text))


def _xml_safe(text: str) -> str:
    """Return text without the control characters that XML 1.0 has no way to write."""
    if text.isprintable():
        return text
    return "".join(mark if mark >= " " or mark in "\t\n\r" else "\ufffd" for mark in text)
