"""Verifying all that a device keeps, from the disk itself, oldest verified first.

Volumes are read from one end to the other past the page cache, then the large files in the order of
their ids. How far the scrub has come is kept in the index.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from objectd.disk.engine import REMOVED, Engine
from objectd.disk.files import Files
from objectd.disk.index import VolumeState
from objectd.disk.large import LARGE_BLOCK_BYTES
from objectd.disk.locations import InFile
from objectd.disk.mending import Mender, Span
from objectd.disk.records import VOLUME_HEAD_BYTES, blocks_are_whole
from objectd.disk.scan import Damaged, Found, scan
from objectd.disk.state import DeviceState, load_current

LARGE: Final = 0
"""The number under which the large files stand among the volumes."""
_STEP_BYTES: Final = 1 << 20
_STEP_RECORDS: Final = 512
_SECTOR_BYTES: Final = 4096
_CURSOR_BYTES: Final = 8


class Scrubber:
    """Scrubs one device, a budget at a time."""

    def __init__(self, engine: Engine, mender: Mender, *, now_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._mender = mender
        self._now_ms = now_ms

    async def run(self, budget_bytes: int) -> AsyncIterator[int]:
        """Verify, yielding the bytes of each step, until the budget is spent or all was seen once."""
        seen: set[int] = set()
        spent = 0
        while spent < budget_bytes:
            target = self._oldest(seen)
            if target is None:
                return
            steps = self._scrub_large() if target == LARGE else self._scrub_volume(target)
            async for size in steps:
                spent += size
                yield size
                if spent >= budget_bytes:
                    self._engine.write_state()
                    return
            known = self._engine.state.volumes.get(target)
            if known is not None and known.dead < REMOVED:
                known.verified_ms, known.verified_to = self._now_ms(), 0
                self._engine.state.touched.add(target)
                self._engine.write_state()
            seen.add(target)

    def _oldest(self, seen: set[int]) -> int | None:
        """Return what is under way or was verified longest ago, None when all was seen."""
        known = self._engine.state.volumes
        known.setdefault(LARGE, VolumeState())
        candidates = [
            number
            for number in (*self._engine.volumes.ids(), LARGE)
            if number not in seen and known[number].dead < REMOVED
        ]
        return min(
            candidates,
            key=lambda number: (not known[number].verified_to, known[number].verified_ms, number),
            default=None,
        )

    # -- volumes

    async def _scrub_volume(self, volume_id: int) -> AsyncIterator[int]:
        engine = self._engine
        known = engine.state.volumes[volume_id]
        is_tail = engine.volumes.tail is not None and engine.volumes.tail.volume_id == volume_id
        end = engine.volumes.tail_offset if is_tail else engine.volumes.size(volume_id)
        start = max(known.verified_to, VOLUME_HEAD_BYTES)
        source = PastCache(engine.files, engine.volumes.path(volume_id))
        try:
            items = scan(source.read, start, end, engine.volumes.nonce_of(volume_id))
            while taken := await asyncio.to_thread(_take, items):
                last = taken[-1]
                at = last.end if isinstance(last, Damaged) else last.offset + last.prefix.record_bytes
                # At once: the next call may go on behind them.
                await self._mend(volume_id, taken)
                size, start = at - start, at
                known.verified_to = at
                engine.state.touched.add(volume_id)
                yield size
        finally:
            source.close()

    async def _mend(self, volume_id: int, taken: list[Found | Damaged]) -> None:
        for item in taken:
            if isinstance(item, Damaged):
                await self._mender.mend_spans(volume_id, [_span_of(item)])
            elif not item.is_whole:
                await self._mender.mend_row(item.body.key, volume_id, [_span_of(item)])

    # -- large files

    async def _scrub_large(self) -> AsyncIterator[int]:
        """Verify each large file, and see that none is missing."""
        engine = self._engine
        known = engine.state.volumes[LARGE]
        # Rows before files: what is committed between is then among the files, not missing.
        keys = await asyncio.to_thread(engine.index.large_keys)
        present = await asyncio.to_thread(engine.large.ids)
        missing = sorted(set(keys) - set(present))
        for file_id in missing:
            await self._mender.lose_file(keys[file_id], file_id)
        for file_id in present:
            cursor = int.from_bytes(file_id[:_CURSOR_BYTES], "big") >> 1
            size = self._size_of(file_id, keys.get(file_id))
            if cursor < known.verified_to or size is None:
                continue
            is_whole = True
            steps = _verify_file(engine.files, engine.large.path(file_id), size)
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                is_whole = is_whole and step[1]
                yield step[0]
            if not is_whole:
                await self._mender.lose_file(keys[file_id], file_id)
            known.verified_to = cursor + 1
            engine.state.touched.add(LARGE)

    def _size_of(self, file_id: bytes, key: bytes | None) -> int | None:
        """Return the payload bytes of a file that a row still refers to."""
        current = load_current(self._engine.index, key) if key is not None else None
        payload = current.at.payload if current is not None else None
        return payload.size if isinstance(payload, InFile) and payload.file_id == file_id else None


def oldest_verified_ms(state: DeviceState) -> int:
    """Return when what was verified longest ago was verified (or written), 0 for never."""
    return min(
        (
            known.verified_ms
            for number, known in state.volumes.items()
            if known.dead < REMOVED and (number != LARGE or state.large_bytes)
        ),
        default=0,
    )


class PastCache:
    """A file read from the disk, not from the page cache, where the file system allows that."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._fd = files.open_read(path, direct=True)
        self._buffer = mmap.mmap(-1, _STEP_BYTES + 2 * _SECTOR_BYTES)

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes at an offset. Raises OSError."""
        start = offset // _SECTOR_BYTES * _SECTOR_BYTES
        want = -(-(offset + size - start) // _SECTOR_BYTES) * _SECTOR_BYTES
        if want > len(self._buffer):
            self._buffer = mmap.mmap(-1, want)
        got = self._files.read_into(self._fd, [memoryview(self._buffer)[:want]], start, wait=True)
        return self._buffer[offset - start : min(got, offset + size - start)]

    def close(self) -> None:
        """Close the file."""
        self._files.close(self._fd)


def _take(items: Iterator[Found | Damaged]) -> list[Found | Damaged]:
    taken: list[Found | Damaged] = []
    size = 0
    for item in islice(items, _STEP_RECORDS):
        taken.append(item)
        span = _span_of(item)
        size += span[1] - span[0]
        if size >= _STEP_BYTES:
            break
    return taken


def _span_of(item: Found | Damaged) -> Span:
    if isinstance(item, Damaged):
        return (item.start, item.end)
    return (item.offset, item.offset + item.prefix.record_bytes)


def _verify_file(files: Files, path: Path, size: int) -> Iterator[tuple[int, bool]]:
    """Yield (bytes read, whether they match their checksums) through a large file of a payload's size."""
    try:
        source = PastCache(files, path)
    except FileNotFoundError:
        # Superseded since the folder was read, or gone: the comparison of names tells which.
        return
    try:
        block_count = -(-size // LARGE_BLOCK_BYTES)
        checksums = source.read(4 * block_count, size)
        for at in range(0, size, _STEP_BYTES):
            piece = source.read(min(_STEP_BYTES, size - at), at)
            first = at // LARGE_BLOCK_BYTES
            count = -(-len(piece) // LARGE_BLOCK_BYTES)
            marks = checksums[4 * first : 4 * (first + count)]
            is_whole = (
                len(piece) == min(_STEP_BYTES, size - at)
                and len(marks) == 4 * count
                and blocks_are_whole(piece, marks, LARGE_BLOCK_BYTES)
            )
            yield len(piece), is_whole
    finally:
        source.close()
