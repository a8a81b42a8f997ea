"""All that a store holds, as a value that two stores can be compared by."""

from __future__ import annotations

from dataclasses import dataclass

from model.entry import Table, from_row
from model.errors import CorruptRecord
from objectd.store import Change, Group, Store


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is read back, listed, digested, counted and logged."""

    entries: dict[bytes, tuple[bytes, bytes | None]]
    """Key to (row, payload); the payload is None where it was lost."""
    groups: dict[bytes, Group]
    changes: dict[bytes, list[Change]]
    digests: dict[Table, dict[int, int]]
    entry_count: int


async def snapshot(store: Store) -> Snapshot:
    """Return all that a store holds."""
    entries: dict[bytes, tuple[bytes, bytes | None]] = {}
    rows = store.rows(b"\x01", b"\x06", 1 << 30)
    for key, row in rows:
        held = store.get(key)
        assert held is not None
        assert held.entry == from_row(key, row)
        try:
            pieces = [bytes(piece) async for piece in store.read(held, 0, held.payload_bytes)]
            entries[key] = (row, b"".join(pieces))
        except CorruptRecord:
            entries[key] = (row, None)
    listed = {key[1:17] for key, _ in rows if key[0] in (Table.INDEX, Table.CONTAINER)}
    return Snapshot(
        entries,
        {digest: store.group(digest) for digest in sorted(listed)},
        {digest: store.changes(digest, 0, 1 << 30) for digest in sorted(listed)},
        {table: store.partition_digests(table) for table in Table},
        store.status().entry_count,
    )
