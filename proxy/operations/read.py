"""Reading the newest entry of a key from a majority of its homes, and finishing writes found half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from model.entry import Entry, Kind, Table, from_row, only_sides
from model.errors import (
    Absent,
    CorruptRecord,
    NodeUnreachable,
    NotEnoughReplicas,
    StaleRing,
    Unavailable,
)
from model.stamp import ZERO, Stamp, just_after
from objectd.contract import INLINE_BYTES_MAX, Origin, Outcome
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import ReadQuorum, Verdict
from proxy.operations.types import Buffer
from proxy.operations.write import PATIENCE_MS, RETRY_MS, Staged, Update, write

WHOLE: Final = (0, None)
Result = TypeVar("Result")
_CONTAINERS: Final = (Table.CONTAINER, Table.ACCOUNT)


@dataclass(slots=True)
class Found:
    """The newest entry of a key, on a majority of its homes.

    `payload` is all of its bytes where they were wanted and came inline. `holders` maps the devices
    with a good copy to the length of the payload in bytes, nearest first.
    """

    entry: Entry
    holders: dict[int, int] = field(default_factory=dict)
    payload: Buffer | None = None


class Overtaken(Exception):
    """What was found is hidden by something newer meanwhile: look again."""


class Promised(Exception):
    """A home has promised a conditional write to take nothing that old: settle the object first."""


async def find(nodes: Nodes, key: bytes, *, payload: bool = False) -> Found | None:
    """Return the newest entry of a key, tombstones too, or None where no home has any.

    Raises NotEnoughReplicas where no majority of homes answers for PATIENCE_MS.
    """
    lookup = _Lookup(nodes, key, payload=payload)
    try:
        return await lookup.run()
    except (StaleNode, NotEnoughReplicas, Overtaken) as error:
        return await patiently(nodes, lambda: _Lookup(nodes, key, payload=payload).run(), error)


async def patiently(nodes: Nodes, attempt: Callable[[], Awaitable[Result]], error: Exception) -> Result:
    """Try a lookup again that failed by what passes, for PATIENCE_MS. Raises NotEnoughReplicas."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_MS / 1000
    while True:
        caught_up = isinstance(error, StaleNode) and await nodes.catch_up(error.node, error.cause)
        if loop.time() > give_up:
            raise NotEnoughReplicas(str(error)) from error
        if not caught_up and not isinstance(error, Overtaken):
            # A node that restarts refuses, then is gone, then opens its devices: all of it passes.
            await asyncio.sleep(RETRY_MS / 1000)
        try:
            return await attempt()
        except (StaleNode, NotEnoughReplicas, Overtaken) as again:
            error = again


class _Lookup:
    """One try at a key."""

    __slots__ = ("_failed", "_lengths", "_payload", "_stale", "epoch", "key", "nodes", "quorum", "span")

    def __init__(self, nodes: Nodes, key: bytes, *, payload: bool) -> None:
        self.nodes = nodes
        self.key = key
        self.epoch = nodes.epoch
        self.quorum = ReadQuorum(nodes.read_sets(key[1:17]))
        self.span: tuple[int, int | None] | None = WHOLE if payload else None
        self._lengths: dict[int, int] = {}
        self._failed: set[int] = set()
        self._payload: tuple[Stamp, Buffer] | None = None
        self._stale: StaleNode | None = None

    async def run(self) -> Found | None:
        quorum = self.quorum
        await self._ask(quorum.homes, self._wanted(quorum.homes))
        while not quorum.enough:
            rest = tuple(quorum.unasked([*quorum.answers, *self._failed]))
            if self._stale is not None:
                raise self._stale
            if not rest:
                raise NotEnoughReplicas(f"{len(quorum.answers)} of {len(quorum.homes)} replicas answer")
            await self._ask(rest, self._wanted(rest))
        newest = quorum.newest()
        if newest is None:
            return None
        if quorum.lacking(quorum.holders(newest)) > 0:
            newest = await self._agree(newest)
        return self._found(newest)

    def _wanted(self, devices: Sequence[int]) -> int:
        """Return how many of the devices to ask: of two home sets, all."""
        if len(self.quorum.home_sets) > 1:
            return len(devices)
        return self.quorum.lacking(self.quorum.answers)

    async def _ask(self, devices: tuple[int, ...], count: int) -> None:
        """Look the key up on `count` of the devices, each node asked once; only the first sends bytes."""
        calls: list[tuple[str, Sequence[int], int, asyncio.Future[Any]]] = []
        for node, owned in self.nodes.homes_by_node(devices).items():
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
            calls.append((node, owned, ask, call))
            count -= ask
        for node, owned, ask, call in calls:
            try:
                reply = await call
            except StaleRing as error:
                self._stale = StaleNode(node, error)
                self._failed.update(owned)
            except Unavailable as error:
                self._node_failed(node, owned, error)
            else:
                self._answered(owned, ask, reply.head, reply.body)

    def _node_failed(self, node: str, owned: Sequence[int], error: Unavailable) -> None:
        if isinstance(error, NodeUnreachable):
            self.nodes.note_down(node)
        self._failed.update(owned)

    def _answered(self, owned: Sequence[int], ask: int, head: Any, body: Buffer) -> None:
        found, payload_device, _ = head
        answers, lengths = self.quorum.answers, self._lengths
        held: bytes | None = None
        entry: Entry | None = None
        for device, row, payload_bytes in found:
            lengths[device] = payload_bytes
            # Replicas in step hold the same row: decode it once.
            if row is not None and row != held:
                held, entry = row, from_row(self.key, row)
            answers[device] = None if row is None else entry
        if len(found) < ask:
            # The node answers, the devices missing here do not: what they hold is unknown.
            self._failed.update(device for device in owned if device not in answers)
        if payload_device is not None and self.span is not None:
            entry = answers[payload_device]
            if entry is not None and len(body) == lengths[payload_device]:
                self._payload = (entry.stamp, body)

    async def _agree(self, newest: Entry) -> Entry:
        """See whether homes not asked yet hold the newest too; else write it to more of them."""
        quorum = self.quorum
        rest = tuple(quorum.unasked([*quorum.answers, *self._failed]))
        if rest:
            await self._ask(rest, len(rest))
            newest = quorum.newest() or newest
        holders = quorum.holders(newest)
        if quorum.lacking(holders) <= 0:
            return newest
        lagging = {device: held for device, held in quorum.answers.items() if device not in holders}
        try:
            verdicts = await finish_write(self.nodes, self._found(newest), lagging)
        except Promised:
            from proxy.operations.settling import settle

            await settle(self.nodes, self.key[1:17])
            raise Overtaken from None
        except Unavailable as error:
            # A node that restarts just now: the lookup is worth another try, as when it cannot be asked.
            raise NotEnoughReplicas(str(error)) from error
        holders += [device for device, verdict in verdicts.items() if verdict is Verdict.DURABLE]
        if quorum.lacking(holders) <= 0:
            return newest
        if Verdict.HIDDEN in verdicts.values():
            raise Overtaken
        if newest.kind is Kind.TOMBSTONE and newest.table in _CONTAINERS:
            await self._void_deletion()
        raise NotEnoughReplicas("a write seen on a minority could not be brought to a majority")

    async def _void_deletion(self) -> None:
        """Bring back a container whose deletion some home refused since it lists an object."""
        living = [entry for entry in self.quorum.answers.values() if entry and entry.kind is Kind.DATA]
        if living:
            last = max(living, key=lambda entry: entry.stamp)
            for entry in self.quorum.answers.values():
                self.nodes.clock.observe(entry.newest if entry else ZERO)
            await write(self.nodes, (Update(revived(last, self.nodes.clock.next())),), patience_ms=0)
            raise Overtaken

    def _found(self, newest: Entry) -> Found:
        lengths = self._lengths
        holders = {
            device: lengths[device]
            for device, entry in self.quorum.answers.items()
            if entry is not None and entry.stamp == newest.stamp and lengths[device] >= 0
        }
        payload = self._payload
        if payload is not None and payload[0] == newest.stamp:
            return Found(newest, holders, payload[1])
        return Found(newest, holders)


def revived(entry: Entry, stamp: Stamp) -> Entry:
    """Return an entry with all it has under a new stamp."""
    after = just_after(stamp)
    sides = {name: (after, value) for name, (_, value) in entry.sides.items()}
    return Entry(entry.key, stamp, entry.kind, entry.size, entry.value, sides)


async def finish_write(
    nodes: Nodes,
    found: Found,
    lagging: Mapping[int, Entry | None],
    *,
    under: tuple[Stamp, int] | None = None,
) -> dict[int, Verdict]:
    """Write an entry to homes that lack it, so that no later reader goes back in time.

    `lagging` is what each of them holds, and `under` a ballot that they promised, with its epoch. Returns
    what became of each. Raises NotEnoughReplicas where no good copy of the bytes is known, and
    Promised where a home refuses for a promise.
    """
    ballot, epoch = under or (None, None)
    newest = found.entry
    behind = [device for device, held in lagging.items() if held is None or held.stamp != newest.stamp]
    # Where only a later metadata update is missing, the bytes stay where they are.
    sides = Update(only_sides(newest.key, newest.sides), origin=Origin.REPAIR, ballot=ballot)
    updates = [sides._replace(only=(device,)) for device in lagging if device not in behind]
    verdicts: dict[int, Verdict] = {}
    if behind and newest.kind is Kind.DATA and max(found.holders.values(), default=-1) != 0:
        length = max(found.holders.values(), default=-1)
        if length < 0:
            raise NotEnoughReplicas("no replica has a good copy of the bytes")
        if length > INLINE_BYTES_MAX:
            for device in behind:
                verdicts[device] = await _copy_staged(nodes, found, device, length, ballot)
            behind = []
        elif found.payload is None:
            pieces = [bytes(chunk) async for chunk in read_payload(nodes, found, 0, length, patience_ms=0)]
            found.payload = b"".join(pieces)
    # The deletion of a container is finished only where it lists nothing, as it was begun.
    if_empty = newest.kind is Kind.TOMBSTONE and newest.table in _CONTAINERS
    origin = Origin.CLIENT if if_empty else Origin.REPAIR
    whole = Update(newest, found.payload, if_empty=if_empty, origin=origin, ballot=ballot)
    updates += [whole._replace(only=(device,)) for device in behind]
    written = await write(nodes, updates, patience_ms=0, epoch=epoch) if updates else []
    for update, one in zip(updates, written, strict=True):
        assert update.only is not None
        verdicts[update.only[0]] = one.verdict
        if ballot is None and Outcome.PROMISED in one.refusals:
            raise Promised
    return verdicts


async def _copy_staged(nodes: Nodes, found: Found, device: int, length: int, ballot: Stamp | None) -> Verdict:
    client = nodes.client(nodes.epoch.node_of(device))
    session = await client.stage((device,), length, epoch=nodes.epoch.number)
    try:
        async for chunk in read_payload(nodes, found, 0, length, patience_ms=0):
            await session.send(bytes(chunk))
        staged = Staged(await session.finish(), {nodes.epoch.node_of(device): session})
        update = Update(found.entry, staged=staged, origin=Origin.REPAIR, only=(device,), ballot=ballot)
        (written,) = await write(nodes, (update,), patience_ms=0)
        if ballot is None and Outcome.PROMISED in written.refusals:
            raise Promised
        return written.verdict
    finally:
        session.close()


async def read_payload(
    nodes: Nodes, found: Found, offset: int, length: int, *, patience_ms: int = PATIENCE_MS
) -> AsyncIterator[Buffer]:
    """Yield a span of an object's bytes, going on from another replica where one fails.

    Where all fail by what passes, as a node that restarts, they are tried again until nothing has come
    for `patience_ms`.
    Raises NotEnoughReplicas where no replica is left to go on from.
    """
    if found.payload is not None:
        yield memoryview(found.payload)[offset : offset + length]
        return
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_ms / 1000
    sent = 0
    while True:
        passing = False
        error: Exception | None = None
        sent_before = sent
        for device in _sources(nodes, found):
            if not nodes.epoch.knows(device):
                continue
            stream = None
            try:
                node = nodes.epoch.node_of(device)
                stream = await nodes.client(node).payload(
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
            except StaleRing as stale:
                error, passing = stale, True
                await nodes.catch_up(node, stale)
            except Unavailable as unavailable:
                error, passing = unavailable, True
            except (Absent, CorruptRecord) as lost:
                error = lost
            finally:
                if stream is not None:
                    stream.close()
            if sent >= length:
                return
        if sent > sent_before:
            give_up = loop.time() + patience_ms / 1000
        if not passing or loop.time() > give_up:
            raise NotEnoughReplicas(f"no replica can give the rest of the object: {error}")
        await asyncio.sleep(RETRY_MS / 1000)


def _sources(nodes: Nodes, found: Found) -> list[int]:
    """Return the devices to read from in turn: holders, then the other homes, then holders again."""
    # The ring may have changed since they were found, and have let some of them go.
    holders = [device for device in found.holders if nodes.epoch.knows(device)]
    order = {device: None for owned in nodes.by_node(holders).values() for device in owned}
    known = [device for device in order if not nodes.absent(device)] or list(order)
    others = [device for device in nodes.epoch.read_homes(found.entry.digest) if device not in order]
    return known + others + known
