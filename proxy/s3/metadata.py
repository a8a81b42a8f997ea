"""Object metadata between headers and records: what uploads say, what answers show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from model.objects import TAGS, Manifest
from proxy.dates import http_date
from proxy.s3 import tags
from proxy.s3.errors import S3Error, invalid_argument

if TYPE_CHECKING:
    from model.objects import ObjectRecord
    from proxy.http.messages import Headers
    from proxy.operations.types import StoredObject

META: Final = "x-amz-meta-"
META_BYTES_MAX: Final = 2048
DEFAULT_TYPE: Final = "binary/octet-stream"
STORAGE_CLASS: Final = "x-amz-storage-class"

_KEPT: Final = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
    STORAGE_CLASS: STORAGE_CLASS,
    "x-amz-website-redirect-location": "x-amz-website-redirect-location",
}
"""Headers that are stored with an object, and how answers spell them."""

_ONLINE_CLASSES: Final = frozenset(
    ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING")
)
_OTHER_CLASSES: Final = frozenset(
    ("GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS")
)
CLASSES: Final = _ONLINE_CLASSES | _OTHER_CLASSES
"""The storage classes of AWS by name."""
_REFUSED: Final = ("x-amz-write-offset-bytes",)
"""Promises that are not kept yet must not be made: these are refused by name."""

OVERRIDES: Final = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}
"""Query parameters that override headers of a GET's answer."""


def read_headers(headers: Headers) -> dict[str, str]:
    """Return the headers to be stored with an object, lower case. Raises S3Error."""
    refuse_unkept(headers)
    kept = {name: headers[name] for name in _KEPT if name in headers}
    encoding = kept.get("content-encoding")
    if encoding is not None and "aws-chunked" in encoding:
        parts = [part.strip() for part in encoding.split(",")]
        kept["content-encoding"] = ", ".join([part for part in parts if part != "aws-chunked"])
        if not kept["content-encoding"]:
            del kept["content-encoding"]
    storage_class = kept.get(STORAGE_CLASS)
    if storage_class is not None:
        if storage_class in _OTHER_CLASSES:
            raise S3Error("NotImplemented", f"Storage class {storage_class} is not implemented")
        if storage_class not in _ONLINE_CLASSES:
            raise S3Error("InvalidStorageClass", details={"StorageClassRequested": storage_class})
        if storage_class == "STANDARD":
            del kept[STORAGE_CLASS]
    return kept


def refuse_unkept(headers: Headers) -> None:
    """Refuse by name what a header asks for and is not implemented."""
    for name in _REFUSED:
        if name in headers:
            raise S3Error("NotImplemented", f"{name} is not implemented", details={"Header": name})


def read_user(headers: Headers) -> dict[str, str]:
    """Return user metadata, names lower case without prefix. Raises S3Error MetadataTooLarge."""
    user = headers.starting(META)
    if user:
        size_bytes = sum(len(name) + len(value.encode("utf-8", "replace")) for name, value in user.items())
        if size_bytes > META_BYTES_MAX:
            raise S3Error(
                "MetadataTooLarge", details={"Size": str(size_bytes), "MaxSizeAllowed": str(META_BYTES_MAX)}
            )
    return user


def show(stored: StoredObject) -> list[tuple[str, str]]:
    """Return the headers that GET and HEAD of an object have in common."""
    record = stored.record
    shown = [
        ("Content-Type", record.content_type),
        ("ETag", f'"{record.etag}"'),
        ("Last-Modified", http_date(stored.modified_ms // 1000)),
        ("Accept-Ranges", "bytes"),
    ]
    for name, value in record.headers.items():
        spelled = _KEPT.get(name)
        if spelled is not None:
            shown.append((spelled, value))
    for name, value in record.user.items():
        shown.append((META + name, value))
    if stored.sides and TAGS in stored.sides:
        shown.append(("x-amz-tagging-count", str(len(tags.unpack(stored.sides[TAGS])))))
    return shown


def show_checksum(record: ObjectRecord) -> list[tuple[str, str]]:
    """Return the headers of the checksum that the uploader chose, or nothing."""
    chosen = chosen_checksum(record.checksums)
    if chosen is None:
        return []
    name, value, kind = chosen
    return [(f"x-amz-checksum-{name.lower()}", value), ("x-amz-checksum-type", kind)]


def show_part_checksum(record: ObjectRecord, number: int) -> list[tuple[str, str]]:
    """Return the headers of the checksum of the n-th part of a multipart object, or nothing."""
    chosen = chosen_checksum(record.checksums)
    held = record.parts[number - 1].checksum if number <= len(record.parts) else ""
    if chosen is None or not held:
        return []
    return [(f"x-amz-checksum-{chosen[0].lower()}", held), ("x-amz-checksum-type", chosen[2])]


def chosen_checksum(checksums: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return algorithm, value and type of the checksum shown to clients: the first one stored."""
    for name, value in checksums.items():
        return name, value, "COMPOSITE" if "-" in value else "FULL_OBJECT"
    return None


def parts_count(record: ObjectRecord) -> int:
    """Return how many parts a multipart object has, 0 for any other object."""
    return len(record.parts) if record.manifest is Manifest.MULTIPART else 0


def is_copied(name: str) -> bool:
    """Whether a stored header goes along with a copy; those that make a Swift manifest do not."""
    return name in _KEPT


def override(shown: list[tuple[str, str]], query: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return headers with those that response- parameters of the query replace."""
    wanted = {OVERRIDES[name]: query[name] for name in OVERRIDES if name in query}
    if not wanted:
        return shown
    for name, value in wanted.items():
        if "\r" in value or "\n" in value:
            raise invalid_argument(name, value, "Header value cannot be represented")
    return [pair for pair in shown if pair[0] not in wanted] + list(wanted.items())
