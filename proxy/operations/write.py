"""Writing entries to a durable majority of their homes, in one message for each node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model.entry import Entry
from model.errors import NodeUnreachable, StaleRing, Unavailable
from model.stamp import ZERO, Stamp
from objectd.client import StageSession
from objectd.contract import CommitWrite, Origin, Outcome, unpack_commit_reply
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import Verdict, WriteQuorum, majority
from proxy.operations.types import Buffer

PATIENCE_MS: Final = 10_000
"""How long a request outlasts nodes that restart before it fails."""
RETRY_MS: Final = 40

_DURABLE: Final = frozenset((Outcome.STORED, Outcome.KNOWN, Outcome.SUPERSEDED))
_FINAL: Final = frozenset((Outcome.FULL, Outcome.NO_CONTAINER, Outcome.NOT_EMPTY))
"""Refusals that asking again does not change."""
_DEVICE_TROUBLE: Final = frozenset((Outcome.FULL, Outcome.FAILED))


@dataclass(frozen=True, slots=True)
class Staged:
    """A payload that its nodes have: the staging id on each device, and the session with each node."""

    ids: Mapping[int, int]
    sessions: Mapping[str, StageSession]

    def close(self) -> None:
        """Throw away what no commit has taken."""
        for session in self.sessions.values():
            session.close()


@dataclass(frozen=True, slots=True)
class Update:
    """One entry to write.

    `payload` is the object's bytes, or `staged` says where they wait. `guard` is
    the key of the container that must live. `only` restricts a repair to some of the homes.
    """

    entry: Entry
    payload: Buffer | None = None
    staged: Staged | None = None
    guard: bytes | None = None
    if_empty: bool = False
    origin: Origin = Origin.CLIENT
    only: tuple[int, ...] | None = None


@dataclass(slots=True)
class Written:
    """What became of one update.

    `newest` is the newest base stamp that any device told of; `refusals` the reasons of devices
    that did not take it; `devices` were sent it.
    """

    durable: bool = False
    newest: Stamp = ZERO
    refusals: set[Outcome] = field(default_factory=set)
    devices: tuple[int, ...] = ()


async def write(nodes: Nodes, updates: Sequence[Update], *, patience_ms: int = PATIENCE_MS) -> list[Written]:
    """Write updates until a majority of the homes of each has it, or it is sure that none will.

    Nodes and devices that fail are tried again for `patience_ms`, since a write is idempotent;
    staged bytes die with their connection and are not. The ring is caught up with where it changed.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_ms / 1000
    repeatable = not any(update.staged for update in updates)
    while True:
        attempt = _Attempt(nodes, updates)
        try:
            written = await attempt.run()
        except StaleNode as stale:
            await nodes.catch_up(stale.node, stale.cause)
            continue
        settled = all(one.durable or one.refusals & _FINAL for one in written)
        if settled or not repeatable or loop.time() > give_up:
            return written
        await asyncio.sleep(RETRY_MS / 1000)


class _Attempt:
    """One round of messages for a set of updates."""

    def __init__(self, nodes: Nodes, updates: Sequence[Update]) -> None:
        self.nodes = nodes
        self.epoch = nodes.epoch
        self.updates = updates
        self.written = [Written() for _ in updates]
        self._quorums: list[WriteQuorum] = []
        self._sessions: dict[str, StageSession] = {}
        self._by_node: dict[str, tuple[list[CommitWrite], list[Buffer], list[int]]] = {}
        for index in range(len(updates)):
            self._place(index)

    def _place(self, index: int) -> None:
        update = self.updates[index]
        digest = update.entry.digest
        sets = (update.only,) if update.only is not None else self.epoch.home_sets(digest)
        needed = 0 if len(sets) > 1 else majority(len(sets[0])) if update.only is None else len(sets[0])
        homes = sets[0] if len(sets) == 1 else tuple({device: None for one in sets for device in one})
        self._quorums.append(WriteQuorum(sets))
        row = update.entry.to_row()
        # Only homes that reads ask know whether the container lives: others may not have it yet.
        judges = frozenset(homes if update.guard is None else self.epoch.read_homes(digest))
        for node, devices in self.nodes.by_node(homes).items():
            guarded = [device for device in devices if device in judges]
            if guarded:
                self._add(index, node, guarded, row, min(needed, len(guarded)), update.guard)
            if len(guarded) < len(devices):
                rest = [device for device in devices if device not in judges]
                self._add(index, node, rest, row, min(needed, len(rest)))
        stand_ins = () if update.only is not None else tuple(self.nodes.stand_ins(digest, homes))
        for device in stand_ins:
            self._add(index, self.epoch.node_of(device), [device], row, 0)
        self.written[index].devices = homes + stand_ins

    def _add(
        self, index: int, node: str, devices: Sequence[int], row: bytes, need: int, guard: bytes | None = None
    ) -> None:
        update = self.updates[index]
        writes, body, owners = self._by_node.setdefault(node, ([], [], []))
        payload: int | None = None
        if update.payload is not None:
            body.append(update.payload)
            payload = len(body) - 1
        staged = None
        if update.staged is not None:
            self._sessions |= update.staged.sessions
            ids = update.staged.ids
            staged = {device: ids[device] for device in devices if device in ids}
        entry = update.entry
        writes.append(
            CommitWrite(
                entry.key, row, devices, need, payload, staged, guard, update.if_empty, update.origin
            )
        )
        owners.append(index)

    async def run(self) -> list[Written]:
        """Send everything; return once each update is durable or known to have failed."""
        calls: dict[asyncio.Future[Any], str] = {}
        for node, (writes, body, _) in self._by_node.items():
            target = self._sessions.get(node) or self.nodes.client(node)
            try:
                calls[target.submit_commit(writes, body, epoch=self.epoch.number)] = node
            except Unavailable as error:
                self._node_failed(node, error)
        waiting: set[asyncio.Future[Any]] = set(calls)
        while waiting and self._undecided():
            if len(waiting) == 1:
                (call,) = waiting
                await asyncio.wait((call,)) if not call.done() else None
                done = waiting
                waiting = set()
            else:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                self._answered(calls[call], call)
        for call in waiting:
            self.nodes.keep(call)
        for index, quorum in enumerate(self._quorums):
            self.written[index].durable = quorum.verdict() is Verdict.DURABLE
        return self.written

    def _undecided(self) -> bool:
        return any(quorum.verdict() is Verdict.WAITING for quorum in self._quorums)

    def _answered(self, node: str, call: asyncio.Future[Any]) -> None:
        try:
            outcomes = unpack_commit_reply(call.result().head)
        except StaleRing as error:
            raise StaleNode(node, error) from error
        except Unavailable as error:
            self._node_failed(node, error)
            return
        _, _, owners = self._by_node[node]
        for index, of_write in zip(owners, outcomes, strict=True):
            written, quorum = self.written[index], self._quorums[index]
            for device, outcome, newest in of_write:
                if outcome in _DURABLE:
                    quorum.acked(device)
                    written.newest = max(written.newest, newest)
                else:
                    quorum.failed(device)
                    written.refusals.add(outcome)
                    if outcome in _DEVICE_TROUBLE:
                        self.nodes.note_down(device)

    def _node_failed(self, node: str, error: Unavailable) -> None:
        if isinstance(error, NodeUnreachable):
            self.nodes.note_down(node)
        writes, _, owners = self._by_node[node]
        for index, one in zip(owners, writes, strict=True):
            for device in one.devices:
                self._quorums[index].failed(device)
