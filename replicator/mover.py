"""Carries out transfers: reads payloads from good copies and commits them, many in flight at once.

The source verifies what it reads block by block; the receiver merges, so a transfer that comes late,
twice or after something newer does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kit.clock import wall_clock_ms
from model.entry import Entry, Kind, from_row, merge
from model.errors import Absent, CorruptRecord, StaleRing, Unavailable
from model.stamp import Stamp
from objectd.client import ReadReply
from objectd.contract import INLINE_BYTES_MAX, Buffer, CommitWrite, Origin, Outcome
from replicator.peers import CALL_DEADLINE_MS, Peers
from replicator.plan import Drop, Transfer, chunks
from replicator.rates import Meter

IN_FLIGHT_MAX: Final = 4
"""Chunks of transfers on their way at once: bounds the memory, and the load on a node's devices."""
FORGET_KEYS: Final = 5_000

HELD: Final = frozenset((Outcome.STORED, Outcome.KNOWN, Outcome.SUPERSEDED))
"""Outcomes after which a device holds what was sent, or something newer."""

_log = logging.getLogger(__name__)

Pace = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Delivery:
    """What became of transfers: by key, the devices that hold them now; and how many failed."""

    held: dict[bytes, set[int]] = field(default_factory=dict)
    refused: dict[bytes, set[Outcome]] = field(default_factory=dict)
    failed_count: int = 0

    def note(self, key: bytes, device: int, outcome: Outcome) -> None:
        """Note the answer of a device."""
        if outcome in HELD:
            self.held.setdefault(key, set()).add(device)
        else:
            self.refused.setdefault(key, set()).add(outcome)
            self.failed_count += 1


@dataclass(slots=True)
class _Parcel:
    """A transfer with its bytes in hand."""

    entry: Entry
    targets: tuple[int, ...]
    payload: Buffer | None = None
    ballot: Stamp | None = None


async def unpaced(units: float) -> None:
    """Go on at once."""


class Mover:
    """Moves entries between the devices of the colony."""

    def __init__(self, peers: Peers, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.peers = peers
        self.now_ms = now_ms
        self.pace: Pace = unpaced
        self.entries = Meter()
        self.bytes = Meter()
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def run(self, transfers: Iterable[Transfer]) -> Delivery:
        """Carry out transfers; what fails is counted, and found again by the next comparison."""
        delivery = Delivery()
        await asyncio.gather(*(self._chunk(chunk, delivery) for chunk in chunks(transfers)))
        return delivery

    async def _chunk(self, chunk: Sequence[Transfer], delivery: Delivery) -> None:
        async with self._slots:
            small = [one for one in chunk if one.payload_bytes <= INLINE_BYTES_MAX]
            parcels = await asyncio.gather(*(self._pack(one) for one in small))
            ready = [parcel for parcel in parcels if parcel is not None]
            delivery.failed_count += len(parcels) - len(ready)
            size = sum(len(parcel.payload) for parcel in ready if parcel.payload is not None)
            await self.pace(size)
            await self._deliver(ready, delivery)
            for one in chunk:
                if one.payload_bytes > INLINE_BYTES_MAX:
                    await self._stream(one, delivery)

    # Small ones.

    async def _pack(self, transfer: Transfer) -> _Parcel | None:
        """Fetch the payload from the first source that can give it; None where none can."""
        if not transfer.payload_bytes:
            return _Parcel(transfer.entry, transfer.targets, None, transfer.ballot)
        for device in self._ordered(transfer):
            try:
                reply = await self.peers.of_device(device).read(
                    transfer.entry.key, (device,), ask=1, epoch=self.peers.epoch.number
                )
            except (Unavailable, Absent, CorruptRecord) as error:
                _log.info("source failed", extra={"device": device, "reason": str(error)})
                continue
            parcel = _parcel(transfer, reply) if reply.found else await self._pack_filling(device, transfer)
            if parcel is not None:
                return parcel
        return None

    async def _pack_filling(self, device: int, transfer: Transfer) -> _Parcel | None:
        """Fetch a payload from a device that fills: it answers no lookup, yet may hold what no other does."""
        entry = transfer.entry
        try:
            stream = await self.peers.of_device(device).payload(
                device, entry.key, entry.stamp, epoch=self.peers.epoch.number
            )
            try:
                pieces = [bytes(piece) async for piece in stream.chunks()]
            finally:
                stream.close()
        except (Unavailable, Absent, CorruptRecord) as error:
            _log.info("source failed", extra={"device": device, "reason": str(error)})
            return None
        return _Parcel(entry, transfer.targets, b"".join(pieces), transfer.ballot)

    def _ordered(self, transfer: Transfer) -> list[int]:
        """Return the sources in turn: one here first, others by a rotation that spreads the load."""
        sources = sorted(transfer.sources)
        start = transfer.entry.key[-1] % len(sources) if sources else 0
        turn = sources[start:] + sources[:start]
        local = self.peers.local_node
        return sorted(turn, key=lambda device: self.peers.epoch.node_of(device) != local)

    async def _deliver(self, parcels: Sequence[_Parcel], delivery: Delivery) -> None:
        by_node: dict[str, tuple[list[CommitWrite], list[Buffer]]] = {}
        for parcel in parcels:
            row = parcel.entry.to_row()
            for node, devices in self.peers.by_node(parcel.targets).items():
                writes, body = by_node.setdefault(node, ([], []))
                place = None
                if parcel.payload is not None:
                    place = len(body)
                    body.append(parcel.payload)
                write = CommitWrite(
                    parcel.entry.key, row, devices, 0, place, origin=Origin.REPAIR, ballot=parcel.ballot
                )
                writes.append(write)
        await asyncio.gather(
            *(self._commit(node, writes, body, delivery) for node, (writes, body) in by_node.items())
        )

    async def _commit(
        self, node: str, writes: Sequence[CommitWrite], body: Sequence[Buffer], delivery: Delivery
    ) -> None:
        try:
            answers = await self.peers.client(node).commit(
                writes, body, epoch=self.peers.epoch.number, deadline_ms=3 * CALL_DEADLINE_MS
            )
        except Unavailable as error:
            level = logging.INFO if isinstance(error, StaleRing) else logging.WARNING
            _log.log(level, "repair not delivered", extra={"node": node, "reason": str(error)})
            delivery.failed_count += len(writes)
            return
        for write, outcomes in zip(writes, answers, strict=True):
            for device, outcome, _ in outcomes:
                delivery.note(write.key, device, outcome)
            delivery.failed_count += len(write.devices) - len(outcomes)
        self._count(len(writes), sum(map(len, body)))

    def _count(self, entries: int, size: int) -> None:
        now = self.now_ms()
        self.entries.add(entries, now)
        self.bytes.add(size, now)

    # Large ones.

    async def _stream(self, transfer: Transfer, delivery: Delivery) -> None:
        """Send a large payload to each node that lacks it, from one source after the other until one can."""
        for node, devices in self.peers.by_node(transfer.targets).items():
            for source in self._ordered(transfer):
                try:
                    await self._stream_from(source, transfer, node, devices, delivery)
                    break
                except (Unavailable, Absent, CorruptRecord) as error:
                    _log.info("large copy failed", extra={"device": source, "reason": str(error)})
            else:
                delivery.failed_count += 1

    async def _stream_from(
        self, source: int, transfer: Transfer, node: str, devices: list[int], delivery: Delivery
    ) -> None:
        entry, number = transfer.entry, self.peers.epoch.number
        stream = await self.peers.of_device(source).payload(source, entry.key, entry.stamp, epoch=number)
        client = self.peers.client(node)
        session = await client.stage(devices, stream.length, epoch=number)
        try:
            async for chunk in stream.chunks():
                await self.pace(len(chunk))
                await session.send(bytes(chunk))
            staged = await session.finish()
            write = CommitWrite(
                entry.key,
                entry.to_row(),
                devices,
                0,
                None,
                staged,
                origin=Origin.REPAIR,
                ballot=transfer.ballot,
            )
            ((*outcomes,),) = await client.commit([write], epoch=number, deadline_ms=3 * CALL_DEADLINE_MS)
            for device, outcome, _ in outcomes:
                delivery.note(entry.key, device, outcome)
            self._count(1, stream.length)
        finally:
            session.close()
            stream.close()

    # Dropping.

    async def forget(self, drops: Iterable[Drop]) -> int:
        """Have devices forget entries that are still as they were seen; return how many were forgotten."""
        by_device: dict[int, list[Drop]] = {}
        for drop in drops:
            by_device.setdefault(drop.device, []).append(drop)
        count = 0
        for device, lot in by_device.items():
            for at in range(0, len(lot), FORGET_KEYS):
                keys = [(drop.key, drop.stamp) for drop in lot[at : at + FORGET_KEYS]]
                try:
                    count += await self.peers.of_device(device).forget(
                        device, keys, epoch=self.peers.epoch.number, deadline_ms=3 * CALL_DEADLINE_MS
                    )
                except Unavailable as error:
                    _log.info("not forgotten", extra={"device": device, "reason": str(error)})
        return count


def _parcel(transfer: Transfer, reply: ReadReply) -> _Parcel | None:
    """Return what a source gave, as the entry it holds now with the registers that were planned."""
    if reply.stream is not None:
        # It has grown beyond the inline limit since: the next comparison will find it.
        reply.stream.close()
        return None
    if not reply.found or reply.found[0].row is None:
        return None
    held = from_row(transfer.entry.key, reply.found[0].row)
    whole = merge(held, transfer.entry)
    if whole.stamp != held.stamp:
        return None
    if held.kind is Kind.DATA and reply.found[0].payload_bytes > 0 and reply.payload is None:
        return None
    payload = reply.payload if held.kind is Kind.DATA else None
    return _Parcel(whole, transfer.targets, payload, transfer.ballot)
