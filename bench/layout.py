"""Costs of the record and index layout: sizes in bytes, steps in microseconds.

Behind docs/decisions/0007-record-and-index-layout.md. Run: ``python -m bench.layout``.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from click import echo

from model.entry import Entry, Kind, fingerprint, from_row, merge
from model.listing import Query, RawRow, list_page, pack_listed, unpack_listed
from model.names import index_key, object_key
from model.objects import ObjectRecord, pack_record, unpack_record
from model.stamp import make_stamp

STAMP = make_stamp(1_790_000_000_000, 1, 77)
DIGEST = bytes(range(16))
RECORD = ObjectRecord(
    "AUTH_test",
    "photos",
    "2026/11/21/IMG_0001.jpeg",
    4096,
    "d41d8cd98f00b204e9800998ecf8427e",
    "image/jpeg",
    {},
    {"mtime": "1690000000.123"},
    0,
    "test:tester",
    {"CRC64NVME": "rosUhgp5mIg="},
)


def show(what: str, step: Callable[[], object], repeats: int = 20_000) -> None:
    """Print the mean cost of a step in microseconds."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    echo(f"{what:40} {(time.perf_counter() - start) / repeats * 1e6:10.2f} µs")


def main() -> None:
    """Print the table."""
    packed = pack_record(RECORD)
    entry = Entry(object_key(DIGEST), STAMP, Kind.DATA, 4096, packed)
    listed = pack_listed(RECORD.etag, RECORD.content_type)
    listing_row = Entry(index_key(DIGEST, RECORD.name), STAMP, Kind.DATA, 4096, listed).to_row()
    row = entry.to_row()
    echo(f"record {len(packed)} bytes, row {len(row)} bytes, listing row {len(listing_row)} bytes")
    show("pack a record", lambda: pack_record(RECORD))
    show("unpack a record", lambda: unpack_record(packed))
    show("entry to row", entry.to_row)
    show("row to entry", lambda: from_row(entry.key, row))
    show("merge equal entries", lambda: merge(entry, entry))
    show("fingerprint", lambda: fingerprint(entry))
    names = [b"2026/11/21/IMG_%06d.jpeg" % number for number in range(10_000)]

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        low = bisect_left(names, start)
        return [(name, listing_row) for name in names[low : low + limit]]

    show("walk a page of 1,000 of 10,000 names", lambda: list_page(scan, Query(limit=1000)), 200)
    items = list_page(scan, Query(limit=1000)).items
    show("decode a page of 1,000 names", lambda: [unpack_listed(item) for item in items], 100)


if __name__ == "__main__":
    main()
