"""What a bucket says of encryption: how new objects are encrypted by default, and what is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgpack

from model.containers import SETTING
from model.errors import CorruptRecord
from proxy.encryption.sealed import DEFAULT_KMS_KEY, OWN_KEY, ETags, Mode, Seal

ENCRYPTION: Final = f"{SETTING}encryption"
"""The container's register."""
AES256: Final = "AES256"
AWS_KMS: Final = "aws:kms"
CUSTOMER_KEYS: Final = "SSE-C"
"""The one encryption type that a bucket can refuse."""
_FORMAT_VERSION: Final = 1


class CustomerKeys(Enum):
    """Over which connections customers may send their keys."""

    TLS_ONLY = "TLS only"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class BucketEncryption:
    """The rule of a bucket, in S3's words.

    `algorithm` is AES256, aws:kms, or empty where the rule only blocks; `key_id` is as the client wrote it.
    """

    algorithm: str = AES256
    key_id: str = ""
    bucket_key: bool = False
    blocked: tuple[str, ...] = ()


def pack_encryption(rule: BucketEncryption) -> bytes:
    """Return the msgpack of a rule."""
    fields = (_FORMAT_VERSION, rule.algorithm, rule.key_id, rule.bucket_key, rule.blocked)
    packed: bytes = msgpack.packb(fields)
    return packed


def encryption_of(settings: Mapping[str, bytes]) -> BucketEncryption | None:
    """Return the rule among a container's settings, or None. Raises CorruptRecord."""
    packed = settings.get(ENCRYPTION)
    if not packed:
        return None
    try:
        version, algorithm, key_id, bucket_key, blocked = msgpack.unpackb(packed)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"a bucket's encryption cannot be decoded: {error}") from error
    if version != _FORMAT_VERSION:
        raise CorruptRecord(f"a bucket's encryption is of form {version}, which is unknown here")
    return BucketEncryption(algorithm, key_id, bucket_key, tuple(blocked))


def default_seal(
    settings: Mapping[str, bytes], fallback: BucketEncryption | None, etags: ETags = ETags.MD5
) -> Seal | None:
    """Return how a container encrypts new objects of which the client says nothing, or None.

    `fallback` is the rule of containers that have none. `etags` is what the API promises of ETags under
    a master key that clients choose.
    """
    rule = encryption_of(settings) or fallback
    if rule is None or not rule.algorithm:
        return None
    if rule.algorithm == AES256:
        return Seal(Mode.OWN, OWN_KEY)
    return Seal(Mode.KMS, plain_key_id(rule.key_id), bucket_key=rule.bucket_key, etags=etags)


def plain_key_id(key_id: str) -> str:
    """Return the id of a master key that a client named by id, by alias or by ARN, or not at all."""
    name = key_id.strip()
    if name.startswith("arn:"):
        name = name.split(":", 5)[-1].removeprefix("key/")
    return name or DEFAULT_KMS_KEY
