"""What a device knows in memory, and how applying a record changes it and the index together."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from model.entry import KEY_HEAD_BYTES, Entry, Table, fingerprint, from_row, is_listed
from model.stamp import Stamp
from objectd.decide import partition_of_key
from objectd.disk.index import Index, IndexBatch, Meta, VolumeState
from objectd.disk.locations import InFile, InVolume, Location, Lost, pack_value, unpack_value

_DIGEST_MODULUS: Final = 1 << 128
Position = tuple[int, int]
"""A volume's id and an offset in it; positions sort in the order of writing."""


class Current(NamedTuple):
    """A key's row and where it is kept."""

    entry: Entry
    row: bytes
    at: Location

    @property
    def is_lost(self) -> bool:
        """Whether the payload failed its checksum."""
        return isinstance(self.at.payload, Lost)


class Effect(NamedTuple):
    """What one record does to the index: `new` takes the place of `old`.

    `change` is the sequence of a line for the change log, 0 for none. `held_bytes` are those of a
    record that is not a row, in the volume of `held_in`. `pending` is the stamp of a client's write
    that is to be confirmed; None leaves what is pending as it is.
    """

    key: bytes
    old: Current | None
    new: Current | None
    change: int = 0
    time_ms: int = 0
    held_in: int = 0
    held_bytes: int = 0
    pending: Stamp | None = None


class PendingWrite(NamedTuple):
    """A client's write that nobody has confirmed, and where its record is."""

    stamp: Stamp
    since_ms: int
    position: Position


@dataclass(slots=True)
class DeviceState:
    """Counters and maps that the index persists, loaded once."""

    part_power: int
    device_uuid: bytes
    next_sequence: int = 1
    entry_count: int = 0
    large_bytes: int = 0
    digests: dict[tuple[int, int], int] = field(default_factory=dict)
    volumes: dict[int, VolumeState] = field(default_factory=dict)
    quarantine: dict[bytes, None] = field(default_factory=dict)
    pending: OrderedDict[bytes, PendingWrite] = field(default_factory=OrderedDict)
    touched: set[int] = field(default_factory=set)
    """Volumes of which the index must be told with the next batch."""

    def begin_volume(self, volume_id: int, *, verified_ms: int) -> None:
        """Note a new volume, as good as verified when it was begun, or never (0)."""
        self.volumes[volume_id] = VolumeState(verified_ms=verified_ms)
        self.touched.add(volume_id)

    def note_pending(self, key: bytes, stamp: Stamp, time_ms: int, position: Position) -> None:
        """Note a client's write, whose record is at a position, as not confirmed."""
        held = self.pending.pop(key, None)
        since_ms = held.since_ms if held is not None and held.stamp == stamp else time_ms
        self.pending[key] = PendingWrite(stamp, since_ms, position)

    def watermark(self, end: Position) -> Position:
        """Return the position before which every client write is confirmed."""
        for write in self.pending.values():
            return min(write.position, end)
        return end


def load_current(index: Index, key: bytes) -> Current | None:
    """Return what the index holds of a key. Raises CorruptRecord."""
    value = index.get(key)
    if value is None:
        return None
    row, at = unpack_value(value)
    return Current(from_row(key, row), row, at)


def load_state(index: Index, part_power: int, device_uuid: bytes, meta: Meta | None) -> DeviceState:
    """Return the state as the index has it; the pending writes are found in the volumes."""
    state = DeviceState(part_power, device_uuid)
    if meta is not None:
        state.next_sequence = meta.next_sequence
        state.entry_count = meta.entry_count
        state.large_bytes = meta.large_bytes
        state.digests = index.partition_digests()
        state.volumes = index.volume_states()
        state.quarantine = dict.fromkeys(index.quarantine())
    return state


class Applier:
    """Applies effects to the state and to one index batch, then writes the batch.

    `dropped_files` are the large files that nothing refers to any more once it is written.
    """

    __slots__ = ("_batch", "_groups", "_index", "_places", "_state", "dropped_files")

    def __init__(self, index: Index, state: DeviceState) -> None:
        self._index = index
        self._state = state
        self._batch = IndexBatch()
        self._groups: dict[bytes, list[int]] = {}
        self._places: set[tuple[int, int]] = set()
        self.dropped_files: list[bytes] = []

    def apply(self, effect: Effect) -> None:
        """Take one effect; effects of one key come in order."""
        key, old, new = effect.key, effect.old, effect.new
        if old is not None or new is not None:
            self._count(key, old, new, effect.change)
            self._account(key, old, new)
            self._set_row(key, old, new)
        if effect.change and new is not None:
            self._batch.put_change(
                new.entry.digest, effect.change, effect.time_ms, key[KEY_HEAD_BYTES:], new.row
            )
        if effect.held_bytes:
            self._volume(effect.held_in).held += effect.held_bytes
        if effect.pending is not None and new is not None:
            position = (new.at.volume_id, new.at.offset)
            self._state.note_pending(key, effect.pending, effect.time_ms, position)

    def add_change(self, key: bytes, row: bytes, sequence: int, time_ms: int) -> None:
        """Take a line of the change log whose row has been superseded since."""
        digest = key[1:KEY_HEAD_BYTES]
        self._batch.put_change(digest, sequence, time_ms, key[KEY_HEAD_BYTES:], row)
        totals = self._totals_of(digest)
        totals[3] = max(totals[3], sequence)

    def write(self, end: Position) -> None:
        """Write the batch, true up to `end`."""
        state, batch = self._state, self._batch
        for place in self._places:
            digest = state.digests.get(place, 0)
            batch.put_partition(place, digest)
            if not digest:
                state.digests.pop(place, None)
        for digest_bytes, totals in self._groups.items():
            batch.put_group(digest_bytes, *totals)
        for volume_id in state.touched:
            if volume_id in state.volumes:
                batch.put_volume(volume_id, state.volumes[volume_id])
            else:
                batch.delete_volume(volume_id)
        state.touched.clear()
        watermark = state.watermark(end)
        batch.put_meta(
            Meta(
                state.device_uuid,
                *end,
                state.next_sequence,
                state.entry_count,
                state.large_bytes,
                *watermark,
            )
        )
        self._index.write(batch)

    def _set_row(self, key: bytes, old: Current | None, new: Current | None) -> None:
        state = self._state
        if new is None:
            self._batch.delete_row(key)
            state.entry_count -= 1
            state.pending.pop(key, None)
        else:
            self._batch.put_row(key, pack_value(new.row, new.at))
            if old is None:
                state.entry_count += 1
        if new is not None and new.is_lost:
            if key not in state.quarantine:
                state.quarantine[key] = None
                self._batch.put_quarantine(key)
        elif key in state.quarantine:
            del state.quarantine[key]
            self._batch.delete_quarantine(key)

    def _count(self, key: bytes, old: Current | None, new: Current | None, change: int) -> None:
        """Keep the digests, and an index's totals, in step with its rows."""
        delta = 0
        if new is not None and not new.is_lost:
            delta = fingerprint(new.entry)
        if old is not None and not old.is_lost:
            delta -= fingerprint(old.entry)
        state = self._state
        if delta:
            place = (key[0], partition_of_key(key, state.part_power))
            state.digests[place] = (state.digests.get(place, 0) + delta) % _DIGEST_MODULUS
            self._places.add(place)
        if key[0] != Table.INDEX or not (delta or change):
            return
        digest = key[1:KEY_HEAD_BYTES]
        totals = self._totals_of(digest)
        if new is not None and is_listed(new.entry.kind):
            totals[0] += 1
            totals[1] += new.entry.size
        if old is not None and is_listed(old.entry.kind):
            totals[0] -= 1
            totals[1] -= old.entry.size
        totals[2] = (totals[2] + delta) % _DIGEST_MODULUS
        totals[3] = max(totals[3], change)

    def _totals_of(self, digest: bytes) -> list[int]:
        totals = self._groups.get(digest)
        if totals is None:
            group = self._index.group(digest)
            totals = self._groups[digest] = [group.count, group.bytes, group.digest, group.last_change]
        return totals

    def _account(self, key: bytes, old: Current | None, new: Current | None) -> None:
        """Note the records and files that `old` needed and `new` does not."""
        new_file = new.at.payload if new is not None and isinstance(new.at.payload, InFile) else None
        if new_file is not None:
            self._state.large_bytes += new_file.size
            self._batch.put_large(new_file.file_id, key)
        if old is None:
            return
        old_payload = old.at.payload
        if isinstance(old_payload, InFile):
            self._state.large_bytes -= old_payload.size
            if new_file is None or new_file.file_id != old_payload.file_id:
                self.dropped_files.append(old_payload.file_id)
                self._batch.delete_large(old_payload.file_id)
        kept = _records_of(new.at) if new is not None else {}
        for (volume_id, offset), size in _records_of(old.at).items():
            if (volume_id, offset) not in kept:
                self._volume(volume_id).dead += size

    def _volume(self, volume_id: int) -> VolumeState:
        self._state.touched.add(volume_id)
        found = self._state.volumes.get(volume_id)
        if found is None:
            found = self._state.volumes[volume_id] = VolumeState()
        return found


def _records_of(at: Location) -> dict[Position, int]:
    records = {(at.volume_id, at.offset): at.record_bytes}
    if isinstance(at.payload, InVolume):
        records[at.payload.volume_id, at.payload.offset] = at.payload.record_bytes
    return records
