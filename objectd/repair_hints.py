"""The list of writes that devices of this node should hold and did not take. Pure.

Hints hasten repair and promise nothing: the list is bounded and lives in memory. What it forgets,
the comparison of digests finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from objectd.contract import RepairHint

HINTS_MAX: Final = 100_000


class RepairHints:
    """Keys and the devices that lack them, oldest first; a key is kept once."""

    __slots__ = ("_hints", "_hints_max", "dropped_count", "noted_count")

    def __init__(self, hints_max: int = HINTS_MAX) -> None:
        self._hints: dict[bytes, RepairHint] = {}
        self._hints_max = hints_max
        self.noted_count = 0
        self.dropped_count = 0

    def __len__(self) -> int:
        return len(self._hints)

    def note(self, key: bytes, devices: Iterable[int], now_ms: int) -> None:
        """Note that these devices lack what was written under a key."""
        self.noted_count += 1
        held = self._hints.get(key)
        if held is not None:
            held.devices.extend(device for device in devices if device not in held.devices)
            return
        if len(self._hints) >= self._hints_max:
            # The oldest goes: repair has not come by for long, and will compare whole partitions.
            del self._hints[next(iter(self._hints))]
            self.dropped_count += 1
        self._hints[key] = RepairHint(key, list(devices), now_ms)

    def take(self, limit: int) -> list[RepairHint]:
        """Remove and return the oldest hints."""
        keys = [key for key, _ in zip(self._hints, range(limit), strict=False)]
        return [self._hints.pop(key) for key in keys]
