"""A process that owns a device is killed at any moment: what it had acknowledged is there."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.entry import Kind, Table, from_row, make_key
from objectd.disk.store import DiskStore
from objectd.store import Health
from tests.contract.snapshots import Snapshot, snapshot
from tests.contract.stores import PART_POWER, SMALL, digest_of, object_entry, object_key
from tests.probe.device_writer import CLIENTS, KEYS, payload_for

_ROOT = Path(__file__).parents[2]


def _work_and_kill(folder: Path, first: int, delay_s: float) -> list[int]:
    """Let a writer work for a while, kill it, and return what it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.probe.device_writer", str(folder), str(first)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline())]
        time.sleep(delay_s)
        writer.kill()
        # The last line may be torn by the kill, never a whole one of something not acknowledged.
        lines = writer.stdout.read().split(b"\n")
        acknowledged += [int(line) for line in lines[:-1] if line.isdigit()]
    return acknowledged


def _look(folder: Path) -> Snapshot:
    async def look() -> Snapshot:
        store = DiskStore.open(folder, 1, part_power=PART_POWER, create=False, options=SMALL)
        assert store.status().health is Health.OK, store.status().reason
        assert store.quarantined(10) == []
        try:
            return await snapshot(store)
        finally:
            await store.close()

    return asyncio.run(look())


@pytest.mark.parametrize("lose_index", [False, True])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, lose_index: bool) -> None:
    chance = random.Random(7)
    folder = tmp_path / "device"
    newest: dict[int, int] = {}
    first = 1
    for _ in range(3):
        acknowledged = _work_and_kill(folder, first, chance.uniform(0.2, 0.8))
        assert acknowledged
        for at in acknowledged:
            newest[at % KEYS] = max(newest.get(at % KEYS, 0), at)
        if lose_index:
            shutil.rmtree(folder / "index")
        seen = _look(folder)
        for key, at in newest.items():
            row, payload = seen.entries[object_key(key)]
            entry = from_row(object_key(key), row)
            # At least the newest acknowledged; one that was under way may have arrived as well.
            found_at = int.from_bytes(entry.stamp[:6], "big") - 1_700_000_000_000
            assert found_at >= at, f"key {key}: acknowledged {at}, found {found_at}"
            if entry.kind is Kind.DATA:
                assert payload == payload_for(found_at)
            listed, _ = seen.entries[make_key(Table.INDEX, digest_of(5), b"k%d" % key)]
            assert listed[1:17] >= object_entry(key, at).stamp
        first = max(newest.values()) + 10 * CLIENTS
        first += -first % CLIENTS + 1
