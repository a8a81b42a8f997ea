"""Reading the newest entry of a key from a majority of its homes, and finishing writes found half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model.entry import Entry, Kind, from_row, row_stamp
from model.errors import (
    Absent,
    CorruptRecord,
    NodeUnreachable,
    NotEnoughReplicas,
    StaleRing,
    Unavailable,
)
from model.stamp import Stamp
from objectd.contract import Origin
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import ReadQuorum
from proxy.operations.types import Buffer
from proxy.operations.write import PATIENCE_MS, RETRY_MS, Staged, Update, write

WHOLE: Final = (0, None)


@dataclass(slots=True)
class Found:
    """The newest entry of a key, on a majority of its homes.

    `payload` is all of its bytes where they were wanted and came inline. `holders` maps the devices
    with a good copy to the length of the payload in bytes, nearest first.
    """

    entry: Entry
    holders: dict[int, int] = field(default_factory=dict)
    payload: Buffer | None = None


async def find(nodes: Nodes, key: bytes, *, payload: bool = False) -> Found | None:
    """Return the newest entry of a key, tombstones too, or None where no home has any.

    Raises NotEnoughReplicas where no majority of homes answers for PATIENCE_MS.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_MS / 1000
    while True:
        lookup = _Lookup(nodes, key, payload=payload)
        try:
            return await lookup.run()
        except StaleNode as stale:
            await nodes.catch_up(stale.node, stale.cause)
        except NotEnoughReplicas:
            # A node that restarts refuses, then is gone, then opens its devices: all of it passes.
            if loop.time() > give_up:
                raise
            await asyncio.sleep(RETRY_MS / 1000)


class _Lookup:
    """One try at a key."""

    def __init__(self, nodes: Nodes, key: bytes, *, payload: bool) -> None:
        self.nodes = nodes
        self.key = key
        self.epoch = nodes.epoch
        self.quorum = ReadQuorum(self.epoch.read_homes(key[1:17]))
        self.span: tuple[int, int | None] | None = WHOLE if payload else None
        self._rows: dict[int, bytes | None] = {}
        self._lengths: dict[int, int] = {}
        self._failed: set[int] = set()
        self._payload: tuple[Stamp, Buffer] | None = None

    async def run(self) -> Found | None:
        await self._ask(self.quorum.homes, self.quorum.needed)
        while not self.quorum.enough:
            rest = self.quorum.unasked([*self.quorum.answers, *self._failed])
            if not rest:
                raise NotEnoughReplicas(
                    f"{len(self.quorum.answers)} of {self.quorum.needed} replicas needed answer"
                )
            await self._ask(rest, self.quorum.needed - len(self.quorum.answers))
        newest = self.quorum.newest()
        if newest is None:
            return None
        if len(self.quorum.holders(newest)) < self.quorum.needed:
            newest = await self._agree(newest)
        return await self._found(newest)

    async def _ask(self, devices: Sequence[int], count: int) -> None:
        """Look the key up on `count` of the devices, each node asked once; only the first sends bytes."""
        calls: list[tuple[str, list[int], asyncio.Future[Any]]] = []
        for node, owned in self.nodes.by_node(devices).items():
            if count <= 0:
                break
            ask = min(len(owned), count)
            span = self.span if not calls and self._payload is None else None
            try:
                call = self.nodes.client(node).submit_read(
                    self.key, owned, ask=ask, epoch=self.epoch.number, span=span
                )
            except Unavailable as error:
                self._node_failed(node, owned, error)
                continue
            calls.append((node, owned, call))
            count -= ask
        for node, owned, call in calls:
            try:
                reply = await call
            except StaleRing as error:
                raise StaleNode(node, error) from error
            except Unavailable as error:
                self._node_failed(node, owned, error)
            else:
                self._answered(owned, reply.head, reply.body)

    def _node_failed(self, node: str, owned: Sequence[int], error: Unavailable) -> None:
        if isinstance(error, NodeUnreachable):
            self.nodes.note_down(node)
        self._failed.update(owned)

    def _answered(self, owned: Sequence[int], head: Any, body: Buffer) -> None:
        found, payload_device, _ = head
        first: tuple[bytes, Entry] | None = None
        for device, row, payload_bytes in found:
            self._rows[device] = row
            self._lengths[device] = payload_bytes
            if row is None:
                self.quorum.answered(device, None)
                continue
            # Replicas in step hold the same row: decode it once.
            if first is None or first[0] != row:
                first = (row, from_row(self.key, row))
            self.quorum.answered(device, first[1])
        if not found:
            # The node answers, its devices do not.
            self._failed.update(owned)
        if payload_device is not None and self.span is not None:
            row = self._rows[payload_device]
            length = self._lengths[payload_device]
            if row is not None and len(body) == length:
                self._payload = (row_stamp(row), body)

    async def _agree(self, newest: Entry) -> Entry:
        """See whether homes not asked yet hold the newest too; else write it to more of them."""
        rest = self.quorum.unasked([*self.quorum.answers, *self._failed])
        if rest:
            await self._ask(rest, len(rest))
            newest = self.quorum.newest() or newest
        holders = self.quorum.holders(newest)
        if len(holders) >= self.quorum.needed:
            return newest
        found = await self._found(newest)
        lagging = tuple(self.quorum.laggards(newest))
        try:
            await finish_write(self.nodes, found, lagging, needed=self.quorum.needed - len(holders))
        except Unavailable as error:
            # A node that restarts just now: the lookup is worth another try, as when it cannot be asked.
            raise NotEnoughReplicas(str(error)) from error
        return newest

    async def _found(self, newest: Entry) -> Found:
        holders = {
            device: self._lengths[device]
            for device, entry in self.quorum.answers.items()
            if entry is not None and entry.stamp == newest.stamp and self._lengths[device] >= 0
        }
        found = Found(newest, holders)
        if self._payload is not None and self._payload[0] == newest.stamp:
            found.payload = self._payload[1]
        return found


async def finish_write(nodes: Nodes, found: Found, lagging: Sequence[int], *, needed: int) -> None:
    """Write an entry to homes that lack it, so that no later reader goes back in time.

    Raises NotEnoughReplicas where fewer than `needed` of them take it.
    """
    entry = found.entry
    length = max(found.holders.values(), default=0)
    done = 0
    for device in lagging:
        if entry.kind is Kind.DATA and length > 0:
            done += await _copy_with_bytes(nodes, found, device, length)
        else:
            update = Update(entry, origin=Origin.REPAIR, only=(device,))
            done += (await write(nodes, (update,), patience_ms=0))[0].durable
        if done >= needed:
            return
    raise NotEnoughReplicas(f"a write seen on a minority reached {done} of {needed} more replicas")


async def _copy_with_bytes(nodes: Nodes, found: Found, device: int, length: int) -> bool:
    if found.payload is not None:
        update = Update(found.entry, found.payload, origin=Origin.REPAIR, only=(device,))
        return (await write(nodes, (update,), patience_ms=0))[0].durable
    client = nodes.client(nodes.epoch.node_of(device))
    session = await client.stage((device,), length, epoch=nodes.epoch.number)
    try:
        async for chunk in read_payload(nodes, found, 0, length):
            await session.send(bytes(chunk))
        ids = await session.finish()
        staged = Staged(ids, {nodes.epoch.node_of(device): session})
        update = Update(found.entry, staged=staged, origin=Origin.REPAIR, only=(device,))
        return device in ids and (await write(nodes, (update,), patience_ms=0))[0].durable
    finally:
        session.close()


async def read_payload(nodes: Nodes, found: Found, offset: int, length: int) -> AsyncIterator[Buffer]:
    """Yield a span of an object's bytes, going on from another replica where one fails.

    Raises NotEnoughReplicas where no replica is left to go on from.
    """
    if found.payload is not None:
        yield memoryview(found.payload)[offset : offset + length]
        return
    sent = 0
    last_error: Exception | None = None
    for device in await _sources(nodes, found):
        client = nodes.client(nodes.epoch.node_of(device))
        stream = None
        try:
            stream = await client.payload(
                device,
                found.entry.key,
                found.entry.stamp,
                epoch=nodes.epoch.number,
                offset=offset + sent,
                length=length - sent,
            )
            async for chunk in stream.chunks():
                sent += len(chunk)
                yield chunk
        except StaleRing as error:
            await nodes.catch_up(nodes.epoch.node_of(device), error)
            last_error = error
        except (Unavailable, Absent, CorruptRecord) as error:
            last_error = error
        finally:
            if stream is not None:
                stream.close()
        if sent >= length:
            return
    raise NotEnoughReplicas(f"no replica can give the rest of the object: {last_error}")


async def _sources(nodes: Nodes, found: Found) -> list[int]:
    """Return the devices to read from in turn: holders, then the other homes, then holders again."""
    order = {device: None for owned in nodes.by_node(found.holders).values() for device in owned}
    known = [device for device in order if not nodes.absent(device)] or list(order)
    others = [device for device in nodes.epoch.read_homes(found.entry.digest) if device not in found.holders]
    return known + others + known
