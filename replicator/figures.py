"""The replicator's figures as Prometheus text, made of its status when it is scraped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kit.telemetry import Metrics
from replicator.engine import Engine

_Status = Mapping[str, Any]

_GAUGES: Final[tuple[tuple[str, str, Callable[[_Status], float]], ...]] = (
    (
        "partitions_out_of_step",
        "Partitions led here that differed in the last round.",
        lambda s: s["out_of_step"],
    ),
    (
        "partitions_left",
        "Of the partitions out of step, those not mended yet.",
        lambda s: s["partitions_left"],
    ),
    ("queued_keys", "Keys known to lack a copy and not mended yet.", lambda s: s["queue"]),
    ("lost_records", "Quarantined records of which no good copy was found.", lambda s: s["lost"]),
    ("pending_writes", "Unfinished writes not reconciled yet.", lambda s: s["pending"]),
    (
        "stray_partitions",
        "Partitions held here by devices that are not their homes.",
        lambda s: s["strays_left"],
    ),
    (
        "filling_devices",
        "Devices here that came back empty and are being filled.",
        lambda s: len(s["filling"]),
    ),
    (
        "changing_partitions",
        "Partitions that the ring change under way moves.",
        lambda s: s["moving"]["total"],
    ),
    ("changed_partitions", "Of the changing partitions, those done.", lambda s: s["moving"]["done"]),
    (
        "eta_seconds",
        "Time until everything is in step at the present rate, NaN where it is not known.",
        lambda s: math.nan if s["eta_s"] is None else s["eta_s"],
    ),
    (
        "last_round_timestamp_seconds",
        "When the last round of comparison ended, 0 for never.",
        lambda s: s["last_round_ms"] / 1000,
    ),
    (
        "lifecycle_last_pass_timestamp_seconds",
        "When the last pass of lifecycle rules ended, 0 for never.",
        lambda s: s["lifecycle"]["last_pass_ms"] / 1000,
    ),
    (
        "lifecycle_pass_seconds",
        "How long the last pass of lifecycle rules took.",
        lambda s: s["lifecycle"]["took_ms"] / 1000,
    ),
    (
        "lifecycle_pass_buckets",
        "Buckets with lifecycle rules led here, in the last pass.",
        lambda s: s["lifecycle"]["buckets"],
    ),
    (
        "lifecycle_pass_rows",
        "Listing rows that the last pass of lifecycle rules looked at.",
        lambda s: s["lifecycle"]["rows"],
    ),
    (
        "lifecycle_pass_failures",
        "Keys, uploads and buckets that the last pass of lifecycle rules left to the next.",
        lambda s: s["lifecycle"]["failed"],
    ),
    ("round_seconds", "How long the last round of comparison took.", lambda s: s["round_took_ms"] / 1000),
)


class EngineCollector(Collector):
    """Yields what the engine's status says."""

    def __init__(self, status: Callable[[], _Status]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        status = self._status()
        for name, doc, value in _GAUGES:
            yield GaugeMetricFamily(f"colonnade_replicator_{name}", doc, value(status))
        yield CounterMetricFamily(
            "colonnade_replicator_moved_entries",
            "Entries sent to devices that lacked them.",
            status["entries_moved"],
        )
        yield CounterMetricFamily(
            "colonnade_replicator_moved_bytes",
            "Bytes of payload sent to devices that lacked them.",
            status["bytes_moved"],
        )
        done = CounterMetricFamily("colonnade_replicator_done", "What was done, by kind.", labels=["kind"])
        for kind, count in status["counts"].items():
            done.add_metric([kind], count)
        errors = CounterMetricFamily(
            "colonnade_replicator_worker_errors", "Rounds of a worker that failed.", labels=["worker"]
        )
        busy = CounterMetricFamily(
            "colonnade_replicator_worker_busy_seconds", "Time a worker was at work.", labels=["worker"]
        )
        for worker in status["workers"]:
            errors.add_metric([worker["name"]], worker["errors"])
            busy.add_metric([worker["name"]], worker["busy_s"])
        yield from (done, errors, busy)


class Figures:
    """Renders the engine's status for scraping."""

    def __init__(self, node: str, engine: Engine) -> None:
        metrics = Metrics("replicator", node)
        metrics.registry.register(EngineCollector(engine.status))
        self.render = metrics.render
