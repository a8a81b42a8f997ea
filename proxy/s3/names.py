"""Names as S3 sees them: what a request addresses, which bucket names and keys are valid. Pure.

Source: Amazon S3 user guide, "General purpose bucket naming rules" and "Naming Amazon S3 objects".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from model.errors import InvalidName
from model.names import HIDDEN, OBJECT_BYTES_MAX, check_name
from proxy.auth.query import decode
from proxy.s3.errors import S3Error
from proxy.s3.router import Level

BUCKET_BYTES_MIN: Final = 3
BUCKET_BYTES_MAX: Final = 63
_ALPHANUMERIC: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


@dataclass(frozen=True, slots=True)
class Address:
    """What a request addresses; an empty key is the bucket, an empty bucket the service.

    `resource` is the path as it was sent, with a bucket named by the host before it.
    """

    bucket: str
    key: str
    resource: str = ""

    @property
    def level(self) -> Level:
        """What kind of thing it is."""
        if self.key:
            return Level.OBJECT
        return Level.BUCKET if self.bucket else Level.SERVICE


def read_address(raw_path: str, host: str, domains: Sequence[str]) -> Address:
    """Return what a request addresses, by virtual host (`bucket.domain`) or by path.

    `domains` are those under which a first label is a bucket, without a leading dot.
    """
    bucket = _bucket_of_host(host, domains) if domains else ""
    path = raw_path[1:]
    if bucket:
        return Address(bucket, decode(path), f"/{bucket}{raw_path}")
    bucket, _, path = path.partition("/")
    return Address(decode(bucket), decode(path), raw_path)


def _bucket_of_host(host: str, domains: Sequence[str]) -> str:
    name = host.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    for domain in domains:
        if name.endswith(domain) and name[-len(domain) - 1 : -len(domain)] == ".":
            return name[: -len(domain) - 1]
    return ""


@lru_cache(maxsize=4096)
def is_bucket_name(name: str) -> bool:
    """Whether a name may be given to a bucket."""
    if not BUCKET_BYTES_MIN <= len(name) <= BUCKET_BYTES_MAX or name.strip(_ALPHANUMERIC + ".-"):
        return False
    if any(character not in _ALPHANUMERIC and character not in ".-" for character in name):
        return False
    if name[0] not in _ALPHANUMERIC or name[-1] not in _ALPHANUMERIC:
        return False
    if ".." in name or ".-" in name or "-." in name or _is_address(name):
        return False
    return not name.startswith(_RESERVED_PREFIXES) and not name.endswith(_RESERVED_SUFFIXES)


def _is_address(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and all(part.isdecimal() for part in parts)


def check_key(key: str) -> str:
    """Return a key unchanged. Raises S3Error KeyTooLongError or InvalidURI."""
    size_bytes = len(key)
    if not key.isascii():
        try:
            size_bytes = len(key.encode())
        except UnicodeEncodeError:
            raise S3Error("InvalidURI") from None
    if size_bytes > OBJECT_BYTES_MAX:
        raise S3Error(
            "KeyTooLongError", details={"Size": str(size_bytes), "MaxSizeAllowed": str(OBJECT_BYTES_MAX)}
        )
    if HIDDEN in key:
        raise S3Error("InvalidURI")
    return key


def check_listing_name(name: str, text: str) -> bytes:
    """Return a prefix, marker or delimiter as bytes. Raises S3Error InvalidArgument."""
    if not text:
        return b""
    try:
        check_name(text, what=name, bytes_max=2 * OBJECT_BYTES_MAX)
    except InvalidName as error:
        raise S3Error("InvalidArgument", str(error)) from error
    return text.encode()
