"""Telemetry: JSON logs on standard error, and Prometheus metrics of one process.

Each process has a registry and a /metrics of its own; nothing is shared between processes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Final, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from structlog.typing import EventDict, Processor, WrappedLogger

from kit.request_context import request_id_var

LATENCY_BUCKETS_S: Final = (
    50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
# They double the series of each counter, and say nothing that the start of the process does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def configure_logging(role: str, node: str, level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to standard error as one JSON object.

    Lines carry timestamp, level, logger, event, the request id where there is one, the process's
    role and the node's name. Both structlog's loggers and the standard library's go this way.
    """

    def add_place(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["role"] = role
        event["node"] = node
        request_id = request_id_var.get()
        if request_id:
            event["request_id"] = request_id
        return event

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_place,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=repr),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class Metrics:
    """The metrics of one process: `colonnade_…`, and `process_…` as every exporter has them."""

    def __init__(self, role: str, node: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.gauge("process", "Is 1 for each process that runs, by role and node.", ("role", "node")).labels(
            role, node
        ).set(1)

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """Return a new counter; its name is given without the `_total` that Prometheus adds."""
        return Counter(f"colonnade_{name}", doc, labels, registry=self.registry)

    def gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a new gauge."""
        return Gauge(f"colonnade_{name}", doc, labels, registry=self.registry)

    def latency(self, name: str, doc: str, labels: Sequence[str] = ()) -> Histogram:
        """Return a new histogram of seconds, with buckets from 50 µs to 10 s; name it `…_seconds`."""
        return Histogram(f"colonnade_{name}", doc, labels, registry=self.registry, buckets=LATENCY_BUCKETS_S)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
