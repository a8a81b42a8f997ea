"""What a proxy worker counts for Prometheus: requests by API, method and status, and how long they took."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS"})


class RequestMetrics:
    """The figures of one worker, in a registry of their own."""

    def __init__(self, *, node: str, role: str) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "colonnade_requests", "Requests answered.", ("api", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "colonnade_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("api", "method"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        Gauge(
            "colonnade_process", "One for each process that serves.", ("node", "role"), registry=registry
        ).labels(node, role).set(1)
        # The children by their labels: looking them up in the registry costs more than counting.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def note(self, api: str, method: str, status: int, elapsed_s: float) -> None:
        """Count one request."""
        known = self._known.get((api, method, status))
        if known is None:
            known = self._learn(api, method, status)
        known[0].inc()
        known[1].observe(elapsed_s)

    def _learn(self, api: str, method: str, status: int) -> tuple[Counter, Histogram]:
        # A client may invent methods without end; labels must not grow with them.
        if method not in _METHODS:
            return self._requests.labels(api, "other", status), self._seconds.labels(api, "other")
        known = self._requests.labels(api, method, status), self._seconds.labels(api, method)
        self._known[api, method, status] = known
        return known

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)
