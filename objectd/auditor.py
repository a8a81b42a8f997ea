"""The auditor: paced workers that look after each device of the node.

For each device three of them: one asks every second how the device is, one reads all records again,
oldest verified first, and one gives dead space back. All rest in proportion to what they do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from kit.worker import Step, TokenBucket, Worker, WorkerStatus
from objectd.contract import Health
from objectd.service_state import NodeState
from objectd.store import Store

CHECK_INTERVAL_S: Final = 1.0
SCRUB_INTERVAL_S: Final = 60.0
COMPACT_INTERVAL_S: Final = 10.0
SCRUB_STEP_BYTES: Final = 4 * 1024 * 1024
COMPACT_STEP_BYTES: Final = 8 * 1024 * 1024
SCRUB_BYTES_PER_S_MIN: Final = 4 * 1024 * 1024
"""A small device is read through in minutes, whatever the period is."""
TRANQUILITY: Final = 1.0

HoldsAll = Callable[[int], Awaitable[bool]]


class Auditor:
    """Watches, scrubs and compacts the devices of a node.

    Each device is read through once in `period_s`, at no more than `bytes_per_s`. `holds_all` tells
    of a device that works whether it has all it ever acknowledged.
    """

    def __init__(self, state: NodeState, *, bytes_per_s: int, period_s: int, holds_all: HoldsAll) -> None:
        self._state = state
        self._holds_all = holds_all
        self._bytes_per_s = bytes_per_s
        self._period_s = period_s
        self._workers: dict[int, list[Worker]] = {}

    def watch(self, device: int, store: Store) -> None:
        """Look after a device from now on."""
        if device in self._workers:
            return
        care = _Care(self._state, device, store, rate=self._rate, holds_all=self._holds_all)
        self._workers[device] = [
            Worker(f"check-{device}", care.check, interval_s=CHECK_INTERVAL_S),
            Worker(
                f"scrub-{device}",
                care.scrub,
                interval_s=SCRUB_INTERVAL_S,
                tranquility=TRANQUILITY,
                bucket=TokenBucket(self._bytes_per_s),
            ),
            Worker(f"compact-{device}", care.compact, interval_s=COMPACT_INTERVAL_S, tranquility=TRANQUILITY),
        ]
        for worker in self._workers[device]:
            worker.start()

    def statuses(self) -> list[WorkerStatus]:
        """Return what every worker is doing."""
        return [worker.status() for workers in self._workers.values() for worker in workers]

    async def close(self) -> None:
        """End all workers."""
        for workers in self._workers.values():
            for worker in workers:
                await worker.cancel()

    def _rate(self, live_bytes: int) -> float:
        """Return at how many bytes per second to read a device."""
        return min(self._bytes_per_s, max(live_bytes / self._period_s, SCRUB_BYTES_PER_S_MIN))


class _Care:
    """The steps of one device's workers."""

    def __init__(
        self,
        state: NodeState,
        device: int,
        store: Store,
        *,
        rate: Callable[[int], float],
        holds_all: HoldsAll,
    ) -> None:
        self._state = state
        self._device = device
        self._store = store
        self._rate = rate
        self._holds_all = holds_all

    async def check(self, worker: Worker) -> Step:
        """Ask how the device is, and tell of a change; a device set aside may come back here."""
        health = await self._store.check()
        works_again = health is not Health.FAILED and self._device not in self._state.readable
        # What came back may be another disk, or an emptied folder.
        if works_again and await self._holds_all(self._device):
            self._state.trust(self._device)
        # A device may fail and come back within one check: those who were told of the one hear of the other.
        self._state.note_health(self._device, health, self._store.status().reason)
        return Step.IDLE

    async def scrub(self, worker: Worker) -> Step:
        """Verify some megabytes; bad records are reported by the store itself."""
        status = self._store.status()
        if status.health is Health.FAILED:
            return Step.IDLE
        worker.bucket.units_per_s = self._rate(status.live_bytes)
        read_bytes = 0
        async for step_bytes in self._store.scrub(SCRUB_STEP_BYTES):
            read_bytes += step_bytes
            self._state.metrics.devices[self._device].scrubbed_bytes += step_bytes
            await worker.pace(step_bytes)
        return Step.MORE if read_bytes >= SCRUB_STEP_BYTES else Step.IDLE

    async def compact(self, worker: Worker) -> Step:
        """Give some dead space back."""
        if self._store.status().health is Health.FAILED:
            return Step.IDLE
        moved_bytes = await self._store.compact(COMPACT_STEP_BYTES)
        self._state.metrics.devices[self._device].compacted_bytes += moved_bytes
        return Step.MORE if moved_bytes else Step.IDLE
