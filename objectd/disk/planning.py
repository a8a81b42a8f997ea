"""Turning a group of operations into bytes for the tail and effects on the index.

Planning changes nothing: a group whose bytes could not be made durable is thrown away as a whole.
Operations of a group see those before them; later groups see what was applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.entry import Entry, Kind, Table, is_listed, make_key, merge, row_kind
from model.promises import is_spent, promise_key, refuses
from model.stamp import ZERO, Stamp
from objectd.decide import empties_container, index_range, outcome_of, partition_of_key
from objectd.disk.index import Index
from objectd.disk.locations import InFile, InVolume, Location, Lost, Payload
from objectd.disk.records import (
    ALIGNMENT,
    KEY_BYTES_MAX,
    PAGED_PAYLOAD_BYTES_MIN,
    PREFIX_BYTES,
    Body,
    Buffer,
    Flag,
    LargeFile,
    RecordKind,
    encode_body,
    encode_pad,
    encode_prefix,
    pad_bytes,
)
from objectd.disk.state import Current, DeviceState, Effect, Position, load_current
from objectd.store import Origin, Outcome, Write, Written

_PADS: Final = tuple(bytes(count) for count in range(ALIGNMENT))


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop a row whose newest stamp is still this one."""

    key: bytes
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Lose:
    """Note that the payload at a place failed its checksum, if the row still refers to it."""

    key: bytes
    payload: Payload


@dataclass(frozen=True, slots=True)
class Relocate:
    """Write a row anew that still refers to a record at a place, with the payload that was there."""

    key: bytes
    place: Position
    payload: Buffer | None
    change: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Write a record anew that only a rebuild of the index needs: FORGET or CHANGE."""

    key: bytes
    row: bytes
    kind: RecordKind
    change: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Named:
    """A write whose large payload has its name: the file takes the payload's part."""

    write: Write
    file: LargeFile


Operation = Write | Named | Forget | Lose | Relocate | Keep
Result = Written | bool | None
"""Of a write its outcome; of the others whether they were needed, None where the device failed."""


class Group:
    """One group in the making, for the tail at a position of a volume.

    `buffers` of `size` bytes are to be written there; `effects` follow once they are durable.
    `first_sequence` is that of the group's first record. With `is_full` only what gives space back
    is taken.
    """

    def __init__(
        self, index: Index, state: DeviceState, tail: Position, *, nonce: int, now_ms: int, is_full: bool
    ) -> None:
        self._index = index
        self._state = state
        self._volume_id, self._start = tail
        self._nonce = nonce
        self._now_ms = now_ms
        self._is_full = is_full
        self._overlay: dict[bytes, Current | None] = {}
        self._promises = False
        self._durable = state.next_sequence - 1
        self.next_sequence = state.next_sequence
        self.buffers: list[Buffer] = []
        self.size = 0
        self.effects: list[Effect] = []

    def plan(self, operation: Operation) -> Result:
        """Take one operation and return its result, true once the group is durable."""
        if isinstance(operation, Write):
            return self._write(operation, None)
        if isinstance(operation, Named):
            return self._write(operation.write, operation.file)
        if isinstance(operation, Forget):
            return self._forget(operation)
        if isinstance(operation, Lose):
            return self._lose(operation)
        if isinstance(operation, Relocate):
            return self._relocate(operation)
        return self._keep(operation)

    def end_at_page(self) -> None:
        """Fill the rest of the group's last page, so that what follows shares no page with it."""
        self._pad(pad_bytes(self._start + self.size))

    def _current(self, key: bytes) -> Current | None:
        if key in self._overlay:
            return self._overlay[key]
        return load_current(self._index, key)

    # -- writes

    def _write(self, write: Write, file: LargeFile | None) -> Written:
        entry = write.entry
        current = self._current(entry.key)
        refusal = self._refusal(write)
        if refusal is not None:
            return Written(refusal, current.entry.stamp if current is not None else ZERO)
        ours = current.entry if current is not None else None
        merged = merge(ours, entry)
        brings_base = entry.kind is not Kind.EMPTY and merged.stamp == entry.stamp
        has_payload = write.payload is not None
        heals = current is not None and current.is_lost and brings_base and has_payload
        if merged is ours and not heals:
            return outcome_of(entry, ours, merged)
        if merged is not ours:
            promised = self._judge_promise(write, ours)
            if promised is not None:
                return promised
        takes_payload = brings_base and (ours is None or ours.stamp != merged.stamp or heals)
        new = self._append_row(current, merged, write, file, takes_payload=takes_payload)
        is_clients = write.origin is Origin.CLIENT
        written = Written(Outcome.STORED, merged.stamp) if heals else outcome_of(entry, ours, merged)
        self._effect(
            Effect(
                entry.key,
                current,
                new,
                change=new.at.sequence if entry.key[0] == Table.INDEX else 0,
                time_ms=self._now_ms,
                pending=entry.newest if is_clients and written.outcome is Outcome.STORED else None,
            )
        )
        if brings_base and entry.key[0] == Table.OBJECT and self._may_have_promised(entry.key):
            self._forget_spent(entry)
        return written

    # -- promises

    def _may_have_promised(self, key: bytes) -> bool:
        """Say whether the partition of a key has any promise: mostly not, and then nothing is read."""
        state = self._state
        place = (Table.PROMISE, partition_of_key(key, state.part_power))
        return place in state.digests or self._promises

    def _promised(self, digest: bytes) -> Current | None:
        return self._current(promise_key(digest))

    def _judge_promise(self, write: Write, ours: Entry | None) -> Written | None:
        """Return the outcome of a write that a promise refuses, or of a promise that its object hides."""
        entry = write.entry
        table = entry.key[0]
        if table == Table.OBJECT:
            is_unbound = write.origin is Origin.FILL or not self._may_have_promised(entry.key)
            if write.ballot is None and is_unbound:
                return None
            promised = self._promised(entry.digest)
            stamp = promised.entry.stamp if promised is not None else None
            if refuses(entry, ours, stamp, write.ballot):
                return Written(Outcome.PROMISED, stamp or ZERO)
        elif table == Table.PROMISE:
            held = self._current(make_key(Table.OBJECT, entry.digest))
            if held is not None and is_spent(entry.stamp, held.entry):
                return Written(Outcome.SUPERSEDED, held.entry.stamp)
            self._promises = True
        return None

    def _forget_spent(self, base: Entry) -> None:
        promised = self._promised(base.digest)
        if promised is not None and not base.suffix and is_spent(promised.entry.stamp, base):
            self._forget(Forget(promised.entry.key, promised.entry.newest))

    def _refusal(self, write: Write) -> Outcome | None:
        entry = write.entry
        if self._is_full and entry.kind is not Kind.TOMBSTONE:
            return Outcome.FULL
        if len(entry.key) > KEY_BYTES_MAX:
            return Outcome.FAILED
        if write.origin is not Origin.CLIENT:
            return None
        if write.guard is not None and not self._is_live(write.guard):
            return Outcome.NO_CONTAINER
        if empties_container(write) and self._live_rows(entry.digest):
            return Outcome.NOT_EMPTY
        return None

    def _is_live(self, key: bytes) -> bool:
        """Say whether a key's row is data; asked for every row of an index, so nothing is decoded."""
        if key in self._overlay:
            current = self._overlay[key]
            return current is not None and current.entry.kind is Kind.DATA
        value = self._index.get(key)
        return value is not None and row_kind(value) == Kind.DATA

    def _live_rows(self, digest: bytes) -> int:
        """Return the count of live rows of an index, those of this group included."""
        count = self._index.group(digest).count
        start, end = index_range(digest)
        for effect in self.effects:
            if start <= effect.key < end:
                count += effect.new is not None and is_listed(effect.new.entry.kind)
                count -= effect.old is not None and is_listed(effect.old.entry.kind)
        return count

    def _append_row(
        self,
        current: Current | None,
        merged: Entry,
        write: Write,
        file: LargeFile | None,
        *,
        takes_payload: bool,
    ) -> Current:
        """Append the record of a merged entry and return it as it will be held."""
        flags = int(Flag.CLIENT) if write.origin is Origin.CLIENT else 0
        payload: Buffer | None = None
        held = current.at.payload if current is not None and not takes_payload else None
        if takes_payload and file is not None:
            held = InFile(file.file_id, file.size)
        elif takes_payload and isinstance(write.payload, bytes | bytearray | memoryview) and write.payload:
            payload = write.payload
        if isinstance(held, InFile):
            flags |= Flag.LARGE
            row = merged.to_row()
            body = encode_body(merged.key, row, None, LargeFile(held.file_id, held.size))
        elif merged is write.entry and held is None:
            row, body = _encoded_once(write, payload)
        else:
            row = merged.to_row()
            body = encode_body(merged.key, row, payload)
        if payload is not None:
            flags |= Flag.PAYLOAD
        elif held is not None and not isinstance(held, InFile):
            flags |= Flag.KEPT
        change = self.next_sequence if merged.key[0] == Table.INDEX else 0
        at = self._append(RecordKind.ENTRY, flags, body, payload, change, self._now_ms)
        return Current(merged, row, at if held is None else _with_payload(at, held))

    # -- the other operations

    def _forget(self, operation: Forget) -> bool:
        current = self._current(operation.key)
        if current is None or current.entry.newest != operation.stamp:
            return False
        self._append_note(RecordKind.FORGET, operation.key, b"", self.next_sequence, self._now_ms)
        self._effect(Effect(operation.key, current, None))
        return True

    def _lose(self, operation: Lose) -> bool:
        current = self._current(operation.key)
        if current is None or current.at.payload != operation.payload or current.is_lost:
            return False
        self._append_note(RecordKind.LOST, operation.key, b"", current.at.sequence, self._now_ms)
        lost = _with_payload(current.at, Lost(operation.payload.size))
        self._effect(Effect(operation.key, current, Current(current.entry, current.row, lost)))
        return True

    def _relocate(self, operation: Relocate) -> bool:
        current = self._current(operation.key)
        if current is None:
            return False
        held = current.at.payload
        payload_here = isinstance(held, InVolume) and (held.volume_id, held.offset) == operation.place
        if (current.at.volume_id, current.at.offset) != operation.place and not payload_here:
            return False
        pending = self._state.pending.get(operation.key)
        flags = int(Flag.CLIENT) if pending is not None else 0
        large = None
        if payload_here:
            assert operation.payload is not None
            flags |= Flag.PAYLOAD
            held = None
        elif isinstance(held, InFile):
            flags |= Flag.LARGE
            large = LargeFile(held.file_id, held.size)
        elif held is not None:
            flags |= Flag.KEPT
        payload = operation.payload if payload_here else None
        body = encode_body(operation.key, current.row, payload, large)
        at = self._append(RecordKind.ENTRY, flags, body, payload, operation.change, operation.time_ms)
        new = Current(current.entry, current.row, at if held is None else _with_payload(at, held))
        stamp = pending.stamp if pending is not None else None
        self._effect(Effect(operation.key, current, new, time_ms=operation.time_ms, pending=stamp))
        return True

    def _keep(self, operation: Keep) -> bool:
        self._append_note(operation.kind, operation.key, operation.row, operation.change, operation.time_ms)
        return True

    def _append_note(self, kind: RecordKind, key: bytes, row: bytes, change: int, time_ms: int) -> None:
        at = self._append(kind, 0, encode_body(key, row, None), None, change, time_ms)
        self.effects.append(Effect(key, None, None, held_in=at.volume_id, held_bytes=at.record_bytes))

    # -- bytes

    def _effect(self, effect: Effect) -> None:
        self.effects.append(effect)
        self._overlay[effect.key] = effect.new

    def _append(
        self, kind: RecordKind, flags: int, body: Body, payload: Buffer | None, change: int, time_ms: int
    ) -> Location:
        payload_bytes = len(payload) if payload is not None else 0
        if payload_bytes >= PAGED_PAYLOAD_BYTES_MIN:
            head_bytes = PREFIX_BYTES + len(body.data)
            self._pad(pad_bytes(self._start + self.size + head_bytes))
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        prefix = encode_prefix(
            kind, flags, (sequence, self._durable, change, time_ms), body, payload_bytes, self._nonce
        )
        offset = self._start + self.size
        body_end = PREFIX_BYTES + len(body.data)
        used = body_end + payload_bytes
        pad = _PADS[-used % ALIGNMENT]
        if payload is None:
            self.buffers.append(prefix + body.data + pad)
        else:
            self.buffers.append(prefix + body.data)
            self.buffers.append(payload)
            if pad:
                self.buffers.append(pad)
        record_bytes = used + len(pad)
        self.size += record_bytes
        held = None
        if payload_bytes:
            delta = body_end - 4 * body.block_count
            held = InVolume(self._volume_id, offset, record_bytes, delta, payload_bytes)
        return Location(sequence, self._volume_id, offset, record_bytes, held)

    def _pad(self, record_bytes: int) -> None:
        if record_bytes:
            at = self._append(RecordKind.PAD, 0, encode_pad(record_bytes), None, 0, self._now_ms)
            self.effects.append(Effect(b"", None, None, held_in=at.volume_id, held_bytes=record_bytes))


def _with_payload(at: Location, payload: Payload) -> Location:
    return Location(at.sequence, at.volume_id, at.offset, at.record_bytes, payload)


def _encoded_once(write: Write, payload: Buffer | None) -> tuple[bytes, Body]:
    """Return row and body of a write that is stored as it came; the next device reuses them."""
    if write.encoded:
        row, body = write.encoded
        assert isinstance(row, bytes)
        assert isinstance(body, Body)
        return row, body
    row = write.entry.to_row()
    body = encode_body(write.entry.key, row, payload)
    write.encoded.extend((row, body))
    return row, body
