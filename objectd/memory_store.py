"""The store that keeps everything in memory: for simulations and for tests of what stands above it.

It behaves as the disk store does under the same contract suite, in a deterministic order, with time
injected. Commits are done at once, inside the call; nothing survives the object.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kit.clock import wall_clock_ms
from model.entry import Entry, Kind, Table, fingerprint, is_listed, make_key, merge
from model.errors import CorruptRecord, DeviceFailed, DeviceFull
from model.promises import is_spent, promise_key, refuses
from model.stamp import Stamp
from objectd.decide import empties_container, outcome_of, partition_of_key, suffix_of
from objectd.store import (
    Buffer,
    Change,
    DeviceStatus,
    Group,
    Health,
    Held,
    Origin,
    Outcome,
    Pending,
    Staging,
    Write,
    Written,
)

_PIECE_BYTES: Final = 1 << 20
_ROW_OVERHEAD_BYTES: Final = 64
_DIGEST_MODULUS: Final = 1 << 128


@dataclass(slots=True)
class _Kept:
    """One entry with its payload; `damaged` where a bit flipped, `lost` once that was found out."""

    entry: Entry
    payload: bytes
    lost: bool = False
    damaged: bool = False


@dataclass(slots=True)
class _Totals:
    """The running totals of one index and its change log."""

    count: int = 0
    bytes: int = 0
    digest: int = 0
    changes: list[tuple[int, Change]] = field(default_factory=list)


class MemoryStaging:
    """A large payload gathered in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self.size = 0
        self._store = store
        self._bytes = bytearray()

    async def write(self, chunk: Buffer) -> None:
        """Append a chunk. Raises DeviceFull, DeviceFailed."""
        self._store.refuse_unless_writable(self.size + len(chunk))
        self._bytes += chunk
        self.size += len(chunk)

    async def finish(self) -> None:
        """Nothing is left to do: the bytes are as safe as they get here."""

    async def abort(self) -> None:
        """Throw the bytes away."""
        self._bytes = bytearray()

    def take(self) -> bytes:
        """Return the bytes gathered."""
        return bytes(self._bytes)


class MemoryStore:
    """One device in memory (objectd.store.Store).

    `capacity_bytes` bounds payloads and rows. `set_health` and `corrupt` are the faults that a
    simulation injects.
    """

    def __init__(
        self,
        device_id: int,
        *,
        part_power: int,
        now_ms: Callable[[], int] = wall_clock_ms,
        capacity_bytes: int = 1 << 40,
        change_retention_ms: int = 7 * 86_400_000,
    ) -> None:
        self.device_id = device_id
        self._part_power = part_power
        self._now_ms = now_ms
        self._capacity_bytes = capacity_bytes
        self._change_retention_ms = change_retention_ms
        self._health = Health.OK
        self._reason = ""
        self._problem: Callable[[str, bytes | None], None] = lambda reason, key: None
        self._sequence = 0
        self._used_bytes = 0
        self._kept: dict[bytes, _Kept] = {}
        self._keys: list[bytes] = []
        self._totals: dict[bytes, _Totals] = {}
        self._digests: dict[tuple[int, int], tuple[int, int]] = {}
        self._pending: dict[bytes, tuple[Stamp, int]] = {}
        self._quarantine: dict[bytes, None] = {}
        self._verified_ms = 0

    # -- faults that a simulation injects

    def set_health(self, health: Health, reason: str = "") -> None:
        """Make the device read-only, failed, or well again."""
        self._health, self._reason = health, reason
        if health is not Health.OK:
            self._problem(reason, None)

    def corrupt(self, key: bytes) -> None:
        """Damage the payload of a key, as a flipped bit would; found when it is next read."""
        self._kept[key].damaged = True

    def refuse_unless_writable(self, more_bytes: int) -> None:
        """Raise DeviceFailed or DeviceFull where so many bytes more cannot be taken."""
        self._refuse_if_failed()
        if self._health is not Health.OK or self._used_bytes + more_bytes > self._capacity_bytes:
            raise DeviceFull(f"device {self.device_id} is full")

    def _refuse_if_failed(self) -> None:
        if self._health is Health.FAILED:
            raise DeviceFailed(f"device {self.device_id} is set aside: {self._reason}")

    # -- reading

    def get(self, key: bytes) -> Held | None:
        """Return what is held of a key, or None."""
        self._refuse_if_failed()
        kept = self._kept.get(key)
        return None if kept is None else Held(kept.entry, len(kept.payload), kept)

    def rows(
        self, start: bytes, end: bytes, limit: int, *, reverse: bool = False, cut_bytes: int = 0
    ) -> list[tuple[bytes, bytes]]:
        """Return (key less `cut_bytes`, row) with start <= key < end, at most limit."""
        self._refuse_if_failed()
        low, high = bisect_left(self._keys, start), bisect_left(self._keys, end)
        places = range(high - 1, low - 1, -1) if reverse else range(low, high)
        found: list[tuple[bytes, bytes]] = []
        for place in places:
            if len(found) >= limit:
                break
            kept = self._kept[self._keys[place]]
            if not kept.lost:
                found.append((kept.entry.key[cut_bytes:], kept.entry.to_row()))
        return found

    def read_now(self, held: Held, offset: int, length: int) -> Buffer | None:
        """Return payload bytes. Raises CorruptRecord, Absent."""
        self._refuse_if_failed()
        kept = held.location
        assert isinstance(kept, _Kept)
        if kept.lost:
            raise CorruptRecord(f"the payload of {held.entry.key.hex()} was lost")
        if kept.damaged:
            self._lose(kept)
            raise CorruptRecord(f"the payload of {held.entry.key.hex()} fails its checksum")
        return kept.payload[offset : offset + length]

    async def read(self, held: Held, offset: int, length: int) -> AsyncIterator[Buffer]:
        """Yield payload bytes in pieces of at most 1 MiB."""
        end = min(offset + length, held.payload_bytes)
        while offset < end:
            piece = self.read_now(held, offset, min(_PIECE_BYTES, end - offset))
            assert piece is not None
            yield piece
            offset += len(piece)

    def group(self, digest: bytes) -> Group:
        """Return the totals of an index."""
        self._refuse_if_failed()
        totals = self._totals.get(digest)
        if totals is None:
            return Group()
        last = totals.changes[-1][1].sequence if totals.changes else 0
        return Group(totals.count, totals.bytes, totals.digest, last)

    def changes(self, digest: bytes, after: int, limit: int) -> list[Change]:
        """Return the change log of an index after a sequence."""
        self._refuse_if_failed()
        totals = self._totals.get(digest)
        if totals is None:
            return []
        start = bisect_left(totals.changes, after + 1, key=lambda line: line[1].sequence)
        return [line for _, line in totals.changes[start : start + limit]]

    def partition_digests(self, table: Table) -> dict[int, int]:
        """Return partition to digest of the partitions that hold entries of a table."""
        self._refuse_if_failed()
        return {part: digest for (of, part), (digest, _) in self._digests.items() if of == table}

    def partitions(self) -> set[int]:
        """Return the partitions that hold any entry."""
        self._refuse_if_failed()
        return {part for _, part in self._digests}

    # -- writing

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Merge writes at once; the future is already done."""
        future: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        future.set_result([self._commit(write) for write in writes])
        return future

    async def stage(self, size_hint: int | None) -> Staging:
        """Begin a large payload. Raises DeviceFull, DeviceFailed."""
        self.refuse_unless_writable(size_hint or 0)
        return MemoryStaging(self)

    def _commit(self, write: Write) -> Written:
        entry = write.entry
        held = self._kept.get(entry.key)
        current = held.entry if held is not None else None
        newest = current.stamp if current is not None else Stamp(bytes(16))
        refusal = self._refusal(write)
        if refusal is not None:
            return Written(refusal, newest)
        merged = merge(current, entry)
        written = outcome_of(entry, current, merged)
        heals = (
            held is not None
            and held.lost
            and merged.stamp == entry.stamp
            and entry.kind is not Kind.EMPTY
            and write.payload is not None
        )
        if merged is current and not heals:
            if write.origin is not Origin.CLIENT and not (held is not None and held.lost):
                self._quarantine.pop(entry.key, None)
            return written
        if merged is not current:
            promised = self._judge_promise(write, current)
            if promised is not None:
                return promised
        if heals:
            written = Written(Outcome.STORED, merged.stamp)
        self._replace(held, self._merged(held, write, merged))
        self._forget_spent(merged)
        if write.origin is Origin.CLIENT and written.outcome is Outcome.STORED:
            self._pending.pop(entry.key, None)
            self._pending[entry.key] = (entry.newest, self._now_ms())
        return written

    def _judge_promise(self, write: Write, ours: Entry | None) -> Written | None:
        """Return the outcome of a write that a promise refuses, or of a promise that its object hides."""
        entry = write.entry
        if entry.table is Table.OBJECT:
            if write.origin is Origin.FILL and write.ballot is None:
                return None
            promised = self._kept.get(promise_key(entry.digest))
            stamp = promised.entry.stamp if promised is not None else None
            if refuses(entry, ours, stamp, write.ballot):
                return Written(Outcome.PROMISED, stamp or Stamp(bytes(16)))
        elif entry.table is Table.PROMISE:
            base = self._kept.get(make_key(Table.OBJECT, entry.digest))
            if base is not None and is_spent(entry.stamp, base.entry):
                return Written(Outcome.SUPERSEDED, base.entry.stamp)
        return None

    def _forget_spent(self, entry: Entry) -> None:
        if entry.table is Table.OBJECT and not entry.suffix:
            promised = self._kept.get(promise_key(entry.digest))
            if promised is not None and is_spent(promised.entry.stamp, entry):
                self._replace(promised, None)

    def _refusal(self, write: Write) -> Outcome | None:
        if self._health is Health.FAILED:
            return Outcome.FAILED
        grows = write.entry.kind is not Kind.TOMBSTONE
        if grows and self._health is Health.READ_ONLY:
            return Outcome.FULL
        if grows and self._used_bytes + _payload_bytes(write) > self._capacity_bytes:
            return Outcome.FULL
        if write.guard is not None and write.origin is Origin.CLIENT:
            container = self._kept.get(write.guard)
            if container is None or container.entry.kind is not Kind.DATA:
                return Outcome.NO_CONTAINER
        if empties_container(write):
            totals = self._totals.get(write.entry.digest)
            if totals is not None and totals.count:
                return Outcome.NOT_EMPTY
        return None

    def _merged(self, held: _Kept | None, write: Write, merged: Entry) -> _Kept:
        """Return what is to be kept: the payload goes with the base that won."""
        if write.entry.kind is not Kind.EMPTY and merged.stamp == write.entry.stamp:
            is_new = held is None or held.entry.stamp != merged.stamp or held.lost
            if is_new:
                return _Kept(merged, _payload_of(write), lost=False)
        if held is None:
            return _Kept(merged, b"")
        return _Kept(merged, held.payload, held.lost, held.damaged)

    def _replace(self, old: _Kept | None, new: _Kept | None) -> None:
        """Put `new` in the place of `old`, and keep every total in step."""
        either = new if new is not None else old
        assert either is not None
        key = either.entry.key
        if old is None:
            insort(self._keys, key)
        if new is None:
            del self._keys[bisect_left(self._keys, key)]
            del self._kept[key]
        else:
            self._kept[key] = new
        if new is None or not new.lost:
            self._quarantine.pop(key, None)
        for kept, sign in ((old, -1), (new, 1)):
            if kept is not None:
                self._used_bytes += sign * (len(kept.payload) + len(kept.entry.value) + _ROW_OVERHEAD_BYTES)
                if not kept.lost:
                    self._count(kept.entry, sign)
        if key[0] == Table.INDEX and new is not None:
            self._sequence += 1
            line = Change(self._sequence, suffix_of(key), new.entry.to_row())
            self._totals[new.entry.digest].changes.append((self._now_ms(), line))

    def _count(self, entry: Entry, sign: int) -> None:
        mark = sign * fingerprint(entry)
        place = (entry.key[0], partition_of_key(entry.key, self._part_power))
        digest, count = self._digests.get(place, (0, 0))
        if count + sign:
            self._digests[place] = ((digest + mark) % _DIGEST_MODULUS, count + sign)
        else:
            del self._digests[place]
        if entry.key[0] == Table.INDEX:
            totals = self._totals.setdefault(entry.digest, _Totals())
            totals.digest = (totals.digest + mark) % _DIGEST_MODULUS
            if is_listed(entry.kind):
                totals.count += sign
                totals.bytes += sign * entry.size

    # -- upkeep

    def pending(self, older_than_ms: int) -> list[Pending]:
        """Return client writes not confirmed for so long, oldest first."""
        now = self._now_ms()
        return [
            Pending(key, stamp, now - since)
            for key, (stamp, since) in self._pending.items()
            if now - since >= older_than_ms
        ]

    def confirm(self, keys: Sequence[tuple[bytes, Stamp]]) -> None:
        """Note that whole writes are done."""
        for key, stamp in keys:
            waiting = self._pending.get(key)
            if waiting is not None and waiting[0] <= stamp:
                del self._pending[key]

    def forget(self, keys: Sequence[tuple[bytes, Stamp]]) -> asyncio.Future[int]:
        """Drop entries whose newest stamp is still the one given."""
        count = 0
        for key, stamp in keys:
            kept = self._kept.get(key)
            if kept is not None and kept.entry.newest == stamp and self._health is Health.OK:
                self._replace(kept, None)
                self._pending.pop(key, None)
                count += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(count)
        return future

    def quarantined(self, limit: int) -> list[bytes]:
        """Return the keys whose payload was lost."""
        return list(self._quarantine)[:limit]

    def _lose(self, kept: _Kept) -> None:
        if self._kept.get(kept.entry.key) is not kept or kept.lost:
            return
        self._count(kept.entry, -1)
        kept.lost = True
        self._quarantine[kept.entry.key] = None
        self._problem("the payload fails its checksum", kept.entry.key)

    async def scrub(self, budget_bytes: int) -> AsyncIterator[int]:
        """Verify all payloads, yielding the bytes of each."""
        spent = 0
        for key in list(self._keys):
            kept = self._kept.get(key)
            if kept is None or kept.lost:
                continue
            if kept.damaged:
                self._lose(kept)
            spent += len(kept.payload) + _ROW_OVERHEAD_BYTES
            yield len(kept.payload) + _ROW_OVERHEAD_BYTES
            if spent >= budget_bytes:
                return
        self._verified_ms = self._now_ms()

    async def compact(self, budget_bytes: int) -> int:
        """Drop change log lines past their retention; there is no dead space in memory."""
        oldest_ms = self._now_ms() - self._change_retention_ms
        for totals in self._totals.values():
            kept = [line for line in totals.changes[:-1] if line[0] >= oldest_ms]
            totals.changes = kept + totals.changes[-1:]
        return 0

    async def check(self) -> Health:
        """Return the health that was set."""
        return self._health

    def status(self) -> DeviceStatus:
        """Return what an operator is told."""
        return DeviceStatus(
            device_id=self.device_id,
            path="memory",
            health=self._health,
            reason=self._reason,
            capacity_bytes=self._capacity_bytes,
            free_bytes=max(0, self._capacity_bytes - self._used_bytes),
            live_bytes=self._used_bytes,
            dead_bytes=0,
            entry_count=len(self._keys),
            quarantined_count=len(self._quarantine),
            oldest_verified_ms=self._verified_ms,
        )

    def on_problem(self, callback: Callable[[str, bytes | None], None]) -> None:
        """Call back when a record or the device goes bad."""
        self._problem = callback

    async def close(self) -> None:
        """Nothing is held."""


def _payload_bytes(write: Write) -> int:
    payload = write.payload
    if isinstance(payload, bytes | bytearray | memoryview):
        return len(payload)
    return 0 if payload is None else payload.size


def _payload_of(write: Write) -> bytes:
    payload = write.payload
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return payload.take() if isinstance(payload, MemoryStaging) else b""
