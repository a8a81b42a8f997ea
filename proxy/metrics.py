"""What a proxy worker counts for Prometheus: requests by API, method and status, and how long they took."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

from kit.telemetry import Metrics

_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS"})


class RequestMetrics:
    """The figures of one worker."""

    def __init__(self, *, node: str, role: str) -> None:
        metrics = Metrics(role, node)
        self.render = metrics.render
        self._requests = metrics.counter("requests", "Requests answered.", ("api", "method", "status"))
        self._seconds = metrics.latency(
            "request_seconds", "From the head of a request to the end of its answer.", ("api", "method")
        )
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
