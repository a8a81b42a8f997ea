"""From an object's name to its partition. Pure.

The digest is XXH3-128 over the ring's secret salt and the names, each preceded by its length, so that ("a",
"bc") and ("ab", "c") never meet. The salt keeps a client from choosing names that fall on one partition.
"""

from struct import Struct

import xxhash

_LENGTH = Struct(">I").pack
_digest = xxhash.xxh3_128_digest

PART_POWER_MAX = 24


def _utf8(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        # Lone surrogates come from file names that are no UTF-8; they get a place of their own too.
        return name.encode("utf-8", "surrogatepass")


def path_digest(salt: bytes, *names: str | bytes) -> bytes:
    """Return the 16-byte digest of account, container and object names under the ring's salt."""
    parts = [salt]
    for name in names:
        raw = name if isinstance(name, bytes) else _utf8(name)
        parts.append(_LENGTH(len(raw)))
        parts.append(raw)
    return _digest(b"".join(parts))


def partition_of(digest: bytes, part_power: int) -> int:
    """Return the partition of a digest: its top `part_power` bits."""
    return int.from_bytes(digest[:4], "big") >> (32 - part_power)
