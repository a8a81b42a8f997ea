"""Writing anew what scrub and compaction find damaged, as far as the index and the payload allow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from model.entry import KEY_HEAD_BYTES, Table
from model.errors import CorruptRecord, DeviceFailed
from objectd.decide import TABLES_END
from objectd.disk.engine import Engine
from objectd.disk.locations import InFile, InVolume, unpack_value
from objectd.disk.pipeline import Pipeline
from objectd.disk.planning import Lose, Operation, Relocate
from objectd.disk.reading import Reader
from objectd.disk.state import Current, Position, load_current
from objectd.store import Buffer, Held

Span = tuple[int, int]
"""First offset and the offset after the last."""

_FIRST_KEY: Final = b"\x01"


class Mender:
    """Mends the rows of one device. `tell(reason, key)` reaches the operator."""

    def __init__(
        self,
        engine: Engine,
        pipeline: Pipeline,
        reader: Reader,
        *,
        tell: Callable[[str, bytes | None], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._reader = reader
        self._tell = tell
        self._now_ms = now_ms

    async def mend_spans(self, volume_id: int, spans: Sequence[Span]) -> int:
        """Write anew every row whose record, or whose payload's, is in damaged spans; return the count."""
        keys = await asyncio.to_thread(_rows_in, self._engine, volume_id, spans)
        for key in keys:
            await self.mend_row(key, volume_id, spans)
        return len(keys)

    async def mend_row(self, key: bytes, volume_id: int, spans: Sequence[Span]) -> None:
        """Write one row anew, if its record or its payload's is in damaged spans."""
        current = load_current(self._engine.index, key)
        if current is not None:
            await self._mend(current, volume_id, spans)

    async def _mend(self, current: Current, volume_id: int, spans: Sequence[Span]) -> None:
        key, at = current.entry.key, current.at
        operations: list[Operation] = []
        place: Position = (at.volume_id, at.offset)
        payload: Buffer | None = None
        if isinstance(at.payload, InVolume) and _is_in(
            at.payload.volume_id, at.payload.offset, volume_id, spans
        ):
            place = (at.payload.volume_id, at.payload.offset)
            payload = await self._whole_payload(current)
            if payload is None:
                self._tell("the payload was damaged", key)
                operations.append(Lose(key, at.payload))
                place = (at.volume_id, at.offset)
        if payload is not None or _is_in(at.volume_id, at.offset, volume_id, spans):
            # A row whose record is whole but for its payload is written anew too: it is one record.
            operations.append(Relocate(key, place, payload, self._change_of(current), self._now_ms()))
            self._tell("a damaged record was written anew from the index", key)
        if operations:
            await self._pipeline.submit(operations)

    async def _whole_payload(self, current: Current) -> bytes | None:
        held = Held(current.entry, current.at.payload_bytes, current.at)
        pieces: list[bytes] = []
        try:
            async for piece in self._reader.read(held, 0, held.payload_bytes):
                pieces.append(bytes(piece))  # noqa: PERF401 - an asynchronous comprehension would hide the try
        except (CorruptRecord, DeviceFailed):
            return None
        return b"".join(pieces)

    def _change_of(self, current: Current) -> int:
        """Return the change log's sequence of an index row, as far as it is still known."""
        key, sequence = current.entry.key, current.at.sequence
        if key[0] == Table.INDEX and self._engine.index.has_change(key[1:KEY_HEAD_BYTES], sequence):
            return sequence
        return 0

    async def lose_file(self, key: bytes, file_id: bytes) -> None:
        """Note that the payload of a row is lost, if it is still in a large file."""
        current = load_current(self._engine.index, key)
        payload = current.at.payload if current is not None else None
        if isinstance(payload, InFile) and payload.file_id == file_id:
            self._tell("the file of a large payload is damaged or gone", key)
            await self._pipeline.submit([Lose(key, payload)])


def _rows_in(engine: Engine, volume_id: int, spans: Sequence[Span]) -> list[bytes]:
    found = []
    for key, value in engine.index.values(_FIRST_KEY, TABLES_END):
        _, at = unpack_value(value)
        payload = at.payload
        if _is_in(at.volume_id, at.offset, volume_id, spans) or (
            isinstance(payload, InVolume) and _is_in(payload.volume_id, payload.offset, volume_id, spans)
        ):
            found.append(key)
    return found


def _is_in(volume_id: int, offset: int, damaged_id: int, spans: Sequence[Span]) -> bool:
    return volume_id == damaged_id and any(start <= offset < end for start, end in spans)
