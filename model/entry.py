"""Entries: the one thing that devices store, replicas exchange and merges converge on. Pure.

Everything a colony keeps (objects, containers, accounts, listing rows) is an entry: a key, a
*base* register (stamp, kind, size, value, and in the store a payload) and named *side* registers,
each with a stamp of its own. Merging two entries of one key takes the newest of each register (of two
retentions, the one that outlasts the other: see model.retention); a newer base drops the sides that
are older than it. So merge is commutative, associative and idempotent, and replicas that have seen
the same writes, in whatever order, are equal. One thing is left to their exchange: a deletion older than
a lock of the same version deletes nothing, and a home that took it first is given the version again.

Key: one byte of table, 16 bytes of placement digest, then a suffix. A partition is the top bits of
the digest, hence one contiguous range of keys, whatever the partition power.

Row (version 1): ``>B16sQI`` (version << 4 | kind, stamp, size, value bytes), the value, and where
there are sides a msgpack map of name to [stamp, value].
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import msgpack
import xxhash

from model.errors import CorruptRecord
from model.retention import LOCKS, RETENTION, outlasts
from model.stamp import ZERO, Stamp

ROW_VERSION: Final = 1
DIGEST_BYTES: Final = 16
KEY_HEAD_BYTES: Final = 1 + DIGEST_BYTES
ROW_HEAD: Final = struct.Struct(">B16sQI")

Sides = Mapping[str, tuple[Stamp, bytes]]
_NO_SIDES: Final[Sides] = {}


class Table(IntEnum):
    """What kind of thing a key names; the first byte of every key."""

    OBJECT = 1
    CONTAINER = 2
    ACCOUNT = 3
    INDEX = 4
    PROMISE = 5
    """What a home has promised to conditional writes of an object: see model.promises."""


class Kind(IntEnum):
    """What the base of an entry says."""

    EMPTY = 0
    """No base yet: only side registers have arrived."""
    DATA = 1
    TOMBSTONE = 2
    """Deleted; kept until every replica has it."""
    MARKER = 3
    """A delete marker of a versioned bucket: listed as a version, read as absent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key's registers.

    `size` is the logical size in bytes of what the entry stands for (an object's length, also in
    its listing row). `value` is msgpack that the store does not look into. A side register with an
    empty value is a removed one.
    """

    key: bytes
    stamp: Stamp
    kind: Kind
    size: int = 0
    value: bytes = b""
    sides: Sides = field(default_factory=lambda: _NO_SIDES)

    @property
    def table(self) -> Table:
        """The table of the key."""
        return Table(self.key[0])

    @property
    def digest(self) -> bytes:
        """The 16 bytes that place the entry."""
        return self.key[1:KEY_HEAD_BYTES]

    @property
    def suffix(self) -> bytes:
        """What follows the placement digest: a version of an object, a name in an index."""
        return self.key[KEY_HEAD_BYTES:]

    @property
    def newest(self) -> Stamp:
        """The newest stamp of any register."""
        if not self.sides:
            return self.stamp
        return max(self.stamp, *(stamp for stamp, _ in self.sides.values()))

    def to_row(self) -> bytes:
        """Return the row of this entry, without its key."""
        head = ROW_HEAD.pack(ROW_VERSION << 4 | self.kind, self.stamp, self.size, len(self.value))
        if not self.sides:
            return head + self.value
        packed: bytes = msgpack.packb(self.sides)
        return head + self.value + packed


def make_key(table: Table, digest: bytes, suffix: bytes = b"") -> bytes:
    """Return the key of a table, a 16-byte placement digest and a suffix."""
    return bytes((table,)) + digest + suffix


def from_row(key: bytes, row: bytes) -> Entry:
    """Return the entry of a key and its row. Raises CorruptRecord for a row that is not whole."""
    try:
        version_kind, stamp, size, value_bytes = ROW_HEAD.unpack_from(row)
        end = ROW_HEAD.size + value_bytes
        if version_kind >> 4 != ROW_VERSION or len(row) < end:
            raise CorruptRecord(f"row of version {version_kind >> 4} with {len(row)} bytes")
        sides: Sides = _NO_SIDES
        if len(row) > end:
            packed = msgpack.unpackb(row[end:])
            sides = {name: (Stamp(at), value) for name, (at, value) in packed.items()}
        return Entry(key, Stamp(stamp), Kind(version_kind & 15), size, row[ROW_HEAD.size : end], sides)
    except (struct.error, ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"row cannot be decoded: {error}") from error


def is_listed(kind: int) -> bool:
    """Say whether a row of this kind counts as content of its index: an object, or a delete marker."""
    return kind == Kind.DATA or kind == Kind.MARKER  # noqa: PLR1714  (a set costs more, on a hot path)


def row_kind(row: bytes) -> int:
    """Return the kind of a row without decoding it."""
    return row[0] & 15


def row_stamp(row: bytes) -> Stamp:
    """Return the base stamp of a row without decoding it."""
    return Stamp(row[1:17])


def merge(ours: Entry | None, theirs: Entry) -> Entry:
    """Return the newest of each register of two entries of one key.

    The result is `ours` itself where `theirs` brings nothing new, so callers test by identity.
    """
    if ours is None:
        return theirs
    base = theirs if theirs.stamp > ours.stamp else ours
    if not ours.sides and not theirs.sides:
        return base
    newest = _newest_sides(ours.sides, theirs.sides)
    if base.kind is Kind.TOMBSTONE:
        base = _spared(ours if base is theirs else theirs, base, newest)
    sides = {name: register for name, register in newest.items() if register[0] > base.stamp}
    if sides == base.sides:
        return base
    return Entry(base.key, base.stamp, base.kind, base.size, base.value, sides)


def _newest_sides(ours: Sides, theirs: Sides) -> dict[str, tuple[Stamp, bytes]]:
    sides = dict(ours)
    for name, register in theirs.items():
        held = sides.get(name)
        if held is None or (register > held if name != RETENTION else _prevails(register, held)):
            sides[name] = register
    return sides


def _spared(older: Entry, tombstone: Entry, sides: Sides) -> Entry:
    """Return the base that stays: a version is not deleted by what is older than a lock of it.

    A lock is set under a ballot, on a version seen to be there: a deletion before it was overtaken, and
    never came to a majority.
    """
    if older.kind is Kind.DATA:
        for name in LOCKS:
            if name in sides and sides[name][0] > tombstone.stamp:
                return older
    return tombstone


def _prevails(register: tuple[Stamp, bytes], held: tuple[Stamp, bytes]) -> bool:
    """Say whether a retention takes the place of a held one: the newer, unless the older one outlasts it."""
    if register > held:
        return not outlasts(held, register)
    return register != held and outlasts(register, held)


def only_sides(key: bytes, sides: Sides) -> Entry:
    """Return an entry that carries side registers and says nothing of the base."""
    return Entry(key, ZERO, Kind.EMPTY, 0, b"", sides)


def fingerprint(entry: Entry) -> int:
    """Return the 128-bit fingerprint of a key and its stamps; equal for equal replicas.

    Fingerprints are summed modulo 2**128 into digests, so a digest does not depend on order.
    """
    text = entry.key + entry.stamp
    if entry.sides:
        text += b"".join(name.encode() + b"\0" + entry.sides[name][0] for name in sorted(entry.sides))
    return xxhash.xxh3_128_intdigest(text)
