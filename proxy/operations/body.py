"""Receiving the body of a new object: whole in memory where it is small, staged on its homes where not.

Memory stays bounded: a large body is sent on chunk by chunk, to all nodes at the pace of the
slowest that still keeps up, while a thread hashes the same chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from model.errors import DeviceFull, IncompleteBody, NotEnoughReplicas, StaleRing, Unavailable
from objectd.client import StageSession
from proxy.operations.digester import Digester
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import Verdict, WriteQuorum
from proxy.operations.sealing import BodySealer
from proxy.operations.types import BodySource, Buffer, Digests
from proxy.operations.write import Staged


@dataclass(slots=True)
class ReceivedBody:
    """A whole body: `payload` in memory, or `staged` on devices; neither where it is empty."""

    digests: Digests
    payload: Buffer | None = None
    staged: Staged | None = None

    def close(self) -> None:
        """Throw away what was staged and not committed."""
        if self.staged is not None:
            self.staged.close()


async def receive(
    nodes: Nodes,
    key: bytes,
    body: BodySource,
    algorithms: tuple[str, ...],
    *,
    inline_bytes_max: int,
    sealer: BodySealer | None = None,
) -> ReceivedBody:
    """Take in a body that will be stored under a key, sealed on its way where a sealer is given.

    Raises IncompleteBody where it is shorter than its declared length, what the body itself
    raises, and DeviceFull or NotEnoughReplicas where no majority of homes can take the bytes.
    """
    digester = Digester(algorithms)
    held: list[Buffer] = []
    held_bytes = 0
    chunks = body.chunks()
    async for chunk in chunks:
        held.append(chunk)
        held_bytes += len(chunk)
        if held_bytes > inline_bytes_max:
            length = body.length if sealer is None else sealer.length(body.length)
            staging = await _Staging.begin(nodes, key, length)
            staging.sealer = sealer
            try:
                return await _stage_rest(staging, digester, held, _Chunks(chunks, body.length))
            except BaseException:
                staging.close()
                raise
    _check_length(held_bytes, body.length)
    if not held:
        return ReceivedBody(digester.digests())
    # A body of known length comes as one buffer: then nothing is copied on its way to the nodes.
    payload = held[0] if len(held) == 1 else b"".join(held)
    await digester.update(payload)
    if sealer is not None and held_bytes:
        payload = await sealer.whole(payload)
    return ReceivedBody(digester.digests(), payload if held_bytes else None)


async def _stage_rest(
    staging: _Staging, digester: Digester, held: list[Buffer], rest: _Chunks
) -> ReceivedBody:
    while held:
        await staging.send(held.pop(0), digester)
    async for chunk in rest.chunks:
        await staging.send(chunk, digester)
    digests = digester.digests()
    _check_length(digests.size, rest.length)
    return ReceivedBody(digests, staged=await staging.finish())


def _check_length(size: int, length: int | None) -> None:
    if length is not None and size != length:
        raise IncompleteBody(f"the body ended after {size} of {length} bytes")


@dataclass(frozen=True, slots=True)
class _Chunks:
    chunks: AsyncIterator[Buffer]
    length: int | None


class _Staging:
    """The bytes of one object on their way to every node that has a home of it."""

    def __init__(self, quorum: WriteQuorum) -> None:
        self._quorum = quorum
        self._by_session: dict[StageSession, list[int]] = {}
        self._nodes: dict[StageSession, str] = {}
        self._last_error: Unavailable | None = None
        self.sealer: BodySealer | None = None

    @property
    def sessions(self) -> list[StageSession]:
        """The sessions still open."""
        return list(self._by_session)

    @classmethod
    async def begin(cls, nodes: Nodes, key: bytes, length: int | None) -> _Staging:
        """Open a session on each node with a home of the key (or a stand-in for one that is absent)."""
        digest = key[1:17]
        sets = nodes.epoch.home_sets(digest)
        staging = cls(WriteQuorum(sets))
        number = nodes.epoch.number
        homes = list({device: None for one in sets for device in one})
        for node, devices in nodes.by_node([*homes, *nodes.stand_ins(digest, homes)]).items():
            try:
                session = await nodes.client(node).stage(devices, length, epoch=number)
            except Unavailable as error:
                nodes.note_down(node)
                staging._fail(devices, error)
            else:
                staging._by_session[session] = list(devices)
                staging._nodes[session] = node
        # A node at another epoch refuses what is staged, which shows only when the body has been sent.
        stale = await staging._stale(nodes, number)
        if stale is None or not await nodes.catch_up(stale.node, stale.cause):
            return staging
        staging.close()
        return await cls.begin(nodes, key, length)

    async def _stale(self, nodes: Nodes, number: int) -> StaleNode | None:
        names = list(self._nodes.values())
        answers = await asyncio.gather(
            *(nodes.client(node).epoch() for node in names), return_exceptions=True
        )
        for node, answer in zip(names, answers, strict=True):
            if isinstance(answer, int) and answer != number:
                return StaleNode(node, StaleRing(answer))
        return None

    async def send(self, chunk: Buffer, digester: Digester) -> None:
        """Send a chunk to every node and hash it meanwhile; a node that fails is left behind."""
        sent = chunk if self.sealer is None else await self.sealer.update(chunk)
        sends = [session.send(sent) for session in self._by_session] if sent else []
        *outcomes, hashed = await asyncio.gather(*sends, digester.update(chunk), return_exceptions=True)
        if isinstance(hashed, BaseException):
            raise hashed
        if sends:
            self._note_all(outcomes)

    async def finish(self) -> Staged:
        """Return where the bytes wait, all of them on stable storage."""
        if self.sealer is not None and (rest := self.sealer.finish()):
            sends = [session.send(rest) for session in self._by_session]
            self._note_all(await asyncio.gather(*sends, return_exceptions=True))
        sessions = self.sessions
        outcomes = await asyncio.gather(*(one.finish() for one in sessions), return_exceptions=True)
        staged: dict[int, int] = {}
        for session, outcome in zip(sessions, outcomes, strict=True):
            if isinstance(outcome, dict):
                missing = [device for device in self._by_session[session] if device not in outcome]
                self._fail(missing, None)
                staged |= outcome
            else:
                self._note(session, outcome)
        return Staged(staged, {self._nodes[session]: session for session in self._by_session})

    def _note_all(self, outcomes: Sequence[object]) -> None:
        for session, outcome in zip(self.sessions, outcomes, strict=True):
            self._note(session, outcome)

    def _note(self, session: StageSession, outcome: object) -> None:
        if isinstance(outcome, Unavailable):
            session.close()
            self._fail(self._by_session.pop(session), outcome)
        elif isinstance(outcome, BaseException):
            raise outcome

    def _fail(self, devices: Iterable[int], error: Unavailable | None) -> None:
        self._last_error = error or self._last_error
        for device in devices:
            self._quorum.failed(device)
        if self._quorum.verdict() is Verdict.FAILED:
            if isinstance(self._last_error, DeviceFull):
                raise self._last_error
            raise NotEnoughReplicas(f"too few devices can take the object: {self._last_error}")

    def close(self) -> None:
        """Throw away what was sent."""
        for session in self._by_session:
            session.close()
