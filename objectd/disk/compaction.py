"""Giving dead space back while serving: live records move to the tail, then the volume is unlinked.

A crash at any moment is safe: copies are ordinary records, durable before the index points to them;
the index is on stable storage, and says that the volume goes, before it is unlinked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from model.entry import KEY_HEAD_BYTES, Table
from objectd.disk.engine import REMOVED, Engine
from objectd.disk.locations import InVolume
from objectd.disk.mending import Mender, Span
from objectd.disk.pipeline import Pipeline
from objectd.disk.planning import Keep, Lose, Operation, Relocate
from objectd.disk.records import VOLUME_HEAD_BYTES, RecordKind
from objectd.disk.scan import Damaged, Found, scan
from objectd.disk.state import load_current

_STEP_BYTES: Final = 1 << 20
_STEP_RECORDS: Final = 256
_TRIM_LINES: Final = 4096


class _Pass:
    """One volume on its way out: where the scan is, and what it found damaged."""

    def __init__(self, volume_id: int, items: Iterator[Found | Damaged], size: int) -> None:
        self.volume_id = volume_id
        self.items = items
        self.size = size
        self.damaged: list[Span] = []


class Compactor:
    """Compacts one device, a budget at a time."""

    def __init__(
        self, engine: Engine, pipeline: Pipeline, mender: Mender, *, now_ms: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._mender = mender
        self._now_ms = now_ms
        self._pass: _Pass | None = None
        self._trimmed_to = b""

    async def run(self, budget_bytes: int) -> int:
        """Read at most about `budget_bytes`, copying what is live, and return the bytes read."""
        await self._trim_changes()
        worked = 0
        while worked < budget_bytes:
            current = self._pass or self._next_pass()
            if current is None:
                return worked
            self._pass = current
            items = await asyncio.to_thread(_take, current.items)
            if not items:
                self._pass = None
                if not await self._finish(current):
                    return worked
                continue
            if not await self._move(current, items):
                self._pass = None
                return worked
            worked += sum(map(_bytes_of, items))
        return worked

    # -- choosing

    def _next_pass(self) -> _Pass | None:
        """Begin with the volume that gives most back, or None where none is worth it."""
        volumes = self._engine.volumes
        tail_id = volumes.tail.volume_id if volumes.tail is not None else 0
        best, best_ratio = 0, self._engine.options.dead_ratio
        for volume_id in volumes.ids():
            ratio = self._dead_ratio(volume_id) if volume_id != tail_id else 0.0
            if ratio >= best_ratio:
                best, best_ratio = volume_id, ratio
        if not best:
            return None
        size = volumes.size(best)
        items = scan(volumes.source(best), VOLUME_HEAD_BYTES, size, volumes.nonce_of(best))
        return _Pass(best, items, size)

    def _dead_ratio(self, volume_id: int) -> float:
        known = self._engine.state.volumes.get(volume_id)
        size = self._engine.volumes.size(volume_id) - VOLUME_HEAD_BYTES
        if known is None or known.dead >= REMOVED or size <= 0:
            return 1.0 if size <= 0 else 0.0
        # Lines of the change log have had their time after the retention, and so had their records.
        is_old = self._now_ms() - known.sealed_ms > self._engine.options.change_retention_ms
        return (known.dead + (known.held if is_old else 0)) / size

    # -- moving

    async def _move(self, current: _Pass, items: list[Found | Damaged]) -> bool:
        """Move what is live among some records; say whether the device could."""
        operations: list[Operation] = []
        for item in items:
            if isinstance(item, Damaged):
                current.damaged.append((item.start, item.end))
                continue
            operations += self._operations_for(current.volume_id, item)
        if not operations:
            return True
        return None not in await self._pipeline.submit(operations)

    def _operations_for(self, volume_id: int, item: Found) -> list[Operation]:
        prefix, body = item.prefix, item.body
        if prefix.kind == RecordKind.ENTRY:
            live = self._relocation(volume_id, item)
            if live:
                return live
            if body.key[0] == Table.INDEX and self._is_logged(body.key, prefix.change):
                return [Keep(body.key, body.row, RecordKind.CHANGE, prefix.change, prefix.time_ms)]
        elif prefix.kind == RecordKind.FORGET:
            # Needed as long as a record from before it may be found by a rebuild.
            others = self._engine.volumes.first_sequences.items()
            if any(first < prefix.change for other, first in others if other != volume_id):
                return [Keep(body.key, b"", RecordKind.FORGET, prefix.change, prefix.time_ms)]
        elif prefix.kind == RecordKind.CHANGE and self._is_logged(body.key, prefix.change):
            return [Keep(body.key, body.row, RecordKind.CHANGE, prefix.change, prefix.time_ms)]
        return []

    def _relocation(self, volume_id: int, item: Found) -> list[Operation]:
        key, place = item.body.key, (volume_id, item.offset)
        current = load_current(self._engine.index, key)
        if current is None:
            return []
        held = current.at.payload
        payload_here = isinstance(held, InVolume) and (held.volume_id, held.offset) == place
        row_here = (current.at.volume_id, current.at.offset) == place
        change, time_ms = item.prefix.change, item.prefix.time_ms
        if payload_here and not item.is_whole:
            assert held is not None
            lost: list[Operation] = [Lose(key, held)]
            return [*lost, Relocate(key, place, None, change, time_ms)] if row_here else lost
        if payload_here or row_here:
            return [Relocate(key, place, item.payload if payload_here else None, change, time_ms)]
        return []

    def _is_logged(self, key: bytes, change: int) -> bool:
        return bool(change) and self._engine.index.has_change(key[1:KEY_HEAD_BYTES], change)

    async def _finish(self, current: _Pass) -> bool:
        """Unlink a volume that nothing refers to any more; say whether that was done."""
        engine, volume_id = self._engine, current.volume_id
        if current.damaged:
            await self._mender.mend_spans(volume_id, current.damaged)
        known = engine.state.volumes[volume_id]
        is_spent = known.dead + known.held == current.size - VOLUME_HEAD_BYTES
        # Where the books do not balance, because of damage, only the whole index can tell.
        if not is_spent and await asyncio.to_thread(engine.refers_to, volume_id):
            return False
        known.dead = REMOVED
        engine.state.touched.add(volume_id)
        engine.write_state()
        await asyncio.to_thread(engine.index.flush, wait=True)
        await asyncio.to_thread(engine.volumes.unlink, volume_id)
        engine.volumes.drop(volume_id)
        del engine.state.volumes[volume_id]
        engine.state.touched.add(volume_id)
        engine.write_state()
        return True

    # -- the change log

    async def _trim_changes(self) -> None:
        """Drop some lines past their retention, going round the change logs bit by bit."""
        oldest_ms = self._now_ms() - self._engine.options.change_retention_ms
        lines = await asyncio.to_thread(self._engine.index.change_times, self._trimmed_to, _TRIM_LINES)
        self._trimmed_to = lines[-1][0] if len(lines) == _TRIM_LINES else b""
        old = [key for key, time_ms in lines if time_ms < oldest_ms]
        if old:
            self._engine.delete_changes(old)


def _bytes_of(item: Found | Damaged) -> int:
    return item.end - item.start if isinstance(item, Damaged) else item.prefix.record_bytes


def _take(items: Iterator[Found | Damaged]) -> list[Found | Damaged]:
    """In a thread: the next records, about as many as one step copies."""
    taken: list[Found | Damaged] = []
    size = 0
    for item in islice(items, _STEP_RECORDS):
        taken.append(item)
        size += _bytes_of(item)
        if size >= _STEP_BYTES:
            break
    return taken
