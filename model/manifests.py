"""The parts list of a large manifest, kept in the object's payload where a record has no room for it. Pure.

A record is bounded by what one message's head may hold; ten thousand parts are not. Such a manifest
has no parts in its record. Instead `extra["parts"]` says which part numbers there are, and the
payload is a version byte and a zstd frame of a msgpack array of parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgpack
import zstandard

from model.errors import CorruptRecord
from model.names import ObjectPath
from model.objects import Manifest, ObjectRecord, Part, part_fields

FORMAT_VERSION: Final = 1
RECORD_PARTS_MAX: Final = 256
RECORD_PART_BYTES_MAX: Final = 128 * 1024
"""Names and inline bytes that the parts in a record may have in all."""
UNPACKED_BYTES_MAX: Final = 64 << 20

NUMBERS: Final = "parts"
"""In `extra` of a manifest whose parts are in its payload: first and last number of each run, in turn."""
UPLOAD: Final = "upload"
"""In `extra` of a finished multipart object: the upload it was made by."""


def too_large_for_record(parts: Sequence[Part]) -> bool:
    """Say whether a manifest of these parts keeps them in its payload."""
    return (
        len(parts) > RECORD_PARTS_MAX
        or sum(len(part.name) + len(part.inline) for part in parts) > RECORD_PART_BYTES_MAX
    )


def parts_lie_in_payload(record: ObjectRecord) -> bool:
    """Say whether the payload of an object is the list of its parts."""
    return record.manifest is not Manifest.NONE and not record.parts and NUMBERS in record.extra


def has_part(record: ObjectRecord, part: ObjectPath, upload_id: str, number: int) -> bool:
    """Say whether a finished multipart object is made of a part, told by the record alone."""
    if record.manifest is not Manifest.MULTIPART:
        return False
    if not parts_lie_in_payload(record):
        path = part.account, part.container, part.name
        return any((one.account, one.container, one.name) == path for one in record.parts)
    runs = record.extra[NUMBERS]
    return record.extra.get(UPLOAD) == upload_id and any(
        first <= number <= last for first, last in zip(runs[::2], runs[1::2], strict=True)
    )


def number_runs(numbers: Iterable[int]) -> list[int]:
    """Return the first and last number of each run of ascending numbers: 1, 2, 3, 7 as 1, 3, 7, 7."""
    runs: list[int] = []
    for number in numbers:
        if runs and number == runs[-1] + 1:
            runs[-1] = number
        else:
            runs += (number, number)
    return runs


def pack_parts(parts: Sequence[Part]) -> bytes:
    """Return the payload of a manifest."""
    packed = msgpack.packb([part_fields(part) for part in parts], unicode_errors="surrogateescape")
    return bytes((FORMAT_VERSION,)) + zstandard.compress(packed)


def unpack_parts(payload: bytes | bytearray | memoryview) -> tuple[Part, ...]:
    """Return the parts in a payload. Raises CorruptRecord for one that cannot be decoded."""
    held = memoryview(payload)
    if not held or held[0] != FORMAT_VERSION:
        raise CorruptRecord("parts list is of an unknown form")
    try:
        if zstandard.frame_content_size(held[1:]) > UNPACKED_BYTES_MAX:
            raise CorruptRecord("parts list is too large")
        rows = msgpack.unpackb(zstandard.decompress(held[1:]), unicode_errors="surrogateescape")
        return tuple([Part(*row) for row in rows])
    except (zstandard.ZstdError, ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"parts list cannot be decoded: {error}") from error
