"""How an object is to be encrypted, and what its record keeps of it. Pure.

A record keeps the data key wrapped: under a master key of the colony, or under the customer's own key,
which the colony never keeps. What is bound into the wrapping (`binding`) makes it open only in the
record it was made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final

import msgpack

from model.errors import CorruptRecord
from model.names import ObjectPath
from proxy.encryption.cipher import SEGMENT_BYTES

SSE: Final = "sse"
"""In a record's extra: how the object is encrypted."""
OWN_KEY: Final = "sse-s3"
"""Id of the master key of objects encrypted without a word about keys; made when first needed."""
DEFAULT_KMS_KEY: Final = "aws/s3"
"""Id of the master key of aws:kms requests that name none; there is one only if an operator has added it."""
_FORMAT_VERSION: Final = 1


class Mode(StrEnum):
    """Whose key it is."""

    CUSTOMER = "C"
    """SSE-C: the customer sends it with every request."""
    OWN = "S3"
    """SSE-S3: the colony's own."""
    KMS = "KMS"
    """SSE-KMS: a master key of the colony that the client names."""


class ETags(Enum):
    """What the ETag of an encrypted object tells."""

    MD5 = "md5"
    """The MD5 of the bytes, as of any other object."""
    OPAQUE = "opaque"
    """Nothing to whoever lacks the key, as S3 has it of SSE-C and SSE-KMS: a MAC of the MD5."""


@dataclass(frozen=True, slots=True)
class Seal:
    """How a new object is to be encrypted.

    `context` is the encryption context, canonical JSON, bound to the key. `bucket_key` is what the
    client said of bucket keys: stored and shown, for it changes nothing here. Opaque ETags are made with
    `etag_key`, or where there is none with the data key: then equal bytes have ETags of their own.
    """

    mode: Mode
    key_id: str = ""
    context: str = ""
    bucket_key: bool = False
    customer_key: bytes = field(default=b"", repr=False)
    etags: ETags = ETags.MD5
    etag_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a record keeps of its encryption; a manifest's own key seals nothing, its parts have theirs."""

    mode: Mode
    key_id: str
    wrapped: bytes
    segment_bytes: int = SEGMENT_BYTES
    context: str = ""
    bucket_key: bool = False


def pack_sealed(sealed: Sealed) -> dict[str, Any]:
    """Return what goes into a record's extra under SSE."""
    return {
        "v": _FORMAT_VERSION,
        "mode": str(sealed.mode),
        "key": sealed.key_id,
        "wrapped": sealed.wrapped,
        "segment": sealed.segment_bytes,
        "context": sealed.context,
        "bucket": sealed.bucket_key,
    }


def sealed_of(extra: Mapping[str, Any]) -> Sealed | None:
    """Return what a record's extra says of its encryption, or None. Raises CorruptRecord."""
    held = extra.get(SSE)
    if held is None:
        return None
    try:
        if held["v"] != _FORMAT_VERSION:
            raise CorruptRecord(f"the object is encrypted in form {held['v']}, which is unknown here")
        return Sealed(
            Mode(held["mode"]),
            held["key"],
            held["wrapped"],
            held["segment"],
            held["context"],
            held["bucket"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(f"what is kept of an object's encryption cannot be decoded: {error!r}") from error


def binding(path: ObjectPath, mode: Mode, key_id: str, context: str) -> bytes:
    """Return what a data key is bound to: the object's path and how it is encrypted."""
    fields = (str(mode), key_id, context, path.account, path.container, path.name)
    packed: bytes = msgpack.packb(fields, unicode_errors="surrogateescape")
    return packed
