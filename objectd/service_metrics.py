"""Figures of the daemon that cost next to nothing to keep: calls and latencies as powers of two.

Pure: `LatencyHistogram` is one list; what turns them into Prometheus text is `service_figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BUCKET_COUNT: Final = 26
"""Bucket n counts latencies below 2**n microseconds; the last holds all above 16 seconds."""


class LatencyHistogram:
    """Counts of latencies by powers of two of microseconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * BUCKET_COUNT
        self.sum_s = 0.0

    def observe(self, latency_s: float) -> None:
        """Count a latency in seconds."""
        self.sum_s += latency_s
        bits = int(latency_s * 1_000_000).bit_length()
        self.counts[bits if bits < BUCKET_COUNT else BUCKET_COUNT - 1] += 1

    @property
    def count(self) -> int:
        """How many latencies were counted."""
        return sum(self.counts)

    def cumulated(self) -> list[tuple[str, float]]:
        """Return (upper bound in seconds, count up to it), as Prometheus wants them."""
        found: list[tuple[str, float]] = []
        total = 0
        for bits, count in enumerate(self.counts[:-1]):
            total += count
            found.append((repr((1 << bits) / 1_000_000), total))
        found.append(("+Inf", total + self.counts[-1]))
        return found


class OpMetrics:
    """What is counted of one operation."""

    __slots__ = ("error_count", "in_flight", "latency")

    def __init__(self) -> None:
        self.latency = LatencyHistogram()
        self.error_count = 0
        self.in_flight = 0


class DeviceMetrics:
    """What is counted of one device's commits."""

    __slots__ = (
        "commit_latency",
        "compacted_bytes",
        "failed_count",
        "queued_writes",
        "read_bytes",
        "scrubbed_bytes",
        "written_bytes",
    )

    def __init__(self) -> None:
        self.commit_latency = LatencyHistogram()
        self.queued_writes = 0
        self.failed_count = 0
        self.read_bytes = 0
        self.written_bytes = 0
        self.scrubbed_bytes = 0
        self.compacted_bytes = 0


class NodeMetrics:
    """All counters of a daemon: by operation, and by device."""

    def __init__(self, ops: Sequence[str], devices: Sequence[int] = ()) -> None:
        self.ops = {op: OpMetrics() for op in ops}
        self.devices = {device: DeviceMetrics() for device in devices}
