"""Making the index true again from the volumes: after a crash from where it ends, or from nothing.

Records are replayed in the order they were written, each taking the place of the row before it. What
is not whole is judged by the records behind it: each says up to which sequence all was durable when
it was written. A record that had been durable was damaged since, and its row is set aside; one that
had not was torn by the crash, nobody was told of it, and it is as if it had never been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from model.entry import Table, from_row
from model.errors import CorruptRecord
from objectd.disk.files import Files
from objectd.disk.index import Index
from objectd.disk.locations import InFile, InVolume, Location, Lost, Payload
from objectd.disk.records import PREFIX_BYTES, VOLUME_HEAD_BYTES, Flag, LargeFile, RecordKind, block_count
from objectd.disk.scan import Damaged, Found, scan
from objectd.disk.state import Applier, Current, DeviceState, Effect, Position, load_current
from objectd.disk.volumes import Volumes

_BATCH_RECORDS = 512
_PROGRESS_BYTES = 256 << 20


@dataclass(slots=True)
class Recovered:
    """What a replay came to: `tail` is where the next record goes."""

    record_count: int = 0
    replayed_bytes: int = 0
    torn: list[Position] = field(default_factory=list)
    damaged: list[tuple[int, int, int]] = field(default_factory=list)
    """Volume, start and end of bytes that had been durable and are no record any more."""
    dropped_files: list[bytes] = field(default_factory=list)
    tail: Position | None = None


@dataclass(slots=True)
class _Doubt:
    """Something that is not whole: a record with a damaged payload, or bytes that are none.

    It had been durable if a later record says that `sequence` was.
    """

    sequence: int
    volume_id: int
    start: int
    end: int
    found: Found | None


class Replay:
    """Applies the records of volumes to an index and its state.

    `has_file` says whether a large file is there; `progress(bytes so far)` is called now and then.
    """

    def __init__(
        self,
        index: Index,
        state: DeviceState,
        volumes: Volumes,
        *,
        has_file: Callable[[bytes], bool],
        progress: Callable[[int], None],
    ) -> None:
        self._index = index
        self._state = state
        self._volumes = volumes
        self._has_file = has_file
        self._progress = progress
        self._applier = Applier(index, state)
        self._overlay: dict[bytes, Current | None] = {}
        self._in_batch = 0
        self._doubts: list[_Doubt] = []
        self.recovered = Recovered()

    def run(self, start: Position) -> Recovered:
        """Replay everything from a position on. Raises OSError."""
        end = start
        for volume_id in self._volumes.ids():
            if volume_id >= start[0]:
                offset = start[1] if volume_id == start[0] else VOLUME_HEAD_BYTES
                end = (volume_id, self._replay_volume(volume_id, max(offset, VOLUME_HEAD_BYTES)))
        for doubt in self._doubts:
            if doubt.found is not None:
                self.recovered.torn.append((doubt.volume_id, doubt.start))
        self._write_batch(end)
        self.recovered.tail = end if self._volumes.first_sequences else None
        return self.recovered

    def _replay_volume(self, volume_id: int, offset: int) -> int:
        """Replay one volume and return the end of its last whole record."""
        if volume_id not in self._state.volumes:
            self._state.begin_volume(volume_id, verified_ms=0)
        whole_to = offset
        next_mark = offset + _PROGRESS_BYTES
        scanned = scan(
            self._volumes.source(volume_id),
            offset,
            self._volumes.size(volume_id),
            self._volumes.nonce_of(volume_id),
        )
        for item in scanned:
            if isinstance(item, Damaged):
                # A record that was here had the sequence after the last one seen, at least.
                sequence = self._state.next_sequence
                self._doubts.append(_Doubt(sequence, volume_id, item.start, item.end, None))
                continue
            self._take(volume_id, item)
            if item.is_whole:
                whole_to = item.offset + item.prefix.record_bytes
            if item.offset >= next_mark:
                self._progress(self.recovered.replayed_bytes)
                next_mark = item.offset + _PROGRESS_BYTES
        return whole_to

    def _take(self, volume_id: int, found: Found) -> None:
        prefix = found.prefix
        self.recovered.record_count += 1
        self.recovered.replayed_bytes += prefix.record_bytes
        if self._doubts:
            self._settle_doubts(prefix.sequence, prefix.durable)
        if found.is_whole:
            self._replay(volume_id, found, is_lost=False)
        else:
            end = found.offset + prefix.record_bytes
            self._doubts.append(_Doubt(prefix.sequence, volume_id, found.offset, end, found))
        self._state.next_sequence = max(self._state.next_sequence, prefix.sequence + 1)
        self._in_batch += 1
        if self._in_batch >= _BATCH_RECORDS and not self._doubts:
            self._write_batch((volume_id, found.offset + prefix.record_bytes))

    def _settle_doubts(self, sequence: int, durable: int) -> None:
        """Judge what was not whole, now that a record tells what had been durable."""
        still = []
        for doubt in self._doubts:
            if doubt.found is None and doubt.sequence == sequence:
                # No sequence is missing, so nothing was ever kept there.
                continue
            if doubt.sequence > durable:
                still.append(doubt)
                continue
            self.recovered.damaged.append((doubt.volume_id, doubt.start, doubt.end))
            if doubt.found is not None:
                self._replay(doubt.volume_id, doubt.found, is_lost=True)
        self._doubts = still

    def _write_batch(self, end: Position) -> None:
        self._applier.write(end)
        self.recovered.dropped_files += self._applier.dropped_files
        self._applier = Applier(self._index, self._state)
        self._overlay = {}
        self._in_batch = 0

    # -- one record

    def _replay(self, volume_id: int, found: Found, *, is_lost: bool) -> None:
        prefix, key = found.prefix, found.body.key
        current = self._current(key) if prefix.kind != RecordKind.PAD else None
        match prefix.kind:
            case RecordKind.ENTRY:
                if current is None or current.at.sequence < prefix.sequence:
                    self._replay_row(volume_id, found, current, is_lost=is_lost)
            case RecordKind.FORGET:
                self._hold(volume_id, prefix.record_bytes)
                if current is not None and current.at.sequence < prefix.change:
                    self._apply(Effect(key, current, None))
            case RecordKind.LOST:
                self._hold(volume_id, prefix.record_bytes)
                if current is not None and current.at.sequence == prefix.change and not current.is_lost:
                    at = _with_payload(current.at, Lost(current.at.payload_bytes))
                    self._apply(Effect(key, current, Current(current.entry, current.row, at)))
            case RecordKind.CHANGE:
                self._hold(volume_id, prefix.record_bytes)
                self._applier.add_change(key, found.body.row, prefix.change, prefix.time_ms)
            case RecordKind.PAD:
                self._hold(volume_id, prefix.record_bytes)

    def _replay_row(self, volume_id: int, found: Found, current: Current | None, *, is_lost: bool) -> None:
        prefix, body = found.prefix, found.body
        try:
            entry = from_row(body.key, body.row)
        except CorruptRecord:
            end = found.offset + prefix.record_bytes
            self.recovered.damaged.append((volume_id, found.offset, end))
            return
        payload = self._payload(volume_id, found, is_lost=is_lost)
        if payload is None and prefix.flags & Flag.KEPT:
            is_same = current is not None and current.entry.stamp == entry.stamp
            payload = current.at.payload if is_same and current is not None else None
            payload = payload or Lost(entry.size)
        at = Location(prefix.sequence, volume_id, found.offset, prefix.record_bytes, payload)
        new = Current(entry, body.row, at)
        pending = entry.newest if prefix.flags & Flag.CLIENT else None
        change = prefix.change if body.key[0] == Table.INDEX else 0
        self._apply(Effect(body.key, current, new, change=change, time_ms=prefix.time_ms, pending=pending))

    def _payload(self, volume_id: int, found: Found, *, is_lost: bool) -> Payload | None:
        prefix, large = found.prefix, found.body.large
        if large is not None:
            return self._file_payload(large)
        if not prefix.payload_bytes:
            return None
        if is_lost:
            return Lost(prefix.payload_bytes)
        delta = PREFIX_BYTES + prefix.body_bytes - 4 * block_count(prefix.payload_bytes)
        return InVolume(volume_id, found.offset, prefix.record_bytes, delta, prefix.payload_bytes)

    def _file_payload(self, large: LargeFile) -> Payload:
        return InFile(large.file_id, large.size) if self._has_file(large.file_id) else Lost(large.size)

    def _current(self, key: bytes) -> Current | None:
        if key in self._overlay:
            return self._overlay[key]
        return load_current(self._index, key)

    def _apply(self, effect: Effect) -> None:
        self._applier.apply(effect)
        self._overlay[effect.key] = effect.new

    def _hold(self, volume_id: int, size: int) -> None:
        self._applier.apply(Effect(b"", None, None, held_in=volume_id, held_bytes=size))


def find_pending(state: DeviceState, index: Index, volumes: Volumes, span: tuple[Position, Position]) -> None:
    """Note the client writes between two positions whose rows are still there as not confirmed."""
    (first_id, first_offset), (last_id, last_offset) = span
    for volume_id in volumes.ids():
        if not first_id <= volume_id <= last_id:
            continue
        start = first_offset if volume_id == first_id else VOLUME_HEAD_BYTES
        end = last_offset if volume_id == last_id else volumes.size(volume_id)
        for item in _records(volumes, volume_id, max(start, VOLUME_HEAD_BYTES), end):
            if item.prefix.kind != RecordKind.ENTRY or not item.prefix.flags & Flag.CLIENT:
                continue
            current = load_current(index, item.body.key)
            if current is not None:
                stamp = from_row(item.body.key, item.body.row).newest
                state.note_pending(item.body.key, stamp, item.prefix.time_ms, (volume_id, item.offset))


def _records(volumes: Volumes, volume_id: int, start: int, end: int) -> Iterator[Found]:
    scanned = scan(volumes.source(volume_id), start, end, volumes.nonce_of(volume_id))
    return (item for item in scanned if isinstance(item, Found))


def blot_out(volumes: Volumes, files: Files, torn: list[Position]) -> None:
    """Unmake torn records that whole ones follow, so that no later replay takes them for durable."""
    for volume_id, offset in torn:
        opened = volumes.handle(volume_id)
        if opened is not None and offset + PREFIX_BYTES <= files.size(opened.fd):
            files.write(opened.fd, [bytes(8)], offset)
            files.sync_data(opened.fd)


def _with_payload(at: Location, payload: Payload) -> Location:
    return Location(at.sequence, at.volume_id, at.offset, at.record_bytes, payload)
