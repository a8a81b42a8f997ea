"""The replicator's figures as Prometheus text."""

from __future__ import annotations

from typing import Any, Final

from kit.telemetry import Metrics
from replicator.engine import Engine

_GAUGES: Final = {
    "out_of_step": "Partitions led here that differed in the last round.",
    "queue": "Keys known to lack a copy and not mended yet.",
    "lost": "Quarantined records of which no good copy was found.",
    "pending": "Unfinished writes not reconciled yet.",
    "strays_left": "Partitions held here by devices that are not their homes.",
    "entries_moved": "Entries sent to devices that lacked them, since the start.",
    "bytes_moved": "Bytes of payload sent to devices that lacked them, since the start.",
}


class Figures:
    """Renders the engine's status for scraping."""

    def __init__(self, node: str, engine: Engine) -> None:
        self._engine = engine
        self._metrics = Metrics("replicator", node)
        self._gauges = {name: self._metrics.gauge(f"replicator_{name}", doc) for name, doc in _GAUGES.items()}
        self._counts = self._metrics.gauge(
            "replicator_done", "What was done since the start, by kind.", ("kind",)
        )
        self._moving = self._metrics.gauge(
            "replicator_moving", "Partitions of a ring change: all of them, and those done.", ("which",)
        )

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        status: dict[str, Any] = self._engine.status()
        for name, gauge in self._gauges.items():
            gauge.set(status[name])
        for kind, count in status["counts"].items():
            self._counts.labels(kind).set(count)
        for which in ("total", "done"):
            self._moving.labels(which).set(status["moving"][which])
        return self._metrics.render()
