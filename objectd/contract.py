"""The wire contract of objectd: names of operations, requests and replies and their msgpack forms. Pure.

Every request is a msgpack array; that of an operation on data starts with the sender's ring epoch.
Bodies (payloads, rows of a listing) travel raw beside it. Each `pack_*` has its `unpack_*`; those of
the hot path work on tuples, since a frozen dataclass costs more to make than the message to parse.

`CONTRACT_VERSION` is what `status` tells; within a version fields are only ever appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any, Final, NamedTuple

import msgpack

from model.entry import Table
from model.errors import BadRequest, CorruptRecord
from model.listing import Page, Query, RawRow, Shape
from model.stamp import ZERO, Stamp
from objectd.store import (
    Buffer,
    Change,
    DeviceStatus,
    Group,
    Health,
    Origin,
    Outcome,
    Pending,
)
from objectd.wire_repair import (
    DIGEST_BYTES,
    Range,
    RawEntry,
    pack_digests,
    pack_entries,
    pack_ranges,
    unpack_digests,
    unpack_entries,
    unpack_ranges,
)
from ring.epoch import Phase, epoch_of

CONTRACT_VERSION: Final = 1

INLINE_BYTES_MAX: Final = 1024 * 1024
"""A payload up to this comes with the reply of `read`, a larger one as a stream; `commit` takes as much."""
COMMIT_BYTES_MAX: Final = 6 * 1024 * 1024
"""All payloads of one commit; a frame holds 8 MiB."""
ROWS_BYTES_MAX: Final = 4 * 1024 * 1024
"""Rows in one reply; a longer page is cut and says that more follow."""


class Op(StrEnum):
    """The operations of objectd; the value is what stands on the wire."""

    COMMIT = "commit"
    READ = "read"
    PREPARE = "prepare"
    VERSIONS = "versions"
    ROWS = "rows"
    RAW_ROWS = "rows.raw"
    GROUPS = "groups"
    STAGE = "stage"
    CHANGES = "changes"
    DIGESTS = "digests"
    RANGES = "ranges"
    ENTRIES = "entries"
    PAYLOAD = "payload"
    PENDING = "pending"
    CONFIRM = "confirm"
    FORGET = "forget"
    QUARANTINED = "quarantined"
    REPAIRS = "repairs"
    FILLED = "filled"
    STATUS = "status"
    EPOCH = "epoch"
    RING_GET = "ring.get"
    RING_ADOPT = "ring.adopt"


class Notice(StrEnum):
    """What objectd tells its clients unasked."""

    DEVICE = "device"
    """[device, Health, reason]: a device went bad or came back."""
    SETTINGS = "settings"
    """The keys of containers and accounts whose entries have just changed: what is remembered is old."""
    RING = "ring"
    """The epoch adopted just now."""


def split_epoch(epoch: int) -> tuple[int, Phase]:
    """Return the ring version and the phase of an epoch."""
    return epoch >> 2, Phase(epoch & 3)


# commit -------------------------------------------------------------------------------------------


class CommitWrite(NamedTuple):
    """One entry for several devices of one node.

    `need` is how many of `devices` must have it (STORED or KNOWN) before the node answers; 0 for
    all that answer. `payload` is the index of its bytes among the call's body buffers, `staged` the
    staging id on each device, neither for entries without bytes. `guard` is the key of the container
    that must live on the same device. With a `ballot` only devices take it that have promised that.
    """

    key: bytes
    row: bytes
    devices: Sequence[int]
    need: int
    payload: int | None = None
    staged: Mapping[int, int] | None = None
    guard: bytes | None = None
    if_empty: bool = False
    origin: Origin = Origin.CLIENT
    ballot: Stamp | None = None


class DeviceOutcome(NamedTuple):
    """What became of one write on one device, and the newest base stamp it knows for the key.

    KNOWN with a newer stamp than the write's: the device held the write a moment ago.
    A device that had not answered when the node did is missing from the reply; what fails later
    goes to the node's repair list.
    """

    device: int
    outcome: Outcome
    newest: Stamp


class Confirmation(NamedTuple):
    """The whole write that an entry belongs to is done: these devices may forget that it was pending."""

    key: bytes
    stamp: Stamp
    devices: Sequence[int]


def pack_commit(
    epoch: int,
    writes: Sequence[CommitWrite],
    body: Sequence[Buffer],
    confirmations: Iterable[Confirmation] = (),
) -> list[Any]:
    """Return the arguments of `commit`; the body buffers follow one another on the wire."""
    spans: list[tuple[int, int]] = []
    at = 0
    for buffer in body:
        spans.append((at, len(buffer)))
        at += len(buffer)
    packed = []
    for write in writes:
        key, row, devices, need, payload, staged, guard, if_empty, origin, ballot = write
        offset, length = (-1, 0) if payload is None else spans[payload]
        fields = (key, row, devices, need, offset, length, staged, guard, if_empty, int(origin))
        packed.append(fields if ballot is None else (*fields, ballot))
    return [epoch, packed, list(confirmations)]


_OUTCOMES: Final = {int(outcome): outcome for outcome in Outcome}


def unpack_commit_reply(head: Any) -> list[list[DeviceOutcome]]:
    """Return the outcomes, for each write those of the devices that had answered."""
    outcomes = _OUTCOMES
    return [
        [DeviceOutcome(device, outcomes[outcome], newest) for device, outcome, newest in write]
        for write in head
    ]


# read ---------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What one device holds of a key: its row (None for nothing), and its payload's length in bytes.

    `payload_bytes` is -1 where the device's copy of the payload is known to be bad.
    """

    device: int
    row: bytes | None
    payload_bytes: int


def pack_read(
    epoch: int, key: bytes, devices: Sequence[int], ask: int, span: tuple[int, int | None] | None
) -> tuple[Any, ...]:
    """Return the arguments of `read`; `span` is offset and length of the payload wanted, if any."""
    if span is None:
        return (epoch, key, devices, ask, 0, 0)
    offset, length = span
    return (epoch, key, devices, ask, offset, -1 if length is None else length)


def unpack_found(packed: Any) -> list[Found]:
    """Return what each device asked holds."""
    return [Found(device, row, payload_bytes) for device, row, payload_bytes in packed]


class VersionsWanted(NamedTuple):
    """Which entries of an object `versions` tells: of all keys with its digest, in order of key.

    Those whose suffix comes after `after` (None: from the null version on), up to the first live version
    at or behind `down_to`: that is as far as it takes to know the current one.
    """

    after: bytes | None = None
    down_to: bytes = b""


class ToldVersions(NamedTuple):
    """What one device tells: suffix, row and payload bytes of each entry; `is_all` where none follow."""

    device: int
    entries: Sequence[tuple[bytes, bytes, int]]
    is_all: bool


# prepare ------------------------------------------------------------------------------------------


class PrepareReply(NamedTuple):
    """What one device answers to a ballot.

    Where it promised, `before` is the newest promise it may have given earlier, and `entries` are what it
    holds of the object: the null version, and others from the newest to the first that is live. Else
    `newest` is a promise or a base that is not older than the ballot.
    """

    device: int
    granted: bool
    newest: Stamp
    before: Stamp
    entries: list[RawEntry]


def unpack_prepare_reply(head: Any) -> list[PrepareReply]:
    """Return what the devices answered."""
    return [
        PrepareReply(device, granted, Stamp(newest), Stamp(before), [RawEntry(*one) for one in entries])
        for device, granted, newest, before, entries in head
    ]


# listings -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowsReply:
    """One page of an index, and the totals of each device consulted.

    `groups` of equal digest mean that the page is what each of them would have given. A page may be
    shorter than the limit and yet truncated: replies are bounded in bytes.
    """

    groups: list[tuple[int, Group]]
    page: Page


class NameRange(NamedTuple):
    """Rows wanted as they are: names with start <= name < end (None: no bound), reversed the last first."""

    start: bytes = b""
    end: bytes | None = None
    limit: int = 1000
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows of one device as they are, tombstones among them; `exhausted` where the range ends with them."""

    device: int
    group: Group
    rows: list[RawRow]
    exhausted: bool


_SHAPES: Final = {int(shape): shape for shape in Shape}


def pack_query(query: Query) -> tuple[Any, ...]:
    """Return a query as its fields in order."""
    return (
        query.prefix, query.delimiter, query.marker, query.end_marker, query.limit, query.reverse,
        query.inclusive_marker, int(query.shape), query.version_marker,
    )  # fmt: skip


def unpack_query(packed: Sequence[Any]) -> Query:
    """Return the query of its fields."""
    plain: tuple[bytes, bytes, bytes, bytes, int, bool, bool] = tuple(packed[:7])
    return Query(*plain, _SHAPES[packed[7]], packed[8])


def pack_group(device: int, group: Group) -> tuple[int, int, int, bytes, int]:
    """Return a device's totals of one index."""
    return (device, group.count, group.bytes, group.digest.to_bytes(DIGEST_BYTES, "big"), group.last_change)


def unpack_group(packed: Sequence[Any]) -> tuple[int, Group]:
    """Return a device and its totals of one index."""
    device, count, size, digest, last_change = packed
    return device, Group(count, size, int.from_bytes(digest, "big"), last_change)


def pack_rows(rows: Sequence[RawRow]) -> bytes:
    """Return rows as a flat msgpack array of name, row, name, row, …: the cheapest form to make and read."""
    packed: bytes = msgpack.packb(list(chain.from_iterable(rows)))
    return packed


def pack_rows_bounded(rows: Sequence[RawRow], bytes_max: int = ROWS_BYTES_MAX) -> tuple[bytes, int]:
    """Return as many of the first rows as fit, packed, and their count; at least one."""
    packed = pack_rows(rows)
    while len(packed) > bytes_max and len(rows) > 1:
        rows = rows[: max(1, min(len(rows) - 1, len(rows) * bytes_max // len(packed)))]
        packed = pack_rows(rows)
    return packed, len(rows)


def unpack_rows(packed: Buffer) -> list[RawRow]:
    """Return the rows of a flat array. Raises CorruptRecord."""
    try:
        flat = iter(msgpack.unpackb(packed))
        return list(zip(flat, flat, strict=True))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"rows cannot be decoded: {error}") from error


# repair -------------------------------------------------------------------------------------------


class RepairHint(NamedTuple):
    """A write that some devices of this node should hold and did not take."""

    key: bytes
    devices: list[int]
    noted_ms: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says of itself. `repairs_waiting` counts its repair hints; times in milliseconds.

    `filling` are devices that came back empty: they take writes, but are asked nothing until repair
    has brought back what the other homes of their partitions hold (`NodeClient.filled`).
    """

    contract_version: int
    name: str
    epoch: int
    started_ms: int
    ready: bool
    devices: list[DeviceStatus]
    repairs_waiting: int
    filling: list[int] = field(default_factory=list)


def pack_changes(changes: Iterable[Change]) -> list[Any]:
    """Return a change log's lines."""
    return [(change.sequence, change.name, change.row) for change in changes]


def unpack_changes(packed: Iterable[Any]) -> list[Change]:
    """Return a change log's lines."""
    return [Change(*fields) for fields in packed]


def pack_pending(pending: Iterable[Pending]) -> list[Any]:
    """Return pending writes."""
    return [(item.key, item.stamp, item.age_ms) for item in pending]


def unpack_pending(packed: Iterable[Any]) -> list[Pending]:
    """Return pending writes."""
    return [Pending(*fields) for fields in packed]


def pack_status(status: NodeStatus) -> list[Any]:
    """Return a node's status."""
    return [
        status.contract_version,
        status.name,
        status.epoch,
        status.started_ms,
        status.ready,
        [astuple(device) for device in status.devices],
        status.repairs_waiting,
        status.filling,
    ]


def unpack_status(packed: Sequence[Any]) -> NodeStatus:
    """Return a node's status."""
    version, name, epoch, started_ms, ready, devices, repairs_waiting, filling = packed[:8]
    statuses = [DeviceStatus(device, path, Health(health), *rest) for device, path, health, *rest in devices]
    return NodeStatus(version, name, epoch, started_ms, ready, statuses, repairs_waiting, filling)


# ring ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RingReply:
    """The ring file a node has adopted, and its phase."""

    version: int
    phase: Phase
    data: bytes

    @property
    def epoch(self) -> int:
        """The node's ring epoch."""
        return epoch_of(self.version, self.phase)


def check_table(number: int) -> Table:
    """Return the table of a number from the wire. Raises BadRequest."""
    try:
        return Table(number)
    except ValueError as error:
        raise BadRequest(f"there is no table {number}") from error


__all__ = [
    "COMMIT_BYTES_MAX",
    "CONTRACT_VERSION",
    "INLINE_BYTES_MAX",
    "ROWS_BYTES_MAX",
    "ZERO",
    "Buffer",
    "Change",
    "CommitWrite",
    "Confirmation",
    "DeviceOutcome",
    "DeviceStatus",
    "Found",
    "Group",
    "Health",
    "NameRange",
    "NodeStatus",
    "Notice",
    "Op",
    "Origin",
    "Outcome",
    "Page",
    "Pending",
    "Phase",
    "PrepareReply",
    "Query",
    "Range",
    "RawEntry",
    "RawRows",
    "RepairHint",
    "RingReply",
    "RowsReply",
    "Stamp",
    "ToldVersions",
    "VersionsWanted",
    "check_table",
    "epoch_of",
    "pack_changes",
    "pack_commit",
    "pack_digests",
    "pack_entries",
    "pack_group",
    "pack_pending",
    "pack_query",
    "pack_ranges",
    "pack_read",
    "pack_rows",
    "pack_rows_bounded",
    "pack_status",
    "split_epoch",
    "unpack_changes",
    "unpack_commit_reply",
    "unpack_digests",
    "unpack_entries",
    "unpack_found",
    "unpack_group",
    "unpack_pending",
    "unpack_prepare_reply",
    "unpack_query",
    "unpack_ranges",
    "unpack_rows",
    "unpack_status",
]
