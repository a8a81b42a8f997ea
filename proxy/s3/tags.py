"""Tags of objects and buckets: read from headers and XML, bounded, and stored in a register. Pure.

Source: Amazon S3 user guide, "Categorizing your objects using tags" (ten tags, keys of 128 and values of
256 characters) and "Using cost allocation S3 bucket tags" (fifty tags).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

import msgpack

from model.errors import CorruptRecord
from proxy.auth.query import parse_query
from proxy.s3 import xml_read
from proxy.s3.errors import S3Error

FORMAT_VERSION: Final = 1
TAGS_MAX: Final = 10
BUCKET_TAGS_MAX: Final = 50
KEY_LENGTH_MAX: Final = 128
VALUE_LENGTH_MAX: Final = 256
_MARKS: Final = "+-=._:/@"
_OF_SYSTEM: Final = "aws:"


def from_header(text: str) -> dict[str, str]:
    """Return the tags of an x-amz-tagging header. Raises S3Error InvalidArgument or InvalidTag."""
    pairs = parse_query(text)
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise S3Error("InvalidArgument", "The header 'x-amz-tagging' is not a URL-encoded tag set.")
    return check(tags, count_max=TAGS_MAX)


def from_xml(body: bytes | bytearray | memoryview, *, count_max: int = TAGS_MAX) -> dict[str, str]:
    """Return the tags of a Tagging document. Raises S3Error MalformedXML or InvalidTag."""
    tag_set = xml_read.parse(body, "Tagging").child("TagSet")
    if tag_set is None:
        raise S3Error("MalformedXML")
    tags: dict[str, str] = {}
    for node in tag_set.children("Tag"):
        fields = node.fields()
        if "Key" not in fields or "Value" not in fields:
            raise S3Error("MalformedXML")
        if fields["Key"] in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
        tags[fields["Key"]] = fields["Value"]
    return check(tags, count_max=count_max)


def seen_in(body: bytes) -> dict[str, str]:
    """Return the tags of a Tagging document as policies see them: none of one that will be refused."""
    try:
        return from_xml(body)
    except S3Error:
        return {}


def check(tags: dict[str, str], *, count_max: int) -> dict[str, str]:
    """Return tags that keep the limits, in order of key. Raises S3Error InvalidTag."""
    if len(tags) > count_max:
        raise S3Error("InvalidTag", f"There cannot be more than {count_max} tags")
    for key, value in tags.items():
        if key.startswith(_OF_SYSTEM):
            raise S3Error("InvalidTag", "System tags cannot be added or updated", details={"TagKey": key})
        if not key or len(key) > KEY_LENGTH_MAX or not _allowed(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", details={"TagKey": key})
        if len(value) > VALUE_LENGTH_MAX or not _allowed(value):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", details={"TagKey": key})
    return dict(sorted(tags.items()))


def _allowed(text: str) -> bool:
    """Whether text has only letters, digits, spaces and the marks that tags may have."""
    if text.isascii() and text.isalnum():
        return True
    return all(mark in _MARKS or unicodedata.category(mark)[0] in "LNZ" for mark in text)


def pack(tags: Mapping[str, str]) -> bytes:
    """Return the register of tags; no tags are an empty, hence removed, register."""
    if not tags:
        return b""
    packed: bytes = msgpack.packb((FORMAT_VERSION, tags), unicode_errors="surrogateescape")
    return packed


def unpack(packed: bytes) -> dict[str, str]:
    """Return the tags of a register, none of an empty one. Raises CorruptRecord."""
    if not packed:
        return {}
    try:
        version, tags = msgpack.unpackb(packed, unicode_errors="surrogateescape")
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"tags cannot be decoded: {error}") from error
    if version != FORMAT_VERSION or not isinstance(tags, dict):
        raise CorruptRecord("tags are of an unknown form")
    return tags
