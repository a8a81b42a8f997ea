"""Taking a ballot for an object and settling what its homes hold: what every conditional write begins with.

Also what anybody does whom a promise refuses whose proposer died: a reader that cannot finish a write, a
plain write that came too late.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from random import Random
from typing import Final

from model.entry import Entry, Kind, from_row
from model.errors import Contended, NotEnoughReplicas, StaleRing, Unavailable
from model.names import object_key
from model.promises import Decision, Next, Promised, anew, decide
from model.stamp import Stamp
from objectd.contract import INLINE_BYTES_MAX, PrepareReply
from proxy.operations.body import receive
from proxy.operations.consensus import Ballot, Standing
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import Verdict
from proxy.operations.read import Found, finish_write, read_payload
from proxy.operations.types import StreamedBody
from proxy.operations.write import PATIENCE_MS, Update, write

GRACE_MS: Final = 250
"""How long homes beyond a majority are waited for where their answers would spare a copy."""
BALLOT_MS: Final = 5_000
"""A ballot older than this is not used any more: a device may have been replaced, and forgotten it."""
TRIES_MAX: Final = 40
BACKOFF_MS: Final = 4
BACKOFF_MS_MAX: Final = 250

_log = logging.getLogger(__name__)


class Lost(Exception):
    """The ballot was overtaken by another, or its ring was: take a new one."""


@dataclass(slots=True)
class Round:
    """A ballot that a majority of every home set promised, and what is settled under it."""

    nodes: Nodes
    digest: bytes
    stamp: Stamp
    epoch: int
    began_s: float
    ballot: Ballot
    also: bytes | None = None
    lengths: dict[bytes, dict[int, int]] = field(default_factory=dict)
    state: tuple[Entry, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a write may still go out under the ballot."""
        young = asyncio.get_running_loop().time() - self.began_s < BALLOT_MS / 1000
        return young and self.nodes.epoch.number == self.epoch


class Tries:
    """Paces the rounds of one operation: pauses by chance, longer with each, and gives up in the end."""

    def __init__(self, nodes: Nodes) -> None:
        self._count = 0
        self._chance = Random(nodes.clock.next())
        self._give_up_s = asyncio.get_running_loop().time() + PATIENCE_MS / 1000

    async def pause(self, error: Exception) -> None:
        """Wait a moment. Raises the error, or Contended for a lost ballot, once that has been enough."""
        self._count += 1
        late = asyncio.get_running_loop().time() > self._give_up_s
        if late or (self._count > TRIES_MAX and isinstance(error, Lost)):
            if isinstance(error, Lost):
                raise Contended("others write the same object on conditions, again and again") from error
            raise error
        pause_ms = self._chance.uniform(1, min(BACKOFF_MS_MAX, BACKOFF_MS << min(self._count, 8)))
        await asyncio.sleep(pause_ms / 1000)


async def settle(nodes: Nodes, digest: bytes) -> tuple[Entry, ...]:
    """Settle what the homes of an object hold, and return it. Raises NotEnoughReplicas."""
    tries = Tries(nodes)
    while True:
        try:
            return (await begin(nodes, digest)).state
        except (Lost, NotEnoughReplicas) as error:
            try:
                await tries.pause(error)
            except Contended as contended:
                raise NotEnoughReplicas(str(contended)) from contended


async def begin(nodes: Nodes, digest: bytes, *, also: bytes | None = None) -> Round:
    """Take a ballot and settle what is there, a version of the key `also` too.

    Raises Lost, NotEnoughReplicas.
    """
    found = await _prepare(nodes, digest, also)
    try:
        while True:
            decision = _decide(found)
            if decision.step is Next.SETTLED:
                found.state = decision.state
                return found
            assert decision.entry is not None
            if decision.step is Next.FINISH:
                await _finish(found, decision.entry)
            elif decision.step is Next.ANEW:
                await _write_anew(found, decision.entry)
                raise Lost("what was there was written anew under this ballot")
            else:
                raise NotEnoughReplicas("a home that does not answer may hold a newer version")
    except StaleRing as error:
        raise Lost(str(error)) from error
    except NotEnoughReplicas:
        raise
    except Unavailable as error:
        raise NotEnoughReplicas(str(error)) from error


def _decide(found: Round) -> Decision:
    nodes, digest = found.nodes, found.digest
    replies = found.ballot.replies
    return decide(found.ballot.sets, nodes.read_sets(digest), replies, object_key(digest), also=found.also)


# Preparing.


async def _prepare(nodes: Nodes, digest: bytes, also: bytes | None) -> Round:
    stamp = nodes.clock.next()
    epoch = nodes.epoch
    loop = asyncio.get_running_loop()
    ballot = Ballot(epoch.home_sets(digest))
    found = Round(nodes, digest, stamp, epoch.number, loop.time(), ballot, also)
    calls = {
        asyncio.ensure_future(
            nodes.client(node).prepare(digest, owned, stamp, epoch=epoch.number, also=also)
        ): (
            node,
            owned,
        )
        for node, owned in nodes.by_node(ballot.homes).items()
    }
    waiting = set(calls)
    grace_s: float | None = None
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            for call, (node, owned) in calls.items():
                if call in done:
                    _note(found, node, owned, call)
            if not done or _is_enough(found, settled_only=bool(waiting)):
                break
            if ballot.standing() is Standing.GRANTED:
                grace_s = GRACE_MS / 1000
    except StaleNode as stale:
        await nodes.catch_up(stale.node, stale.cause)
        raise Lost("the ring has changed") from stale
    finally:
        for call in calls:
            if call in waiting:
                nodes.keep(call)
    standing = ballot.standing()
    if standing is Standing.GRANTED:
        if nodes.epoch.number != found.epoch:
            raise Lost("the ring has changed")
        return found
    if standing is Standing.REFUSED:
        nodes.clock.observe(ballot.newest)
        raise Lost("another ballot is newer")
    raise NotEnoughReplicas(f"{len(ballot.replies)} of {len(ballot.homes)} replicas promise")


def _is_enough(found: Round, *, settled_only: bool) -> bool:
    standing = found.ballot.standing()
    if standing is not Standing.GRANTED:
        return standing is not Standing.WAITING
    return not settled_only or _decide(found).step in (Next.SETTLED, Next.FINISH)


def _note(found: Round, node: str, owned: list[int], call: asyncio.Future[list[PrepareReply]]) -> None:
    try:
        answers = {one.device: one for one in call.result()}
    except StaleRing as error:
        raise StaleNode(node, error) from error
    except Unavailable as error:
        _log.info("no promise", extra={"node": node, "reason": str(error)})
        answers = {}
    for device in owned:
        one = answers.get(device)
        if one is None:
            found.ballot.failed(device)
        elif one.granted:
            held: dict[bytes, Entry] = {}
            for key, row, payload_bytes in one.entries:
                held[key] = from_row(key, row)
                found.lengths.setdefault(key, {})[device] = payload_bytes
            found.ballot.granted(device, Promised(one.before, held))
        else:
            found.ballot.refused(device, one.newest)


# Finishing what others began.


def _found(found: Round, entry: Entry) -> Found:
    lengths = found.lengths.get(entry.key, {})
    holders = {
        device: lengths[device]
        for device, reply in found.ballot.replies.items()
        if entry.key in reply.held
        and reply.held[entry.key].stamp == entry.stamp
        and lengths.get(device, -1) >= 0
    }
    return Found(entry, holders)


async def _finish(found: Round, entry: Entry) -> None:
    """Bring an entry to a majority as it is. Raises Lost where another ballot forbids it."""
    replies = found.ballot.replies
    lagging = {
        device: reply.held.get(entry.key)
        for device, reply in replies.items()
        if reply.held.get(entry.key) != entry
    }
    verdicts = await finish_write(
        found.nodes, _found(found, entry), lagging, under=(found.stamp, found.epoch)
    )
    for device, verdict in verdicts.items():
        if verdict is Verdict.DURABLE:
            replies[device] = Promised(replies[device].previous, {**replies[device].held, entry.key: entry})
    if _decide(found).entry == entry:
        raise Lost("what was there could not be brought to a majority")


async def _write_anew(found: Round, entry: Entry) -> None:
    nodes = found.nodes
    update = Update(anew(entry, found.stamp), ballot=found.stamp)
    source = _found(found, entry)
    length = max(source.holders.values(), default=0 if entry.kind is not Kind.DATA else -1)
    if length < 0:
        raise NotEnoughReplicas("no replica has a good copy of the bytes")
    received = None
    if length:
        body = StreamedBody(read_payload(nodes, source, 0, length, patience_ms=0), length)
        received = await receive(nodes, entry.key, body, (), inline_bytes_max=INLINE_BYTES_MAX)
        update = update._replace(payload=received.payload, staged=received.staged)
    try:
        (written,) = await write(nodes, (update,), patience_ms=0, epoch=found.epoch)
    finally:
        if received is not None:
            received.close()
    if written.verdict is not Verdict.DURABLE:
        raise Lost("what was there could not be written anew")


__all__ = ["Lost", "Round", "Tries", "begin", "settle"]
