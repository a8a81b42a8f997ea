"""Listings as plain text, JSON or XML, and which of them a client wants. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from json.encoder import encode_basestring_ascii as quote
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from model.listing import Listed, RawRow, unpack_listed
from model.names import decode_name
from model.usual_rows import CUTS, is_usual
from proxy.dates import iso_fraction, iso_of_stamp, iso_second
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
_HYBRIDS_A_SECOND: Final = 1000 << 16
_COUNTER_OF_MICROSECOND: Final = 66
_MILLIS: Final = tuple(b"%03d000" % number for number in range(1000))
_PLAIN_NAMES: Final = bytes(code for code in range(ord(" "), ord("~") + 1) if code not in b'"\\')
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


def json_objects(items: Sequence[RawRow]) -> bytes:
    """Return a container's listing in JSON, from rows and common prefixes as `model.listing` pages them.

    The usual row is cut out of its bytes and goes into the answer as bytes: 1,000 of them pass here on each
    page. What is said of a row's kind and of its second is written once for all the rows that share them.
    """
    # Names as nearly all are: JSON has nothing to escape in any of them.
    plain = not b"".join([name for name, _ in items]).translate(None, _PLAIN_NAMES)
    lines: list[bytes] = []
    kinds: dict[bytes, _Described] = {}
    last_head: bytes | None = None
    last_tail: bytes | None = None
    for name, row in items:
        hybrid, size, head, etag, tail = CUTS[len(row)](row)
        if tail != last_tail or head != last_head:
            kind = _kind_of(row, head, tail, kinds)
            if kind is None:
                lines.append(_json_item(name, row))
                continue
            last_head, last_tail, described = head, tail, kind
        lines.append(
            b'{"name": "%b", "hash": "%b", "bytes": %d%b%b"}'
            % (
                name if plain else quote(decode_name(name))[1:-1].encode(),
                etag,
                size,
                described[hybrid // _HYBRIDS_A_SECOND],
                # A counter so small adds no microsecond to the milliseconds before it.
                _MILLIS[(hybrid >> 16) % 1000]
                if hybrid & 0xFFFF < _COUNTER_OF_MICROSECOND
                else b"%06d" % iso_fraction(hybrid),
            )
        )
    return b"[%b]" % b", ".join(lines)


class _Described(dict[int, bytes]):
    """Of rows of one kind, by the second of their writing: what stands between the size and the fraction."""

    def __init__(self, content_type: str) -> None:
        super().__init__()
        self._start = f', "content_type": {quote(content_type)}, "last_modified": "'

    def __missing__(self, moment_s: int) -> bytes:
        text = self[moment_s] = f"{self._start}{iso_second(moment_s)}.".encode()
        return text


def _kind_of(row: bytes, head: bytes, tail: bytes, kinds: dict[bytes, _Described]) -> _Described | None:
    """Return what rows of a kind share, or None for a row that is to be shown by itself."""
    if not is_usual(head, tail):
        return None
    kind = kinds.get(tail)
    if kind is None:
        listed = unpack_listed((b"", row))
        if MANIFEST_ETAG in listed.extra:
            return None
        kind = kinds[tail] = _Described(listed.content_type)
    return kind


def _json_item(name: bytes, row: bytes) -> bytes:
    if row:
        return _json_object(unpack_listed((name, row))).encode()
    return f'{{"subdir": {quote(decode_name(name))}}}'.encode()


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
