"""The public access block of a container: four switches, and how they are stored. Pure.

Source: Amazon S3 user guide, "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.errors import CorruptRecord

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """What is blocked: setting public ACLs, heeding them, setting public policies, and public buckets."""

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict_buckets: bool = False


NO_BLOCK: Final = PublicAccessBlock()


def pack_block(block: PublicAccessBlock) -> bytes:
    """Return the register: a format version, and a bit for each switch."""
    bits = (block.block_acls, block.ignore_acls, block.block_policy, block.restrict_buckets)
    return bytes((FORMAT_VERSION, sum(bit << index for index, bit in enumerate(bits))))


def unpack_block(packed: bytes | None) -> PublicAccessBlock:
    """Return the block of a register, none where it is not set. Raises CorruptRecord."""
    if not packed:
        return NO_BLOCK
    if len(packed) != 2 or packed[0] != FORMAT_VERSION or packed[1] > 15:
        raise CorruptRecord("a public access block is of an unknown form")
    bits = packed[1]
    return PublicAccessBlock(*(bool(bits >> index & 1) for index in range(4)))
