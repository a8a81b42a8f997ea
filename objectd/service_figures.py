"""The figures of a node as Prometheus reads them, made when it asks and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from objectd.service_metrics import DeviceMetrics
from objectd.service_state import NodeState
from objectd.store import DeviceStatus

_COUNTERS: Final[tuple[tuple[str, str, Callable[[DeviceMetrics], float]], ...]] = (
    ("read_bytes", "Payload bytes sent from a device.", lambda one: one.read_bytes),
    ("written_bytes", "Payload bytes taken by a device.", lambda one: one.written_bytes),
    ("scrubbed_bytes", "Bytes verified by the auditor.", lambda one: one.scrubbed_bytes),
    ("compacted_bytes", "Bytes moved or freed by compaction.", lambda one: one.compacted_bytes),
    ("failed_writes", "Writes that a device did not take.", lambda one: one.failed_count),
)
_GAUGES: Final[tuple[tuple[str, str, Callable[[DeviceStatus], float]], ...]] = (
    (
        "health",
        "1 where a device is well, 2 where it is read-only, 3 where it is set aside.",
        lambda s: s.health,
    ),
    ("capacity_bytes", "Size of a device.", lambda s: s.capacity_bytes),
    ("free_bytes", "Room left on a device.", lambda s: s.free_bytes),
    ("live_bytes", "Bytes of records that count.", lambda s: s.live_bytes),
    ("dead_bytes", "Bytes that compaction can give back.", lambda s: s.dead_bytes),
    ("entries", "Entries that a device holds.", lambda s: s.entry_count),
    ("quarantined", "Records set aside since their bytes failed a checksum.", lambda s: s.quarantined_count),
    (
        "oldest_verified_timestamp_seconds",
        "When the record longest unverified was scrubbed.",
        lambda s: s.oldest_verified_ms / 1000,
    ),
)


class NodeCollector(Collector):
    """Yields the metrics of a node: operations, devices, repair hints, ring epoch."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        yield from self._ops()
        yield from self._devices()
        yield GaugeMetricFamily("colonnade_ring_epoch", "Ring epoch of the node.", self._state.ring.epoch)
        hints = self._state.repairs
        yield GaugeMetricFamily("colonnade_repair_hints", "Writes that wait for repair.", len(hints))
        yield CounterMetricFamily(
            "colonnade_repair_hints_dropped", "Hints that found no room.", hints.dropped_count
        )

    def _ops(self) -> Iterator[Metric]:
        seconds = HistogramMetricFamily(
            "colonnade_objectd_call_seconds", "Duration of calls by operation.", labels=["op"]
        )
        errors = CounterMetricFamily("colonnade_objectd_call_errors", "Calls that failed.", labels=["op"])
        flying = GaugeMetricFamily("colonnade_objectd_calls", "Calls in flight.", labels=["op"])
        for op, figures in self._state.metrics.ops.items():
            seconds.add_metric([op], figures.latency.cumulated(), figures.latency.sum_s)
            errors.add_metric([op], figures.error_count)
            flying.add_metric([op], figures.in_flight)
        yield from (seconds, errors, flying)

    def _devices(self) -> Iterator[Metric]:
        devices = self._state.metrics.devices
        seconds = HistogramMetricFamily(
            "colonnade_device_commit_seconds",
            "From a commit to its bytes on stable storage.",
            labels=["device"],
        )
        queued = GaugeMetricFamily(
            "colonnade_device_queued_writes", "Writes that wait for a device.", labels=["device"]
        )
        for device, figures in devices.items():
            seconds.add_metric(
                [str(device)], figures.commit_latency.cumulated(), figures.commit_latency.sum_s
            )
            queued.add_metric([str(device)], figures.queued_writes)
        yield from (seconds, queued)
        for name, doc, count in _COUNTERS:
            counter = CounterMetricFamily(f"colonnade_device_{name}", doc, labels=["device"])
            for device, figures in devices.items():
                counter.add_metric([str(device)], count(figures))
            yield counter
        filling = GaugeMetricFamily(
            "colonnade_device_filling",
            "1 where a device came back empty and lacks entries still.",
            labels=["device"],
        )
        for device in sorted(self._state.stores):
            filling.add_metric([str(device)], device not in self._state.readable)
        yield filling
        statuses = self._state.statuses()
        for name, doc, value in _GAUGES:
            gauge = GaugeMetricFamily(f"colonnade_device_{name}", doc, labels=["device"])
            for status in statuses:
                gauge.add_metric([str(status.device_id)], value(status))
            yield gauge
