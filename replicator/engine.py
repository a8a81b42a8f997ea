"""All that a replicator does, as paced workers over one set of peers; started, watched and stopped here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kit.clock import wall_clock_ms
from kit.worker import Step, TokenBucket, Worker, WorkerStatus
from model.errors import StaleRing, Unavailable
from replicator import report
from replicator.compare import Comparer
from replicator.containers import Settlement
from replicator.hand_back import HandBack
from replicator.keys import Keys
from replicator.lifecycle import DAY_S, Lifecycle
from replicator.mend import Mender
from replicator.mover import Mover
from replicator.peers import Peers
from replicator.places import leading_device
from replicator.rates import eta_s
from replicator.reconcile import FOLLOWER_MS, PENDING_MS, Reconciler
from replicator.scans import Scanner
from replicator.sync import STEADY_S, Synchronizer
from replicator.transition import Move
from ring.hashing import partition_of

WATCH_S: Final = 1.0
MEND_S: Final = 1.0
RECONCILE_S: Final = 5.0
SCAN_S: Final = 60.0
CHANGE_S: Final = 0.5
"""Between rounds while the ring changes."""
PRESSING_S: Final = 2.0
"""Between rounds while something is out of step, or lies where it does not belong."""
RECONCILED_PER_STEP: Final = 1_000
RECONCILED_AT_ONCE: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard a replicator works; `interval_s` is between rounds over a colony in step."""

    interval_s: float = 10.0
    bandwidth_bytes_per_s: int = 0
    tranquility: float = 1.0
    tombstone_age_s: int = 604_800
    pending_ms: int = PENDING_MS
    steady_s: float = STEADY_S
    lifecycle_day_s: float = DAY_S
    """Any but the real length of a day is for trials."""


class Engine:
    """The workers of one node's replicator."""

    def __init__(
        self, peers: Peers, settings: Settings, *, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self.peers = peers
        self.settings = settings
        self._now_ms = now_ms
        self.mover = Mover(peers, now_ms=now_ms)
        self.keys = Keys(peers, self.mover)
        settlement = Settlement(self.keys)
        comparer = Comparer(peers, self.mover, settlement.settle)
        self.hand_back = HandBack(peers, comparer, self.keys, settlement)
        self.sync = Synchronizer(
            peers,
            comparer,
            self.hand_back,
            tombstone_age_s=settings.tombstone_age_s,
            now_ms=now_ms,
            steady_s=settings.steady_s,
        )
        self.mender = Mender(peers, self.keys)
        self.reconciler = Reconciler(self.keys, settlement)
        self.scanner = Scanner(
            peers,
            comparer,
            self.keys,
            self.reconciler,
            tombstone_age_s=settings.tombstone_age_s,
            now_ms=now_ms,
        )
        self.lifecycle = Lifecycle(
            peers, comparer, self.keys, self.reconciler, day_s=settings.lifecycle_day_s, now_ms=now_ms
        )
        self.reconciled_count = 0
        self.pending_count = 0
        self._last_round_ms = 0
        self._round_took_ms = 0
        self.workers = self._make_workers()

    def _make_workers(self) -> dict[str, Worker]:
        settings = self.settings
        bucket = TokenBucket(settings.bandwidth_bytes_per_s)

        def worker(name: str, step: Callable[[Worker], Any], interval_s: float) -> Worker:
            return Worker(name, step, interval_s=interval_s, tranquility=settings.tranquility, bucket=bucket)

        workers = [
            worker("watch", self._watch, WATCH_S),
            worker("mend", self._mend, MEND_S),
            worker("sync", self._sync, settings.interval_s),
            worker("reconcile", self._reconcile, RECONCILE_S),
            worker("reclaim", self._reclaim, SCAN_S),
            worker("rows", self._rows, SCAN_S),
            worker("lifecycle", self._lifecycle, self.lifecycle.interval_s),
        ]
        found = {one.name: one for one in workers}
        self.mover.pace = found["sync"].pace
        self.sync.on_progress = found["sync"].progress
        self.peers.stirred = found["watch"].wake
        return found

    def start(self) -> None:
        """Start all workers."""
        for worker in self.workers.values():
            worker.start()

    async def stop(self) -> None:
        """Stop all workers; what they were at is found again by the next process."""
        for worker in self.workers.values():
            await worker.cancel()

    # Steps.

    async def _watch(self, worker: Worker) -> Step:
        if await self.peers.look_around():
            self.workers["sync"].wake()
        return Step.IDLE

    async def _mend(self, worker: Worker) -> Step:
        try:
            return Step.MORE if await self.mender.step() else Step.IDLE
        except Unavailable as error:
            return self._not_now("mend", error)

    async def _sync(self, worker: Worker) -> Step:
        started = self._now_ms()
        try:
            busy = await self.sync.round()
        except StaleRing as error:
            await self.peers.catch_up(error)
            return Step.MORE
        except Unavailable as error:
            return self._not_now("sync", error)
        self._last_round_ms = self._now_ms()
        self._round_took_ms = self._last_round_ms - started
        changing = self.sync.decision.move is not Move.NOTHING
        worker.interval_s = self.settings.interval_s
        if changing or self.peers.around.filling:
            worker.interval_s = min(CHANGE_S, worker.interval_s)
        elif self.sync.out_of_step or self.sync.strays_left:
            worker.interval_s = min(PRESSING_S, worker.interval_s)
        return Step.MORE if busy else Step.IDLE

    async def _reconcile(self, worker: Worker) -> Step:
        try:
            return Step.MORE if await self.reconcile_step() else Step.IDLE
        except Unavailable as error:
            return self._not_now("reconcile", error)

    async def reconcile_step(self) -> bool:
        """Reconcile the oldest pending writes of this node's devices; say whether more may wait."""
        seen = 0
        done = 0
        for device in self.peers.local_devices():
            try:
                pending = await self.peers.local.pending(
                    device, self.settings.pending_ms, epoch=self.peers.epoch.number
                )
            except StaleRing:
                raise
            except Unavailable:
                continue
            mine = [one for one in pending if self._is_mine(one.key, one.age_ms)]
            seen += len(pending)
            for at in range(0, min(len(mine), RECONCILED_PER_STEP), RECONCILED_AT_ONCE):
                batch = mine[at : at + RECONCILED_AT_ONCE]
                done += sum(await asyncio.gather(*(self.reconciler.reconcile(one, device) for one in batch)))
        self.reconciled_count += done
        self.pending_count = seen - done
        return done >= RECONCILED_PER_STEP

    def _is_mine(self, key: bytes, age_ms: int) -> bool:
        """Say whether this node reconciles a key: it leads it, or whoever does is late."""
        epoch = self.peers.epoch
        homes = tuple(dict.fromkeys(one for of in epoch.home_sets(key[1:17]) for one in of))
        partition = partition_of(key[1:17], epoch.part_power)
        device = leading_device(homes, partition, live=self.peers.around.live)
        late = age_ms >= self.settings.pending_ms + FOLLOWER_MS - PENDING_MS
        return late or device is None or epoch.node_of(device) == self.peers.local_node

    async def _reclaim(self, worker: Worker) -> Step:
        try:
            more = await self.scanner.reclaim_step(self.sync.last_survey)
        except Unavailable as error:
            return self._not_now("reclaim", error)
        return Step.MORE if more else Step.IDLE

    async def _rows(self, worker: Worker) -> Step:
        try:
            more = await self.scanner.rows_step()
        except Unavailable as error:
            return self._not_now("rows", error)
        return Step.MORE if more else Step.IDLE

    async def _lifecycle(self, worker: Worker) -> Step:
        try:
            more = await self.lifecycle.step()
        except Unavailable as error:
            return self._not_now("lifecycle", error)
        worker.progress(self.lifecycle.now.buckets)
        return Step.MORE if more else Step.IDLE

    def _not_now(self, name: str, error: Unavailable) -> Step:
        """Leave off where a node went away or the ring changed: the watch sees to both."""
        _log.info("left off", extra={"worker": name, "reason": str(error)})
        self.workers["watch"].wake()
        return Step.IDLE

    # Telling.

    def status(self) -> dict[str, Any]:
        """Return what replicator.report documents."""
        now = self._now_ms()
        sync, progress = self.sync, self.sync.progress
        rate = sync.partitions.per_s(now)
        left = sync.partitions_left + len(progress.left)
        return {
            "format": report.FORMAT,
            "node": self.peers.local_node,
            "epoch": self.peers.epoch.number,
            "ring_phase": self.peers.epoch.phase.name.lower(),
            "last_round_ms": self._last_round_ms,
            "round_took_ms": self._round_took_ms,
            "out_of_step": sync.out_of_step,
            "partitions_left": sync.partitions_left,
            "queue": self.mender.waiting_count,
            "lost": self.mender.lost_count,
            "pending": self.pending_count,
            "strays_left": sync.strays_left,
            "filling": sorted(set(self.peers.local_devices()) & self.peers.around.filling),
            "moving": {
                "total": len(progress.changing),
                "done": len(progress.changing) - len(progress.left),
                "decision": sync.decision.reason,
            },
            "entries_per_s": round(self.mover.entries.per_s(now), 1),
            "bytes_per_s": round(self.mover.bytes.per_s(now)),
            "partitions_per_s": round(rate, 2),
            "entries_moved": self.mover.entries.total,
            "bytes_moved": self.mover.bytes.total,
            "eta_s": eta_s(left + sync.strays_left, rate),
            "counts": {
                "mended": self.mender.mended_count,
                "reconciled": self.reconciled_count,
                "handed_back": self.hand_back.forgotten_count,
                "reclaimed": self.scanner.reclaimed_count,
                "expired": self.scanner.expired_count,
                "orphans": self.scanner.orphans_count,
                **self.lifecycle.counts(),
            },
            "lifecycle": self.lifecycle.status(),
            "workers": [_worker_words(worker.status()) for worker in self.workers.values()],
        }


def _worker_words(one: WorkerStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": one.state.value,
        "done": one.done_count,
        "total": one.total_count,
        "errors": one.errors_count,
        "last_error": one.last_error,
        "busy_s": round(one.busy_s, 3),
    }
