"""Claims of the index of a device."""

from __future__ import annotations

import random
from pathlib import Path

from model.entry import Table, make_key
from objectd.disk.index import Index, IndexBatch, IndexOptions
from objectd.disk.locations import BARE_TRAILER_BYTES

ROWS = 8_000
LOOKS = 100


def bytes_read() -> int:
    """What this process has read so far, whether from the disk or from memory."""
    text = Path("/proc/self/io").read_text()
    return int(text.partition("rchar:")[2].split()[0])


def test_looking_up_a_row_reads_a_few_blocks_however_large_the_index_is(tmp_path: Path) -> None:
    chance = random.Random(1)
    index = Index(tmp_path / "index", IndexOptions(cache_bytes=1 << 20, write_buffer_bytes=64 << 20))
    # Long names, and a block for each row: what would be the one index block is larger than the cache.
    keys = [make_key(Table.INDEX, b"d" * 16, b"%0300d" % at) for at in range(ROWS)]
    for at in range(0, ROWS, 1_000):
        batch = IndexBatch()
        for key in keys[at : at + 1_000]:
            batch.put_row(key, chance.randbytes(4_000) + bytes(BARE_TRAILER_BYTES))
        index.write(batch)
    index.flush(wait=True)
    before = bytes_read()
    for key in chance.sample(keys, LOOKS):
        assert index.get(key) is not None
    assert (bytes_read() - before) / LOOKS < 64 * 1024
    index.close()
