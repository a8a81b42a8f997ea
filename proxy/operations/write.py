"""Writing entries to a durable majority of their homes, in one message for each node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from model.entry import Entry
from model.errors import Absent, CorruptRecord, NodeUnreachable, StaleRing, Unavailable
from model.stamp import ZERO, Stamp
from objectd.client import StageSession
from objectd.contract import CommitWrite, Origin, Outcome
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import Verdict, WriteQuorum
from proxy.operations.types import Buffer

PATIENCE_MS: Final = 10_000
"""How long a request outlasts nodes that restart before it fails."""
RETRY_MS: Final = 40

_HELD_MAX: Final = int(Outcome.KNOWN)
_HIDING: Final = (int(Outcome.SUPERSEDED), int(Outcome.CONTESTED))
_CONTESTED: Final = int(Outcome.CONTESTED)
_PROMISED: Final = int(Outcome.PROMISED)
_FINAL: Final = frozenset((Outcome.FULL, Outcome.NO_CONTAINER, Outcome.NOT_EMPTY, Outcome.PROMISED))
"""Refusals that asking again does not change."""
_DEVICE_TROUBLE: Final = frozenset((Outcome.FULL, Outcome.FAILED))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A payload that its nodes have: the staging id on each device, and the session with each node."""

    ids: Mapping[int, int]
    sessions: Mapping[str, StageSession]

    def close(self) -> None:
        """Throw away what no commit has taken."""
        for session in self.sessions.values():
            session.close()


class Update(NamedTuple):
    """One entry to write.

    `payload` is the object's bytes, or `staged` says where they wait. `guard` is
    the key of the container that must live. `only` restricts a repair to some of the homes. With a
    `ballot` only homes that promised just that take it, and no stand-in.
    """

    entry: Entry
    payload: Buffer | None = None
    staged: Staged | None = None
    guard: bytes | None = None
    if_empty: bool = False
    origin: Origin = Origin.CLIENT
    only: tuple[int, ...] | None = None
    ballot: Stamp | None = None


@dataclass(slots=True)
class Written:
    """What became of one update.

    `verdict` is DURABLE or HIDDEN where a majority of its homes has it, or something newer. `newest`
    is the newest stamp that any device told of; `refusals` count the reasons of homes that did not
    take it; `devices` were sent it. `unseen` tells of a HIDDEN update that no reader can have seen, and
    `contested` that a write on a condition may have to do with its being hidden. Unless `anywhere`,
    no device has ever had it.
    """

    verdict: Verdict = Verdict.WAITING
    newest: Stamp = ZERO
    refusals: dict[Outcome, int] = field(default_factory=dict)
    devices: tuple[int, ...] = ()
    unseen: bool = False
    contested: bool = False
    anywhere: bool = True

    @property
    def durable(self) -> bool:
        """Whether a majority has the update, or something newer."""
        return self.verdict is Verdict.DURABLE or self.verdict is Verdict.HIDDEN


@dataclass(slots=True)
class Heard:
    """What devices have said of one update, over all attempts to write it.

    `taken` hold it or have held it; `hidden` have something newer, and of these `never` are sure
    not to have held it; `unanswered` may hold it: nothing came back. `lacking` have no staged
    bytes (any more) that a commit could take.
    """

    taken: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    never: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    lacking: set[int] = field(default_factory=set)
    contested: bool = False

    def note(self, device: int, outcome: int) -> None:
        """Note the answer of a device, where it is one of the outcomes that settle it."""
        if outcome <= _HELD_MAX:
            self.taken.add(device)
        elif outcome in _HIDING:
            self.contested |= outcome == _CONTESTED
            self.hidden.add(device)
            if device not in self.unanswered:
                self.never.add(device)


async def write(
    nodes: Nodes,
    updates: Sequence[Update],
    *,
    patience_ms: int = PATIENCE_MS,
    heard: Sequence[Heard] | None = None,
    epoch: int | None = None,
) -> list[Written]:
    """Write updates until a majority of the homes of each has it, or it is sure that none will.

    Nodes and devices that fail are tried again for `patience_ms`, since a write is idempotent. Staged
    bytes are committed once, and die with their connection: homes that lack them get a copy from one
    that took them. The ring is caught up with where it changed, unless the write is good for one
    `epoch` alone. What was `heard` of the same updates before is not asked again.
    """
    heard = [Heard() for _ in updates] if heard is None else heard
    attempt = _Attempt(nodes, updates, heard)
    written = await attempt.run()
    if attempt.settled():
        return written
    give_up = asyncio.get_running_loop().time() + patience_ms / 1000
    while True:
        stale = attempt.stale
        if stale is None or not await nodes.catch_up(stale.node, stale.cause):
            if asyncio.get_running_loop().time() >= give_up:
                return written
            await asyncio.sleep(RETRY_MS / 1000)
        if epoch is not None and epoch != nodes.epoch.number:
            return written
        for update, one in zip(updates, heard, strict=True):
            if update.staged is not None and one.lacking and one.taken:
                await _copy_taken(nodes, update.entry, one)
        attempt = _Attempt(nodes, updates, heard)
        written = await attempt.run()
        if attempt.settled():
            return written


class _Attempt:
    """One round of messages for a set of updates."""

    __slots__ = (
        "_by_node",
        "_quorums",
        "_sessions",
        "epoch",
        "heard",
        "nodes",
        "stale",
        "updates",
        "written",
    )

    def __init__(self, nodes: Nodes, updates: Sequence[Update], heard: Sequence[Heard]) -> None:
        self.nodes = nodes
        self.epoch = nodes.epoch
        self.updates = updates
        self.heard = heard
        self.written: list[Written] = []
        self.stale: StaleNode | None = None
        self._quorums: list[WriteQuorum] = []
        self._sessions: dict[str, StageSession] = {}
        self._by_node: dict[str, tuple[list[CommitWrite], list[Buffer], list[int]]] = {}
        for index, update in enumerate(updates):
            self._place(index, update)

    def _place(self, index: int, update: Update) -> None:
        nodes, digest = self.nodes, update.entry.digest
        only = update.only
        sets = self.epoch.home_sets(digest) if only is None else (only,)
        homes = sets[0] if len(sets) == 1 else tuple({device: None for one in sets for device in one})
        at_home = only is not None or update.ballot is not None
        stand_ins = () if at_home else tuple(nodes.stand_ins(digest, homes))
        if update.staged is not None and not at_home:
            # Whoever was sent the bytes takes them, home or not by now: others are given them from there.
            others = update.staged.ids.keys() - {*homes, *stand_ins} - self.heard[index].taken
            stand_ins += tuple(filter(self.epoch.knows, others))
        quorum = WriteQuorum(sets, all_of_them=only is not None)
        self._quorums.append(quorum)
        self.written.append(Written(devices=homes + stand_ins))
        heard = self.heard[index]
        if heard.taken or heard.hidden:
            homes = _replay(quorum, heard, homes)
        # A node answers as soon as a majority has it; where more is asked, when all have answered.
        needed = 0 if len(sets) > 1 or only is not None else len(sets[0]) // 2 + 1
        row = update.entry.to_row()
        if update.guard is None:
            for node, devices in nodes.homes_by_node(homes).items():
                self._add(index, node, devices, row, min(needed, len(devices)))
        else:
            self._add_guarded(index, homes, row, needed)
        for device in stand_ins:
            self._add(index, self.epoch.node_of(device), [device], row, 0)

    def _add_guarded(self, index: int, homes: Sequence[int], row: bytes, needed: int) -> None:
        # Only homes that reads ask know whether the container lives: others may not have it yet.
        update = self.updates[index]
        judges = self.epoch.read_homes(update.entry.digest)
        if judges == homes:
            for node, devices in self.nodes.homes_by_node(homes).items():
                self._add(index, node, devices, row, min(needed, len(devices)), update.guard)
            return
        for node, devices in self.nodes.homes_by_node(homes).items():
            guarded = [device for device in devices if device in judges]
            if guarded:
                self._add(index, node, guarded, row, min(needed, len(guarded)), update.guard)
            if len(guarded) < len(devices):
                rest = [device for device in devices if device not in judges]
                self._add(index, node, rest, row, min(needed, len(rest)))

    def _add(
        self, index: int, node: str, devices: Sequence[int], row: bytes, need: int, guard: bytes | None = None
    ) -> None:
        update = self.updates[index]
        held = self._by_node.get(node)
        if held is None:
            held = self._by_node[node] = ([], [], [])
        writes, body, owners = held
        payload: int | None = None
        if update.payload is not None:
            body.append(update.payload)
            payload = len(body) - 1
        staged = None
        if update.staged is not None:
            self._sessions |= update.staged.sessions
            ids = update.staged.ids
            staged = {device: ids[device] for device in devices if device in ids}
        writes.append(
            CommitWrite(
                update.entry.key,
                row,
                devices,
                need,
                payload,
                staged,
                guard,
                update.if_empty,
                update.origin,
                update.ballot,
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
        if len(calls) == 1:
            ((call, node),) = calls.items()
            try:
                reply = await call
            except Unavailable as error:
                self._call_failed(node, error)
            else:
                self._answered(node, reply.head)
        elif calls:
            await self._gather(calls)
        for index, quorum in enumerate(self._quorums):
            written = self.written[index]
            written.verdict = quorum.verdict()
            heard = self.heard[index]
            written.contested = heard.contested
            written.anywhere = bool(heard.taken or heard.unanswered or heard.lacking)
            if written.verdict is Verdict.HIDDEN and self.updates[index].only is None:
                written.unseen = quorum.unseen(self.nodes.read_sets(self.updates[index].entry.digest))
        return self.written

    async def _gather(self, calls: dict[asyncio.Future[Any], str]) -> None:
        waiting: set[asyncio.Future[Any]] = set(calls)
        try:
            while waiting and self._undecided():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for call, node in calls.items():
                    if call not in done:
                        continue
                    try:
                        reply = call.result()
                    except Unavailable as error:
                        self._call_failed(node, error)
                    else:
                        self._answered(node, reply.head)
        finally:
            for call in waiting:
                self.nodes.keep(call)
        for call in waiting:
            self._note_unanswered(calls[call])

    def settled(self) -> bool:
        """Say whether every update has its majority, or trying again would change nothing."""
        for update, one, heard in zip(self.updates, self.written, self.heard, strict=True):
            if one.durable or any(refusal in _FINAL for refusal in one.refusals):
                continue
            if update.staged is None or self.stale is not None or heard.taken:
                return False
        return True

    def _undecided(self) -> bool:
        return any(quorum.verdict() is Verdict.WAITING for quorum in self._quorums)

    def _answered(self, node: str, head: Any) -> None:
        _, _, owners = self._by_node[node]
        for index, of_write in zip(owners, head, strict=True):
            written, quorum, heard = self.written[index], self._quorums[index], self.heard[index]
            for device, outcome, newest in of_write:
                heard.note(device, outcome)
                if outcome <= _HELD_MAX:
                    quorum.acked(device)
                elif outcome in _HIDING:
                    quorum.hidden(device, never_held=device in heard.never)
                else:
                    quorum.failed(device)
                    if outcome == Outcome.FAILED:
                        heard.lacking.add(device)
                    self._refused(device, Outcome(outcome), written)
                    if outcome != _PROMISED:
                        continue
                written.newest = max(written.newest, newest)

    def _refused(self, device: int, outcome: Outcome, written: Written) -> None:
        written.refusals[outcome] = written.refusals.get(outcome, 0) + 1
        if outcome in _DEVICE_TROUBLE:
            self.nodes.note_down(device)

    def _call_failed(self, node: str, error: Unavailable) -> None:
        if isinstance(error, StaleRing):
            # The node has not looked at the call; the others may be enough.
            self.stale = StaleNode(node, error)
        else:
            self._note_unanswered(node)
        self._node_failed(node, error)

    def _note_unanswered(self, node: str) -> None:
        writes, _, owners = self._by_node[node]
        for index, one in zip(owners, writes, strict=True):
            self.heard[index].unanswered.update(one.devices)
            self.heard[index].lacking.update(one.devices)

    def _node_failed(self, node: str, error: Unavailable) -> None:
        if isinstance(error, NodeUnreachable):
            self.nodes.note_down(node)
        writes, _, owners = self._by_node[node]
        for index, one in zip(owners, writes, strict=True):
            for device in one.devices:
                self._quorums[index].failed(device)


def _replay(quorum: WriteQuorum, heard: Heard, homes: Sequence[int]) -> tuple[int, ...]:
    """Count what was heard before, and return the homes still to be asked."""
    rest = []
    for device in homes:
        if device in heard.taken:
            quorum.acked(device)
        elif device in heard.hidden:
            quorum.hidden(device, never_held=device in heard.never)
        else:
            rest.append(device)
    return tuple(rest)


async def _copy_taken(nodes: Nodes, entry: Entry, heard: Heard) -> None:
    """Give homes whose staged bytes are gone, or that had none, a copy from a device that took them."""
    sets = nodes.epoch.home_sets(entry.digest)
    homes = dict.fromkeys(device for homes in sets for device in homes)
    for device in homes:
        if device in heard.lacking and device not in heard.taken | heard.hidden:
            for source in filter(nodes.epoch.knows, sorted(heard.taken)):
                try:
                    await _copy(nodes, entry, source, device, heard)
                    break
                except Unavailable as error:
                    _log.info("staged bytes not copied", extra={"device": device, "reason": str(error)})
                except (Absent, CorruptRecord):
                    # Deleted or overwritten by now, or gone bad: another may still have it.
                    continue


async def _copy(nodes: Nodes, entry: Entry, source: int, target: int, heard: Heard) -> None:
    number = nodes.epoch.number
    stream = await nodes.client(nodes.epoch.node_of(source)).payload(
        source, entry.key, entry.stamp, epoch=number
    )
    try:
        client = nodes.client(nodes.epoch.node_of(target))
        session = await client.stage((target,), stream.length, epoch=number)
        try:
            async for chunk in stream.chunks():
                await session.send(bytes(chunk))
            staged = await session.finish()
            write = CommitWrite(entry.key, entry.to_row(), (target,), 0, None, staged)
            ((*outcomes,),) = (await session.submit_commit([write], epoch=number)).head
            for device, outcome, _ in outcomes:
                heard.note(device, outcome)
        finally:
            session.close()
    finally:
        stream.close()
