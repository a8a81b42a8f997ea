"""Rounds of comparison: survey the digests, mend what differs, move what a change asks, hand back strays.

A round over a colony in step costs one call for each device and table. What a round was about to do is
never written down: the digests tell the next one, in this process or the one after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from kit.clock import wall_clock_ms
from model.errors import ColonnadeError, Unavailable
from model.stamp import Stamp
from objectd.contract import RingReply
from replicator.compare import Comparer
from replicator.hand_back import TABLES, HandBack
from replicator.peers import Peers
from replicator.places import all_homes, home_sets, partitions_led
from replicator.plan import Rules, reached_majority, stamp_before
from replicator.rates import Meter
from replicator.survey import Deferrals, Discord, Survey, discords, steady, strays
from replicator.sweep import Sweep, Target, is_worth_while
from replicator.transition import Decision, Move, Progress, decide
from ring.epoch import Phase

PARTITIONS_AT_ONCE: Final = 8
STEADY_S: Final = 0.25
"""Between the two surveys that tell a lasting difference from a write in flight."""
DEFERRALS_MAX: Final = 5
DOUBT_AGE_S_MIN: Final = 3_600
"""No entry younger than this is ever taken for one that was deleted and forgotten."""
STRAYS_MS: Final = 60_000
"""Between two looks at what stays with a stand-in because a home is away."""
COORDINATOR_PATIENCE: Final = 3
"""Rounds after which the coordinator copies itself what other nodes lead and have not copied."""

_log = logging.getLogger(__name__)


class Synchronizer:
    """Brings the partitions that this node leads in step, round by round."""

    def __init__(
        self,
        peers: Peers,
        comparer: Comparer,
        hand_back: HandBack,
        *,
        tombstone_age_s: int,
        now_ms: Callable[[], int] = wall_clock_ms,
        steady_s: float = STEADY_S,
    ) -> None:
        self.peers = peers
        self.tombstone_age_s = tombstone_age_s
        self.progress = Progress.of(peers.epoch)
        self.out_of_step = 0
        self.partitions_left = 0
        self.strays_left = 0
        self.partitions = Meter()
        self.decision = Decision(Move.NOTHING)
        self.last_survey: Survey | None = None
        self.on_progress: Callable[[int, int], None] = lambda done, total: None
        self._comparer = comparer
        self._hand_back = hand_back
        self._sweeper = Sweep(peers, comparer)
        self._now_ms = now_ms
        self._steady_s = steady_s
        self._deferrals = Deferrals()
        self._whole: dict[int, set[int]] = {}
        self._rounds_waited = 0
        self._strays_due_ms = 0
        self._neighbours: tuple[int, frozenset[int]] = (-1, frozenset())

    async def round(self) -> bool:
        """Run one round; say whether it did anything, so that another is worth while at once."""
        number = self.peers.epoch.number
        if self.progress.epoch != number:
            self.progress = Progress.of(self.peers.epoch)
            self._rounds_waited = 0
        survey = await self.peers.survey(self.neighbours())
        self.last_survey = survey
        self._note_in_step(survey)
        found = await self._lasting(survey)
        self.out_of_step = len(found)
        mended = await self._mend_all(found, survey)
        await self._note_filled()
        advanced = await self._advance(survey)
        handed = await self._hand_back_all(survey)
        return mended > 0 or advanced or handed > 0

    def neighbours(self) -> frozenset[int]:
        """Return the devices that share a partition with one of this node, and those of this node."""
        epoch = self.peers.epoch
        if self._neighbours[0] != epoch.number:
            local = np.array(self.peers.nodes()[self.peers.local_node], dtype=np.uint16)
            found = set(local.tolist())
            old = epoch.ring.previous() if self.progress.changing else None
            for ring in (epoch.ring, *((old,) if old is not None else ())):
                rows = np.isin(ring.table, local).any(axis=1)
                # While homes change, all are watched: whoever coordinates needs to see the whole.
                table = ring.table if self.progress.changing else ring.table[rows]
                found.update(np.unique(table).tolist())
            self._neighbours = (epoch.number, frozenset(found))
        return self._neighbours[1]

    def _leads(self) -> Callable[[int], bool]:
        around = self.peers.around
        return partitions_led(
            self.peers.epoch, self.peers.local_node, live=around.live, filling=around.filling
        )

    async def _lasting(self, survey: Survey) -> list[Discord]:
        """Return the discords to mend now, the most urgent first."""
        found = discords(self.peers.epoch, survey, self._leads())
        changing = [one for one in found if one.partition in self.progress.left]
        rest = [one for one in found if one.partition not in self.progress.left]
        if rest:
            await asyncio.sleep(self._steady_s)
            again = await self.peers.survey(self.neighbours())
            wanted = {one.partition for one in rest}
            rest = discords(self.peers.epoch, again, wanted.__contains__)
            rest = steady(survey, again, rest, self._deferrals, deferrals_max=DEFERRALS_MAX)
        return sorted(changing + rest, key=lambda one: (one.agreeing, one.partition))

    async def _mend_all(self, found: Sequence[Discord], survey: Survey) -> int:
        """Mend discords, several at a time; return how many were mended entirely."""
        slots = asyncio.Semaphore(PARTITIONS_AT_ONCE)
        self.partitions_left = len(found)
        mended = 0
        count = self.peers.epoch.ring.partition_count
        if is_worth_while(len(found), count, survey.entry_count):
            return await self._sweep(found, survey)

        async def mend(one: Discord) -> None:
            nonlocal mended
            async with slots:
                mended += await self._mend(one, survey)
                self.partitions_left -= 1
                self.partitions.add(1, self._now_ms())
                self.on_progress(len(found) - self.partitions_left, len(found))

        await asyncio.gather(*(mend(one) for one in found))
        return mended

    async def _sweep(self, found: Sequence[Discord], survey: Survey) -> int:
        """Mend many discords together."""
        left = {one.partition: one for one in found}
        for table in TABLES:
            targets = {
                one.partition: Target(one.reached, self._rules(one.partition, one.reached))
                for one in left.values()
                if table in one.tables
            }
            whole = await self._sweeper.run(table, targets, survey.entry_count)
            for partition in targets.keys() - whole:
                del left[partition]
        if self.peers.epoch.number == survey.epoch:
            for one in left.values():
                self._note_whole(one.partition, one.reached)
        self.partitions_left = 0
        self.partitions.add(len(found), self._now_ms())
        return len(left)

    async def _mend(self, one: Discord, survey: Survey) -> bool:
        """Compare one partition on all reached homes; note what a complete pass proves."""
        rules = self._rules(one.partition, one.reached)
        complete = True
        for table in TABLES:
            if table not in one.tables:
                continue
            try:
                cutter = max(
                    one.reached,
                    key=lambda device, of=table: (  # type: ignore[misc]
                        device not in survey.filling,
                        survey.digest(device, of, one.partition) != 0,
                    ),
                )
                done = await self._comparer.run(table, one.partition, one.reached, cutter, rules)
            except (Unavailable, KeyError) as error:
                _log.info("partition not compared", extra={"partition": one.partition, "reason": str(error)})
                return False
            complete &= done.complete
        if complete and self.peers.epoch.number == survey.epoch:
            self._note_whole(one.partition, one.reached)
        return complete

    def _rules(self, partition: int, reached: Sequence[int]) -> Rules:
        sets = home_sets(self.peers.epoch, partition)
        if self.peers.epoch.phase is not Phase.WRITE_BOTH or len(sets) < 2:
            return Rules(sets)
        old, new = sets
        if not reached_majority((old,), reached, self.peers.around.filling):
            return Rules(sets)
        return Rules(sets, frozenset(new) - frozenset(old), self.doubt_before())

    def doubt_before(self) -> Stamp:
        """Return the stamp before which an entry that no home has was deleted."""
        return stamp_before(self._now_ms(), max(self.tombstone_age_s, DOUBT_AGE_S_MIN))

    # What is proved.

    def _note_in_step(self, survey: Survey) -> None:
        """Take partitions whose homes were seen equal as whole, where that is asked for."""
        if survey.epoch != self.peers.epoch.number:
            return
        filling = self._filling_here()
        asked = set(self.progress.left)
        for device in filling:
            asked.update(self._partitions_of(device) - self._whole.get(device, set()))
        for partition in asked:
            reached = [one for one in all_homes(self.peers.epoch, partition) if one in survey.digests]
            if reached and all(survey.in_step(reached, table, partition) for table in TABLES):
                self._note_whole(partition, reached)

    def _note_whole(self, partition: int, reached: Sequence[int]) -> None:
        """Note that the reached homes of a partition hold all that any of them held."""
        sets = home_sets(self.peers.epoch, partition)
        if partition in self.progress.changing and reached_majority(sets, reached, self.peers.around.filling):
            self.progress.synced.add(partition)
        homes = all_homes(self.peers.epoch, partition)
        if len(reached) == len(homes):
            for device in homes:
                if device in self.peers.around.filling:
                    self._whole.setdefault(device, set()).add(partition)

    def _filling_here(self) -> list[int]:
        return [device for device in self.peers.local_devices() if device in self.peers.around.filling]

    def _partitions_of(self, device: int) -> set[int]:
        epoch = self.peers.epoch
        found = set(epoch.ring.partitions_of(device))
        old = epoch.ring.previous() if self.progress.changing else None
        return found | set(old.partitions_of(device)) if old is not None else found

    async def _note_filled(self) -> None:
        """Tell this node's objectd of devices that lack nothing any more."""
        filling = self._filling_here()
        self._whole = {device: self._whole.get(device, set()) for device in filling}
        for device in filling:
            if self._partitions_of(device) <= self._whole[device]:
                try:
                    await self.peers.local.filled(device, epoch=self.peers.epoch.number)
                except ColonnadeError as error:
                    _log.info("device not taken for filled", extra={"device": device, "reason": str(error)})
                else:
                    _log.info("device filled", extra={"device": device})
                    del self._whole[device]

    # Ring change.

    async def _advance(self, survey: Survey) -> bool:
        """Publish the next phase where this node coordinates and the time has come."""
        peers = self.peers
        around = peers.around
        self.decision = decide(peers.epoch, dict(around.epochs), self.progress)
        if not around.nodes or min(around.nodes) != peers.local_node or survey.epoch != peers.epoch.number:
            return False
        if self.decision.move is Move.WAIT and self.progress.left:
            self._rounds_waited += 1
            if self._rounds_waited > COORDINATOR_PATIENCE:
                await self._copy_for_others(survey)
                self.decision = decide(peers.epoch, dict(around.epochs), self.progress)
        if self.decision.move is not Move.PUBLISH or self.decision.phase is None:
            return False
        reply = RingReply(peers.reply.version, self.decision.phase, peers.reply.data)
        nodes = sorted(around.nodes, key=lambda node: node != peers.local_node)
        adopted = [node for node in nodes if await peers.publish(node, reply)]
        _log.info("phase published", extra={"epoch": reply.epoch, "adopted": adopted})
        peers.adopt(reply)
        await peers.look_around()
        return True

    async def _copy_for_others(self, survey: Survey) -> None:
        """Copy partitions that others lead but whose homes never show equal digests, under load for one."""
        left = self.progress.left
        found = discords(self.peers.epoch, survey, left.__contains__)
        await self._mend_all(found, survey)

    # Strays.

    async def _hand_back_all(self, survey: Survey) -> int:
        """Hand strays back; those with a home away only now and then, since they must stay in any case."""
        if survey.epoch != self.peers.epoch.number:
            return 0
        found = strays(self.peers.epoch, survey, self.peers.local_devices())
        self.strays_left = len(found)
        live = self.peers.around.live
        due = self._now_ms() >= self._strays_due_ms
        if due:
            self._strays_due_ms = self._now_ms() + STRAYS_MS
        wanted = [one for one in found if due or live.issuperset(all_homes(self.peers.epoch, one[1]))]
        done = 0
        for device in {one[0] for one in wanted}:
            pending = await self._hand_back.pending_keys(device)
            of_device = [partition for at, partition in wanted if at == device]
            done += await self._hand_back_device(device, of_device, survey, pending)
        return done

    async def _hand_back_device(
        self, device: int, partitions: Sequence[int], survey: Survey, pending: frozenset[bytes]
    ) -> int:
        """Hand back partitions of one device; return how many it is rid of."""
        doubt = self.doubt_before()
        count = self.peers.epoch.ring.partition_count
        if is_worth_while(len(partitions), count, survey.entry_count):
            rid = set(partitions)
            for table in TABLES:
                holding = {one for one in partitions if survey.digest(device, table, one)}
                rid -= holding - await self._sweeper.strays(
                    table,
                    holding,
                    survey.entry_count,
                    lambda rows: self._hand_back.give(device, rows, pending, doubt),
                )
            self._note_rid(len(rid))
            return len(rid)
        slots = asyncio.Semaphore(PARTITIONS_AT_ONCE)

        async def hand_back(partition: int) -> bool:
            async with slots:
                rid = await self._hand_back.run(device, partition, survey, pending, doubt)
                self._note_rid(int(rid))
                return rid

        return sum(await asyncio.gather(*map(hand_back, partitions)))

    def _note_rid(self, count: int) -> None:
        self.strays_left -= count
        self.partitions.add(count, self._now_ms())
