"""The client of one objectd: typed calls over the node protocol.

The request id travels by `kit.request_context`, so no method takes it. All methods raise what
`kit.rpc_client.RpcClient` raises (NodeUnreachable, DeadlineExceeded) and StaleRing where the node's
ring epoch is another than the caller's: with a smaller `epoch` in it the node is behind and wants
`ring_adopt`, with a greater one the caller is and wants `ring_get`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from kit.rpc import Reply
from kit.rpc_client import RpcClient
from model.entry import Table
from model.errors import Absent, CorruptRecord
from model.listing import Page, Query
from model.stamp import Stamp
from objectd.client_streams import DEADLINE_MS, PayloadStream, ReadReply, StageSession
from objectd.contract import (
    Buffer,
    Change,
    CommitWrite,
    Confirmation,
    DeviceOutcome,
    Found,
    Group,
    NameRange,
    NodeStatus,
    Op,
    Pending,
    Phase,
    PrepareReply,
    Range,
    RawEntry,
    RawRows,
    RepairHint,
    RingReply,
    RowsReply,
    VersionsWanted,
    pack_commit,
    pack_query,
    pack_read,
    unpack_changes,
    unpack_commit_reply,
    unpack_digests,
    unpack_entries,
    unpack_found,
    unpack_group,
    unpack_pending,
    unpack_prepare_reply,
    unpack_ranges,
    unpack_rows,
    unpack_status,
)

STREAM_DEADLINE_MS: Final = 60 * 60 * 1000
_READ_ATTEMPTS_MAX: Final = 4


class NodeClient:
    """One node, called over `rpc`, which it owns from now on."""

    def __init__(self, rpc: RpcClient) -> None:
        self.rpc = rpc
        self.address = rpc.address

    @classmethod
    def at(
        cls,
        address: str,
        cluster_key: bytes,
        *,
        name: str,
        on_push: Callable[[str, Any], None] | None = None,
    ) -> NodeClient:
        """Return the client of the node at an address."""
        return cls(RpcClient(address, cluster_key, name=name, on_push=on_push))

    @property
    def connected(self) -> bool:
        """Whether a connection stands."""
        return self.rpc.connected

    async def close(self) -> None:
        """End the connection."""
        await self.rpc.close()

    # Data.

    async def commit(
        self,
        writes: Sequence[CommitWrite],
        body: Sequence[Buffer] = (),
        *,
        epoch: int,
        confirmations: Iterable[Confirmation] = (),
        deadline_ms: int = DEADLINE_MS,
    ) -> list[list[DeviceOutcome]]:
        """Merge writes into devices of the node; return for each the outcomes known when it answered.

        It answers as soon as each write has `need` devices that hold it, or all have answered.
        """
        reply = await self.submit_commit(
            writes, body, epoch=epoch, confirmations=confirmations, deadline_ms=deadline_ms
        )
        return unpack_commit_reply(reply.head)

    def submit_commit(
        self,
        writes: Sequence[CommitWrite],
        body: Sequence[Buffer] = (),
        *,
        epoch: int,
        confirmations: Iterable[Confirmation] = (),
        deadline_ms: int = DEADLINE_MS,
    ) -> asyncio.Future[Reply]:
        """Start a commit without a task; give the reply's head to `contract.unpack_commit_reply`."""
        args = pack_commit(epoch, writes, body, confirmations)
        return self.rpc.submit(Op.COMMIT, args, body, deadline_ms=deadline_ms)

    async def read(
        self,
        key: bytes,
        devices: Sequence[int],
        *,
        ask: int,
        epoch: int,
        offset: int = 0,
        length: int | None = None,
        want_payload: bool = True,
        deadline_ms: int = DEADLINE_MS,
    ) -> ReadReply:
        """Look a key up on the first `ask` devices that work, and read its payload from one of them.

        `offset` and `length` select the payload's bytes (clipped to it; None: to its end).
        """
        span = (offset, length) if want_payload else None
        bad: list[Found] = []
        found: list[Found] = []
        for _ in range(_READ_ATTEMPTS_MAX):
            future = self.submit_read(key, devices, ask=ask, epoch=epoch, span=span, deadline_ms=deadline_ms)
            reply = await future
            packed, device, large = reply.head
            found = bad + unpack_found(packed)
            if large is None:
                return ReadReply(found, device, None if device is None else reply.body)
            try:
                stream = await self.payload(
                    device, key, Stamp(large), epoch=epoch, offset=offset, length=length
                )
            except Absent:
                # Overwritten between the two calls: look again.
                continue
            except CorruptRecord:
                bad += [Found(at, row, -1) for at, row, _ in found if at == device]
                devices = [other for other in devices if other != device]
                continue
            return ReadReply(found, device, None, stream)
        return ReadReply(found)

    async def prepare(
        self,
        digest: bytes,
        devices: Sequence[int],
        ballot: Stamp,
        *,
        epoch: int,
        also: bytes | None = None,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[PrepareReply]:
        """Have devices promise a ballot for the object of a digest, durably, and tell what they hold of it.

        They tell of the key of a version `also`, whether it matters for which is current or not. Devices
        that fail, or fill, do not answer. See model.promises.
        """
        args = (epoch, digest, ballot, devices, also)
        reply = await self.rpc.call(Op.PREPARE, args, deadline_ms=deadline_ms)
        return unpack_prepare_reply(reply.head)

    def submit_read(
        self,
        key: bytes,
        devices: Sequence[int],
        *,
        ask: int,
        epoch: int,
        span: tuple[int, int | None] | None = None,
        deadline_ms: int = DEADLINE_MS,
    ) -> asyncio.Future[Reply]:
        """Start a lookup without a task.

        The reply's head is [found (for `contract.unpack_found`), payload device or nil, stamp of a
        payload too long for the reply or nil]; its body is the payload wanted by `span`.
        """
        return self.rpc.submit(Op.READ, pack_read(epoch, key, devices, ask, span), deadline_ms=deadline_ms)

    def submit_versions(
        self,
        digest: bytes,
        devices: Sequence[int],
        wanted: VersionsWanted,
        *,
        ask: int,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> asyncio.Future[Reply]:
        """Start a lookup of an object's versions on the first `ask` devices that work, without a task.

        The reply's head has the fields of a `ToldVersions` for each device.
        """
        args = (epoch, digest, devices, ask, *wanted)
        return self.rpc.submit(Op.VERSIONS, args, deadline_ms=deadline_ms)

    async def payload(
        self,
        device: int,
        key: bytes,
        stamp: Stamp,
        *,
        epoch: int,
        offset: int = 0,
        length: int | None = None,
        deadline_ms: int = STREAM_DEADLINE_MS,
    ) -> PayloadStream:
        """Stream one device's own copy of a payload.

        Raises NoSuchObject where the device holds another base than that of `stamp`, and
        CorruptRecord where its copy is bad.
        """
        args = (epoch, device, key, stamp, offset, -1 if length is None else length)
        stream = await self.rpc.open_stream(Op.PAYLOAD, args, deadline_ms=deadline_ms)
        return PayloadStream(stream, int(await stream.head()))

    async def stage(
        self,
        devices: Sequence[int],
        size_hint: int | None = None,
        *,
        epoch: int,
        deadline_ms: int = STREAM_DEADLINE_MS,
    ) -> StageSession:
        """Begin a large payload on several devices at once; a refusal shows at `send` or `finish`."""
        args = (epoch, devices, size_hint)
        return StageSession(await self.rpc.open_stream(Op.STAGE, args, deadline_ms=deadline_ms))

    # Listings.

    async def rows(
        self,
        digest: bytes,
        devices: Sequence[int],
        query: Query,
        *,
        epoch: int,
        ask: int = 1,
        deadline_ms: int = DEADLINE_MS,
    ) -> RowsReply:
        """List one page of an index from the first `ask` devices that work, merged where they differ."""
        args = (epoch, digest, devices, pack_query(query), ask)
        reply = await self.rpc.call(Op.ROWS, args, deadline_ms=deadline_ms)
        return parse_rows(reply)

    async def raw_rows(
        self,
        digest: bytes,
        devices: Sequence[int],
        wanted: NameRange,
        *,
        epoch: int,
        ask: int = 1,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[RawRows]:
        """Return rows, tombstones too, of each of the first `ask` devices that work, for merging."""
        args = (epoch, digest, devices, ask, *wanted)
        reply = await self.rpc.call(Op.RAW_ROWS, args, deadline_ms=deadline_ms)
        found = []
        at = 0
        view = memoryview(reply.body)
        for *group, size, exhausted in reply.head:
            device, totals = unpack_group(group)
            found.append(RawRows(device, totals, unpack_rows(view[at : at + size]), exhausted))
            at += size
        return found

    async def groups(
        self,
        asked: Sequence[tuple[bytes, Sequence[int]]],
        *,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[list[tuple[int, Group]]]:
        """Return for each (digest, devices) the totals on the devices that work."""
        reply = await self.rpc.call(Op.GROUPS, (epoch, asked), deadline_ms=deadline_ms)
        return [[unpack_group(group) for group in groups] for groups in reply.head]

    async def changes(
        self,
        digest: bytes,
        device: int,
        *,
        after: int = 0,
        limit: int = 1000,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[Change]:
        """Return lines of an index's change log on one device, after a sequence."""
        args = (epoch, digest, device, after, limit)
        return unpack_changes((await self.rpc.call(Op.CHANGES, args, deadline_ms=deadline_ms)).head)

    # Repair.

    async def digests(
        self, device: int, table: Table, *, epoch: int, deadline_ms: int = DEADLINE_MS
    ) -> dict[int, int]:
        """Return partition to digest of one table on one device."""
        reply = await self.rpc.call(Op.DIGESTS, (epoch, device, int(table)), deadline_ms=deadline_ms)
        return unpack_digests(reply.body)

    async def ranges(
        self,
        device: int,
        lo: bytes,
        hi: bytes,
        *,
        fanout: int = 64,
        bounds: Sequence[bytes] | None = None,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[Range]:
        """Fingerprint the keys from lo up to hi in at most `fanout` ranges of equal counts.

        With `bounds`, the first keys of all ranges but the first as another device gave them, in
        exactly those ranges: so two devices are compared range by range.
        """
        args = (epoch, device, lo, hi, fanout, bounds)
        return unpack_ranges((await self.rpc.call(Op.RANGES, args, deadline_ms=deadline_ms)).head)

    async def entries(
        self,
        device: int,
        lo: bytes,
        hi: bytes,
        *,
        limit: int = 1000,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> list[RawEntry]:
        """Return entries with lo <= key < hi in order; may be fewer than the limit, the rest follow the last.

        An empty answer means that the range is exhausted.
        """
        args = (epoch, device, lo, hi, limit)
        return unpack_entries((await self.rpc.call(Op.ENTRIES, args, deadline_ms=deadline_ms)).body)

    async def pending(
        self, device: int, older_than_ms: int, *, epoch: int, deadline_ms: int = DEADLINE_MS
    ) -> list[Pending]:
        """Return client writes on a device that nobody has confirmed for so long, oldest first."""
        args = (epoch, device, older_than_ms)
        return unpack_pending((await self.rpc.call(Op.PENDING, args, deadline_ms=deadline_ms)).head)

    async def confirm(self, confirmations: Sequence[Confirmation], *, deadline_ms: int = DEADLINE_MS) -> None:
        """Say that whole writes are done; good in any ring epoch."""
        await self.rpc.call(Op.CONFIRM, (confirmations,), deadline_ms=deadline_ms)

    async def forget(
        self,
        device: int,
        keys: Sequence[tuple[bytes, Stamp]],
        *,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> int:
        """Drop entries whose newest stamp is still the one given; return how many were."""
        reply = await self.rpc.call(Op.FORGET, (epoch, device, keys), deadline_ms=deadline_ms)
        return int(reply.head)

    async def quarantined(
        self, device: int, *, limit: int = 1000, deadline_ms: int = DEADLINE_MS
    ) -> list[bytes]:
        """Return keys of records set aside on a device because their bytes failed a checksum."""
        reply = await self.rpc.call(Op.QUARANTINED, (device, limit), deadline_ms=deadline_ms)
        return list(reply.head)

    async def repairs(self, *, limit: int = 1000, deadline_ms: int = DEADLINE_MS) -> list[RepairHint]:
        """Take up to `limit` hints off the node's repair list: who takes them repairs them."""
        reply = await self.rpc.call(Op.REPAIRS, (limit,), deadline_ms=deadline_ms)
        return [RepairHint(*hint) for hint in reply.head]

    async def filled(self, device: int, *, epoch: int, deadline_ms: int = DEADLINE_MS) -> None:
        """Say that a device in `NodeStatus.filling` lacks nothing any more.

        True only once it was compared with *every* other home of each of its partitions, and in
        step: what it had acknowledged before may be on just one of them.
        """
        await self.rpc.call(Op.FILLED, (epoch, device), deadline_ms=deadline_ms)

    # Node.

    async def status(self, *, deadline_ms: int = DEADLINE_MS) -> NodeStatus:
        """Return what the node says of itself and of its devices."""
        return unpack_status((await self.rpc.call(Op.STATUS, (), deadline_ms=deadline_ms)).head)

    async def epoch(self, *, deadline_ms: int = DEADLINE_MS) -> int:
        """Return the node's ring epoch; 0 where it has no ring yet."""
        return int((await self.rpc.call(Op.EPOCH, (), deadline_ms=deadline_ms)).head)

    async def ring_get(self, *, deadline_ms: int = DEADLINE_MS) -> RingReply | None:
        """Return the ring the node has adopted, or None where it has none yet."""
        async with await self.rpc.open_stream(Op.RING_GET, (), deadline_ms=deadline_ms) as stream:
            head = await stream.head()
            if head is None:
                return None
            data = b"".join([bytes(chunk) async for chunk in stream.chunks()])
        version, phase = head
        return RingReply(version, Phase(phase), data)

    async def ring_adopt(self, data: Buffer, phase: Phase, *, deadline_ms: int = DEADLINE_MS) -> int:
        """Have the node adopt a ring file at a phase, durably; return its epoch.

        An epoch that is not greater than the node's changes nothing. Raises Conflict where the node
        holds another ring of the same version, BadRequest where the file is not to be trusted.
        """
        async with await self.rpc.open_stream(
            Op.RING_ADOPT, (int(phase),), deadline_ms=deadline_ms
        ) as stream:
            await stream.send(data)
            return int((await stream.finish()).head)


def parse_rows(reply: Reply) -> RowsReply:
    """Return the reply of `rows`."""
    groups, truncated, next_marker = reply.head
    page = Page(unpack_rows(reply.body), truncated, next_marker)
    return RowsReply([unpack_group(group) for group in groups], page)


__all__ = ["NodeClient", "PayloadStream", "ReadReply", "StageSession", "parse_rows"]
