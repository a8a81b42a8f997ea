"""What becomes of a write, given what the device holds: one set of rules for every store. Pure."""

from __future__ import annotations

from model.entry import DIGEST_BYTES, KEY_HEAD_BYTES, Entry, Kind, Table, make_key
from model.stamp import Stamp
from objectd.store import Origin, Outcome, Write, Written

TABLES_END = bytes((max(Table) + 1,))
"""The first key after all keys of all tables."""


def index_range(digest: bytes) -> tuple[bytes, bytes]:
    """Return the first key of the index of a placement digest, and the first key after it."""
    start = make_key(Table.INDEX, digest)
    return start, after_keys(start)


def after_keys(prefix: bytes) -> bytes:
    """Return the first key after all keys that start with a table byte and more."""
    number = int.from_bytes(prefix[: 1 + DIGEST_BYTES], "big") + 1
    return number.to_bytes(len(prefix[: 1 + DIGEST_BYTES]), "big")


def partition_of_key(key: bytes, part_power: int) -> int:
    """Return the partition of a key: the top `part_power` bits of its digest."""
    return int.from_bytes(key[1:5], "big") >> (32 - part_power)


def empties_container(write: Write) -> bool:
    """Say whether the write deletes a container on condition that it lists nothing."""
    return write.if_empty and write.origin is Origin.CLIENT and write.entry.kind is Kind.TOMBSTONE


def outcome_of(write: Entry, current: Entry | None, merged: Entry) -> Written:
    """Return the outcome of a write whose merge with `current` came to `merged`.

    A repair of a payload that `current` has lost is not seen here: the caller knows of it.
    """
    hidden_by = _hidden_by(write, merged)
    if hidden_by is not None:
        return Written(Outcome.SUPERSEDED, hidden_by)
    if merged is current:
        return Written(Outcome.KNOWN, merged.stamp)
    return Written(Outcome.STORED, merged.stamp)


def _hidden_by(write: Entry, merged: Entry) -> Stamp | None:
    if write.kind is not Kind.EMPTY and merged.stamp != write.stamp:
        # By a newer base, or, where a deletion came too late, by a lock.
        return merged.stamp if merged.stamp > write.stamp else merged.newest
    if write.sides:
        for name, register in write.sides.items():
            kept = merged.sides.get(name)
            if kept is None:
                return merged.stamp
            if kept != register:
                return kept[0]
    return None


def suffix_of(key: bytes) -> bytes:
    """Return what follows the placement digest of a key."""
    return key[KEY_HEAD_BYTES:]
