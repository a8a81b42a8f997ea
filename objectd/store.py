"""The storage protocol: what one device does, whatever keeps its bytes.

Two stores implement it, on disk and in memory, under one contract suite. A store knows keys,
registers and payloads (model.entry); it knows neither rings nor nodes, and looks into no value.

Visibility is durability: nothing is read back, listed, digested or counted before it is on stable
storage, so no reader ever sees what a power cut could take away. Pure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from model.entry import Entry, Table
from model.stamp import Stamp

if TYPE_CHECKING:
    import asyncio

Buffer = bytes | bytearray | memoryview


class Outcome(IntEnum):
    """What became of one write on one device; the first three are durable facts."""

    STORED = 1
    """The entry brought something new, and it is on stable storage."""
    KNOWN = 2
    """The device already held all of it."""
    SUPERSEDED = 3
    """The device holds something newer, told by `Written.newest`, that hides the write's base or a side."""
    NO_CONTAINER = 4
    """The write's guard (its container) is absent or deleted on this device; nothing was stored."""
    NOT_EMPTY = 5
    """The write deletes a container whose index on this device holds live rows; nothing was stored."""
    FULL = 6
    """The device keeps its reserve; nothing was stored."""
    FAILED = 7
    """The device failed or is set aside; nothing is promised."""
    PROMISED = 8
    """The device has promised `Written.newest` to a conditional write (ZERO: not the ballot of this one);
    nothing was stored, and nothing newer hides the write yet."""
    CONTESTED = 9
    """SUPERSEDED, where the device may have promised a ballot newer than the write. Told by nodes alone."""


class Origin(IntEnum):
    """Who asks for a write; only a client's checks guards and stays pending."""

    CLIENT = 1
    REPAIR = 2
    FILL = 3
    """A repair of a device that fills: whatever it promised is lost, and it has no vote, so no promise bars
    what brings it level with the others. Nodes make it of a repair; it is never sent."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one write, and the newest base stamp the device knows for the key.

    For a SUPERSEDED write `newest` is the stamp that hides it, of the base or of a side register.
    """

    outcome: Outcome
    newest: Stamp


@dataclass(frozen=True, slots=True)
class Write:
    """One entry to merge into a device.

    `payload` is the object's bytes (small; left unchanged until the commit is done), or a finished
    staging (large), or None for entries without bytes. `guard` is the key of the CONTAINER entry
    that must be live on the same device. A CONTAINER tombstone with `if_empty` is refused where the
    container's index has live rows. Both are for clients' writes alone: a repair is applied as it
    comes.

    One Write object may be committed to several stores: what each would compute anew from it is kept
    in `encoded` by the first. A staging belongs to one store, and is used up by its commit whatever
    the outcome. With a `ballot` the write is taken only where the device has promised just that ballot, and
    without one nowhere where it has promised a newer one than the write's (model.promises).
    """

    entry: Entry
    payload: Buffer | Staging | None = None
    guard: bytes | None = None
    if_empty: bool = False
    origin: Origin = Origin.CLIENT
    ballot: Stamp | None = None
    encoded: list[object] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """An entry as a device holds it, with the length of its payload in bytes.

    `location` is the store's own: where the payload is. Two devices' locations are unrelated.
    """

    entry: Entry
    payload_bytes: int
    location: object


@dataclass(frozen=True, slots=True)
class Group:
    """Totals of one index (all INDEX rows under one placement digest) on one device.

    `count` and `bytes` are of live rows, of every version and delete marker; `digest` sums the
    fingerprints of all rows, tombstones too: equal digests mean equal rows. `last_change`
    is the sequence of the newest change.
    """

    count: int = 0
    bytes: int = 0
    digest: int = 0
    last_change: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One line of an index's change log on one device: `sequence` orders commits on that device."""

    sequence: int
    name: bytes
    row: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry committed by a client's write of which no proxy has said that the whole write is done."""

    key: bytes
    stamp: Stamp
    age_ms: int


class Health(IntEnum):
    """Whether a device takes work.

    On a FAILED device commits come out FAILED, and every other call raises DeviceFailed.
    """

    OK = 1
    READ_ONLY = 2
    """Full, or its file system refuses writes: reads are served."""
    FAILED = 3
    """Set aside: nothing is served."""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What an operator is told of a device. Sizes in bytes."""

    device_id: int
    path: str
    health: Health
    reason: str
    capacity_bytes: int
    free_bytes: int
    live_bytes: int
    dead_bytes: int
    entry_count: int
    quarantined_count: int
    oldest_verified_ms: int


class Staging(Protocol):
    """The bytes of a large payload on their way in; invisible until a commit names it."""

    size: int
    """Bytes written so far."""

    async def write(self, chunk: Buffer) -> None:
        """Append a chunk. Raises DeviceFull, DeviceFailed."""

    async def finish(self) -> None:
        """Make the bytes durable (the name is made by the commit)."""

    async def abort(self) -> None:
        """Throw the bytes away; harmless after a commit."""


class Store(Protocol):
    """One device."""

    device_id: int

    def get(self, key: bytes) -> Held | None:
        """Return what the device holds of a key (tombstones too), or None. Index only, no payload.

        An entry whose payload was lost to damage is still returned, so that no reader goes back in
        time: reading it raises CorruptRecord until a repair has brought the bytes again.
        """

    def rows(
        self, start: bytes, end: bytes, limit: int, *, reverse: bool = False, cut_bytes: int = 0
    ) -> list[tuple[bytes, bytes]]:
        """Return (key, row) with start <= key < end, in key order (reversed: last first), at most limit.

        Rows are in the form of model.entry, without location. Entries whose payload was lost are
        left out, here and in the digests, so that replicas see the difference. The first `cut_bytes` of
        each key are left off.
        """

    def read_now(self, held: Held, offset: int, length: int) -> Buffer | None:
        """Return verified payload bytes if that needs no wait for a disk, else None.

        Raises CorruptRecord (and quarantines the record) where a checksum fails, and Absent where the
        payload was superseded after `held` was looked up: look it up again.
        """

    def read(self, held: Held, offset: int, length: int) -> AsyncIterator[Buffer]:
        """Yield verified payload bytes in pieces of at most 1 MiB.

        Raises CorruptRecord, DeviceFailed, and Absent as `read_now` does. Once the first piece has come,
        an overwrite no longer disturbs the reader.
        """

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Merge writes; the future resolves once all are durable and visible.

        Writes of one call, and calls in order of arrival, are applied in order; those that arrive
        while a flush runs share the next one (group commit). Failures are outcomes, not exceptions.
        A call with a staging takes its place in the order once the staging has its name on the disk.
        """

    async def stage(self, size_hint: int | None) -> Staging:
        """Begin a large payload. Raises DeviceFull, DeviceFailed."""

    def group(self, digest: bytes) -> Group:
        """Return the totals of the index of a placement digest."""

    def changes(self, digest: bytes, after: int, limit: int) -> list[Change]:
        """Return the change log of an index after a sequence, oldest first.

        Every commit that brings something new to an index row adds a line; repairs do too.
        """

    def partition_digests(self, table: Table) -> dict[int, int]:
        """Return partition number to digest, for the partitions that hold entries of a table."""

    def partitions(self) -> set[int]:
        """Return the partitions that hold any entry."""

    def pending(self, older_than_ms: int) -> list[Pending]:
        """Return client writes not confirmed for so long, oldest first."""

    def confirm(self, keys: Sequence[tuple[bytes, Stamp]]) -> None:
        """Note that the whole writes these entries belong to are done everywhere."""

    def forget(self, keys: Sequence[tuple[bytes, Stamp]]) -> asyncio.Future[int]:
        """Drop entries without tombstone where their newest stamp is still the one given.

        For tombstones that every replica has, and for partitions handed to their homes. Resolves to
        the count dropped once that is durable; a device that fails drops none.
        """

    def quarantined(self, limit: int) -> list[bytes]:
        """Return the keys of entries set aside because their bytes failed a checksum.

        A key leaves the list when a repair, or anything newer, is committed.
        """

    def scrub(self, budget_bytes: int) -> AsyncIterator[int]:
        """Verify records, oldest verified first, yielding the bytes read in each step.

        Ends after `budget_bytes`, or sooner when everything was verified once; the next call goes on
        where this one ended, also after a restart.
        """

    async def compact(self, budget_bytes: int) -> int:
        """Give dead space back, and drop change log lines past their retention.

        Reads, and copies what is live of, at most about `budget_bytes`, and returns the bytes it
        read: 0 means that there is nothing worth doing. Serving goes on meanwhile.
        """

    async def check(self) -> Health:
        """Look after the device itself and return its health; call it every second or so.

        A device set aside is opened again where that has become possible; one whose folder was
        emptied is formatted anew, so that the colony can fill it again.
        """

    def status(self) -> DeviceStatus:
        """Return what an operator is told of the device."""

    def on_problem(self, callback: Callable[[str, bytes | None], None]) -> None:
        """Call back with a reason and the key concerned, if any, when a record or the device goes bad."""

    async def close(self) -> None:
        """Finish what is under way and release the device."""
