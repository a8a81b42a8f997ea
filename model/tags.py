"""Tags of an object as its side register keeps them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgpack

from model.errors import CorruptRecord

FORMAT_VERSION: Final = 1


def pack_tags(tags: Mapping[str, str]) -> bytes:
    """Return the register of tags; no tags are an empty, hence removed, register."""
    if not tags:
        return b""
    packed: bytes = msgpack.packb((FORMAT_VERSION, tags), unicode_errors="surrogateescape")
    return packed


def unpack_tags(packed: bytes) -> dict[str, str]:
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
