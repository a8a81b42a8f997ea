"""What homes refuse for a promise whose proposer is gone: settled under a ballot of our own.

A repair is refused where a home has promised a conditional write to take nothing that old. The proposer
settles that within milliseconds, unless it died. Then whoever meets the refusal takes a higher ballot, brings
what the homes hold to a majority of them, and has settled it for everybody (model.promises).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from model.entry import KEY_HEAD_BYTES, Entry, from_row
from model.errors import ColonnadeError, Unavailable
from model.names import object_key
from model.promises import Next, Promised, decide
from model.stamp import ZERO, Stamp
from objectd.contract import CommitWrite, Origin, Outcome, PrepareReply, RawEntry
from replicator.mover import HELD, Mover
from replicator.peers import CALL_DEADLINE_MS, Peers
from replicator.places import has_majority
from replicator.plan import transfers
from ring.epoch import Phase

TRIES_MAX: Final = 3

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Settled:
    """A ballot under which the state of an object is settled, and that state."""

    stamp: Stamp
    epoch: int
    state: tuple[Entry, ...]


class Settler:
    """Settles objects that promises bar."""

    def __init__(self, peers: Peers, mover: Mover) -> None:
        self._peers = peers
        self._mover = mover
        self.settled_count = 0

    async def settle(self, key: bytes) -> Settled | None:
        """Settle an object, a version of this key too, on all homes that answer.

        Returns None where that cannot be done just now.
        """
        for _ in range(TRIES_MAX):
            try:
                found = await self._try(key)
            except ColonnadeError as error:
                _log.info("not settled yet", extra={"key": key.hex(), "reason": str(error)})
                return None
            if found is not None:
                self.settled_count += 1
                return found
        return None

    async def _try(self, key: bytes) -> Settled | None:
        peers, epoch = self._peers, self._peers.epoch
        digest, null_key = key[1:KEY_HEAD_BYTES], object_key(key[1:KEY_HEAD_BYTES])
        also = None if key == null_key else key
        stamp = peers.clock.next()
        write_sets = epoch.home_sets(digest)
        answers = await self._prepare(digest, also, write_sets, stamp)
        granted = {one.device: one for one in answers if one.granted}
        if not has_majority(write_sets, granted) or peers.epoch.number != epoch.number:
            peers.clock.observe(max((one.newest for one in answers), default=ZERO))
            return None
        replies = {device: _promised(one) for device, one in granted.items()}
        raw = {device: {one.key: one for one in reply.entries} for device, reply in granted.items()}
        read_sets = write_sets if epoch.phase is Phase.READ_NEW else (epoch.read_homes(digest),)
        done: set[bytes] = set()
        while True:
            decision = decide(write_sets, read_sets, replies, null_key, also=also)
            if decision.step is Next.SETTLED:
                # A home beyond the majority would refuse it for ever: it takes it under the ballot alone.
                for entry in decision.state:
                    await self._finish(entry, stamp, replies, raw)
                return Settled(stamp, epoch.number, decision.state)
            if decision.step is not Next.FINISH or decision.entry is None or decision.entry.key in done:
                return None
            done.add(decision.entry.key)
            await self._finish(decision.entry, stamp, replies, raw)

    async def _prepare(
        self, digest: bytes, also: bytes | None, write_sets: Sequence[Sequence[int]], stamp: Stamp
    ) -> list[PrepareReply]:
        peers, number = self._peers, self._peers.epoch.number
        homes = dict.fromkeys(home for homes in write_sets for home in homes)
        live = [home for home in homes if home in peers.around.live]

        async def ask(node: str, owned: Sequence[int]) -> list[PrepareReply]:
            try:
                return await peers.client(node).prepare(
                    digest, owned, stamp, epoch=number, also=also, deadline_ms=CALL_DEADLINE_MS
                )
            except Unavailable:
                return []

        found = await asyncio.gather(*(ask(node, owned) for node, owned in peers.by_node(live).items()))
        return [one for answers in found for one in answers]

    async def _finish(
        self,
        entry: Entry,
        stamp: Stamp,
        replies: dict[int, Promised],
        raw: Mapping[int, Mapping[bytes, RawEntry]],
    ) -> None:
        """Bring an entry to the homes that promised."""
        entries = {device: one.held[entry.key] for device, one in replies.items() if entry.key in one.held}
        held = {device: of.get(entry.key) for device, of in raw.items()}
        planned = [replace(one, ballot=stamp) for one in transfers(entry, entries, held)]
        delivery = await self._mover.run(planned)
        for device in delivery.held.get(entry.key, set()):
            before = replies[device]
            replies[device] = Promised(before.previous, {**before.held, entry.key: entry})

    async def write(self, entry: Entry) -> bool:
        """Write an entry without payload that was refused, unless the object has changed since it was made.

        It takes a newer stamp. Says whether that is settled, one way or the other.
        """
        if entry.suffix and object_key(entry.digest, entry.stamp) == entry.key:
            # The stamp is the version's id: whoever made it makes another.
            return False
        found = await self.settle(entry.key)
        if found is None:
            return False
        if any(one.newest >= entry.newest for one in found.state):
            return True
        peers = self._peers
        if peers.epoch.number != found.epoch:
            return False
        homes = peers.epoch.home_sets(entry.digest)
        devices = dict.fromkeys(device for of in homes for device in of)
        row = replace(entry, stamp=found.stamp).to_row()
        taken: set[int] = set()
        for node, owned in peers.by_node(devices).items():
            one = CommitWrite(entry.key, row, owned, 0, origin=Origin.REPAIR, ballot=found.stamp)
            try:
                (outcomes,) = await peers.client(node).commit(
                    [one], epoch=found.epoch, deadline_ms=CALL_DEADLINE_MS
                )
            except Unavailable:
                continue
            taken |= {device for device, outcome, _ in outcomes if outcome in HELD}
        return has_majority(homes, taken)


def is_barred(refusals: Mapping[bytes, set[Outcome]], key: bytes) -> bool:
    """Say whether a promise was among the reasons for which homes refused a key."""
    return Outcome.PROMISED in refusals.get(key, ())


def _promised(reply: PrepareReply) -> Promised:
    return Promised(reply.before, {key: from_row(key, row) for key, row, _ in reply.entries})
