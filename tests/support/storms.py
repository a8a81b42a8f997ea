"""Storms over a colony at work: kills, an emptied device, flipped bits; and the wait until all is healed."""

from __future__ import annotations

import enum
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from objectd.disk.records import VOLUME_HEAD_BYTES, decode_volume_head, nonce_of
from objectd.disk.scan import Found, scan
from tests.support.colony import Colony
from tests.support.history import Findings
from tests.support.in_step import read_all_copies, wait_audited, wait_in_step
from tests.support.mixed_load import s3_client

HEAL_S = 240.0
AUDITED_SECONDS = 100.0
AUDIT_S = 900.0
"""A storm of at least the first waits for the auditor, for no more than the second."""
FLIPPED_RECORDS = 100


class Harmed(enum.Enum):
    """Which devices a storm harms beside the processes."""

    TWO = "two"
    """Bits flip on one device, another is emptied: some objects have a single good copy left."""
    ONE = "one"
    """Bits flip on one device, which is emptied later: every object has two good copies all the time."""


class StormWriter(Protocol):
    """A thread that works on a colony through `client` until told to stop, and knows what must be there."""

    client: Any

    def start(self) -> None:
        """Begin to work."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has stopped."""

    def is_alive(self) -> bool:
        """Whether it still works."""

    def check_all(self) -> None:
        """Read and list all that it ever wrote, noting violations."""


def records_of(device: Path) -> list[tuple[Path, int, int]]:
    """Return file, offset and length in bytes of every record of a device that is at work."""
    found = [(path, 0, path.stat().st_size) for path in (device / "large").iterdir()]
    for path in device.rglob("*.vol"):
        with open(path, "rb", buffering=0) as file:
            head = decode_volume_head(os.pread(file.fileno(), VOLUME_HEAD_BYTES, 0))
            assert head is not None, path
            nonce = nonce_of(head.device_uuid, head.volume_id)
            end = os.fstat(file.fileno()).st_size
            items = scan(partial(os.pread, file.fileno()), VOLUME_HEAD_BYTES, end, nonce)
            found += [
                (path, item.offset, item.prefix.record_bytes) for item in items if isinstance(item, Found)
            ]
    return found


def flip_bits(device: Path, chance: random.Random, count: int) -> int:
    """Flip one bit in each of `count` records of a device, chosen by chance; return the bits flipped."""
    records = records_of(device)
    chance.shuffle(records)
    flipped = 0
    for path, offset, size in records:
        if flipped == count:
            break
        try:
            with open(path, "r+b", buffering=0) as file:
                at = offset + chance.randrange(size)
                byte = os.pread(file.fileno(), 1, at)
                flipped += os.pwrite(file.fileno(), bytes((byte[0] ^ 1 << chance.randrange(8),)), at)
        except (FileNotFoundError, IndexError):
            # Compacted, deleted or overwritten since it was found.
            continue
    return flipped


def empty_folder(device: Path) -> int:
    """Delete everything in a device's folder, as a replaced disk would show; return how many things went."""
    names: set[str] = set()
    # The daemon is at work in there: files come and go meanwhile.
    while found := list(device.iterdir()):
        names.update(path.name for path in found)
        for path in found:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return len(names)


def storm(
    colony: Colony, chance: random.Random, stop: threading.Event, *, seconds: float, harmed: Harmed
) -> dict[str, int]:
    """Kill a random process every one to three seconds; flip bits on one device, empty that or another."""
    devices = sorted(path for path in (colony.data / "devices").iterdir() if path.is_dir())
    emptied, flipped = chance.sample(devices, 2)
    if harmed is Harmed.ONE:
        flipped = emptied
    began = time.monotonic()
    harms: list[tuple[float, str, Callable[[], int]]] = [
        (0.4, "bits flipped", lambda: flip_bits(flipped, chance, FLIPPED_RECORDS)),
        (0.6, "device emptied", lambda: empty_folder(emptied)),
    ]
    done: dict[str, int] = {}
    while (passed := time.monotonic() - began) < seconds:
        while harms and passed > harms[0][0] * seconds:
            _, name, harm = harms.pop(0)
            done[name] = harm()
        role = chance.choice(("objectd", "proxy", "replicator"))
        try:
            pids = colony.pids[role]
            colony.kill(role, chance.randrange(len(pids)))
            done[f"{role} killed"] = done.get(f"{role} killed", 0) + 1
        except (ProcessLookupError, KeyError, ValueError):
            # Just dead from the kill before, not yet started again.
            pass
        stop.wait(chance.uniform(1.0, 3.0))
    return done


def wait_whole(colony: Colony, *, seed: int, seconds: float) -> list[str]:
    """Wait until every home gives every byte of its objects; return what it does not.

    A long storm waits for the auditor, which then must have found every flipped bit by itself; after a
    short one the bits are found by reading here, once, and the colony heals what was found.
    """
    give_up = time.monotonic() + HEAL_S
    if seconds >= AUDITED_SECONDS:
        began = time.monotonic()
        assert not (late := wait_audited(colony.data, seconds=AUDIT_S)), f"seed {seed}: {late}"
        print(f"seed {seed}: all read by the auditor in {time.monotonic() - began:.0f} s")
        wait_in_step(colony.data, seconds=HEAL_S)
        return read_all_copies(colony.data)
    while bad := read_all_copies(colony.data):
        print(f"seed {seed}: {len(bad)} copies are bad")
        if time.monotonic() > give_up:
            break
        wait_in_step(colony.data, seconds=HEAL_S)
    return bad


def ride_out(
    colony: Colony,
    writers: Sequence[StormWriter],
    findings: Findings,
    stop: threading.Event,
    *,
    seed: int,
    seconds: float,
    harmed: Harmed = Harmed.TWO,
) -> None:
    """Storm while the writers work, then let the colony heal; raise AssertionError for whatever is wrong."""
    for writer in writers:
        writer.start()
    harms = storm(colony, random.Random(seed), stop, seconds=seconds, harmed=harmed)
    stop.set()
    for writer in writers:
        writer.join(120)
        assert not writer.is_alive(), f"seed {seed}: a request never ended"
    print(f"seed {seed}: {harms}, {findings.counts}")
    assert findings.counts.get("put", 0) > 0
    calm = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key, attempts=8)
    for writer in writers:
        writer.client = calm
        writer.check_all()
    assert not findings.violations, f"seed {seed}: {findings.violations[:20]}"
    differing, took_s = wait_in_step(colony.data, seconds=HEAL_S)
    assert not differing, f"seed {seed}: after {took_s:.0f} s: {differing[:20]}"
    print(f"seed {seed}: in step {took_s:.1f} s after the storm")
    bad = wait_whole(colony, seed=seed, seconds=seconds)
    assert not bad, f"seed {seed}: copies not healed: {bad[:20]}"
    for writer in writers:
        writer.check_all()
    assert not findings.violations, f"seed {seed}: after healing: {findings.violations[:20]}"
