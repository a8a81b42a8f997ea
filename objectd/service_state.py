"""What all handlers of a node share: its stores, its ring epoch, its repair hints and its figures."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kit.clock import wall_clock_ms
from model.errors import DeviceFailed, StaleRing
from objectd.contract import Health, Notice, Op
from objectd.gaps import Gaps
from objectd.recent_ballots import RecentBallots
from objectd.recent_writes import RecentWrites
from objectd.repair_hints import RepairHints
from objectd.service_metrics import DeviceMetrics, NodeMetrics
from objectd.store import DeviceStatus, Store

_log = logging.getLogger(__name__)


class Epoch(Protocol):
    """Whatever knows the node's ring epoch."""

    @property
    def epoch(self) -> int:
        """The epoch; 0 where there is no ring yet."""


class NodeState:
    """One node's devices and what is known beside them.

    `stores` holds the devices that work or may work again. `readable` are those of them that may be
    asked what they hold: not a device that failed, until it is sure that it came back with all it
    had, and not one that is filling (objectd.device_register).
    """

    def __init__(
        self,
        stores: Mapping[int, Store],
        ring: Epoch,
        *,
        name: str,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.name = name
        self.ring = ring
        self.now_ms = now_ms
        self.started_ms = now_ms()
        self.stores: dict[int, Store] = {}
        self.readable: dict[int, Store] = {}
        self.repairs = RepairHints()
        self.recent = RecentWrites()
        self.ballots = RecentBallots(self.started_ms)
        self.gaps: dict[tuple[int, bytes], Gaps] = {}
        self.metrics = NodeMetrics(list(Op))
        self._told: dict[int, Health] = {}
        self.push: Callable[[str, Any], None] = _nobody_listens
        for device, store in stores.items():
            self.add_store(device, store)

    def add_store(self, device: int, store: Store, *, readable: bool = True) -> None:
        """Serve a device from now on."""
        self.stores[device] = store
        if readable:
            self.readable[device] = store
        self.metrics.devices.setdefault(device, DeviceMetrics())
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def told(reason: str, key: bytes | None) -> None:
            if threading.get_ident() == thread:
                self.note_problem(device, reason, key)
            else:
                loop.call_soon_threadsafe(self.note_problem, device, reason, key)

        store.on_problem(told)

    def note_problem(self, device: int, reason: str, key: bytes | None) -> None:
        """Take note of a record or a device that went bad, and tell who listens."""
        if key is not None:
            _log.warning("record is bad", extra={"device": device, "reason": reason, "key": key.hex()})
            self.repairs.note(key, (device,), self.now_ms())
            return
        health = self.stores[device].status().health if device in self.stores else Health.FAILED
        _log.error("device problem", extra={"device": device, "reason": reason, "health": health.name})
        if health is Health.FAILED:
            self.readable.pop(device, None)
        self.note_health(device, health, reason)

    def note_health(self, device: int, health: Health, reason: str) -> None:
        """Tell who listens how a device is, where that is not what they were told last."""
        if self._told.get(device, Health.OK) is not health:
            self._told[device] = health
            _log.warning("device health", extra={"device": device, "health": health.name, "reason": reason})
            self.push(Notice.DEVICE, [device, int(health), reason])

    def trust(self, device: int) -> None:
        """Ask a device again what it holds."""
        # It may have been formatted anew meanwhile, and its change log with it.
        for known in [known for known in self.gaps if known[0] == device]:
            del self.gaps[known]
        self.readable[device] = self.stores[device]

    @property
    def filling(self) -> list[int]:
        """The devices that serve but are not asked what they hold."""
        return sorted(self.stores.keys() - self.readable.keys())

    def check_epoch(self, epoch: int) -> None:
        """Raise StaleRing unless the caller placed its request by the ring this node is at."""
        if epoch != self.ring.epoch:
            raise StaleRing(self.ring.epoch)

    def store(self, device: int) -> Store:
        """Return the store of a device. Raises DeviceFailed for one this node does not serve."""
        store = self.stores.get(device)
        if store is None:
            raise DeviceFailed(f"device {device} is not served by node {self.name}")
        return store

    def statuses(self) -> list[DeviceStatus]:
        """Return the status of every device, in order of id."""
        return [self.stores[device].status() for device in sorted(self.stores)]


def _nobody_listens(op: str, args: Any) -> None:
    """Before there is a server, nobody can be told."""
