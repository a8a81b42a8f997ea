"""What a measurement found, how two compare, and their form in JSON. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

FORMAT_VERSION = 1


class MalformedReport(ValueError):
    """A file that is not a report of this program, or of a later version."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The spread of the time from request to the last byte of its response, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a load driver counted; `errors` maps a reason to how often it occurred."""

    driver: str
    requests: int
    elapsed_s: float
    body_bytes: int
    latency: Latency
    errors: Mapping[str, int] = field(default_factory=dict)
    client_cpu_us: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerCost:
    """What the server's processes spent during a run; `rss_peak_bytes` sums each process's peak."""

    cpu_us: float
    rss_peak_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One workload upon one store."""

    workload: str
    title: str
    store: str
    load: Load
    server: ServerCost | None = None

    @property
    def failed(self) -> bool:
        """True if any request failed, or none was made."""
        return bool(self.load.errors) or self.load.requests == 0

    @property
    def requests_per_s(self) -> float:
        """Good responses in each second of the run."""
        return self.load.requests / self.load.elapsed_s if self.load.elapsed_s > 0 else 0.0

    @property
    def megabytes_per_s(self) -> float:
        """Bodies moved, in 10^6 bytes per second."""
        return self.load.body_bytes / self.load.elapsed_s / 1e6 if self.load.elapsed_s > 0 else 0.0

    @property
    def server_cpu_us_per_request(self) -> float | None:
        """CPU time of all server processes for each request, in microseconds."""
        if self.server is None or not self.load.requests:
            return None
        return self.server.cpu_us / self.load.requests

    @property
    def client_cpu_us_per_request(self) -> float | None:
        """CPU time of the load generator for each request, in microseconds."""
        return self.load.client_cpu_us / self.load.requests if self.load.requests else None


@dataclass(frozen=True, slots=True)
class Report:
    """All measurements of one invocation, with what is worth knowing about the stores and the machine."""

    measurements: tuple[Measurement, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True if any row failed."""
        return any(measurement.failed for measurement in self.measurements)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One row of a comparison: each figure says how many times better `subject` is than `baseline`."""

    workload: str
    title: str
    baseline: Measurement
    subject: Measurement
    requests_per_s: float
    p50: float | None
    p99: float | None
    server_cpu: float | None
    goal: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None where none is set."""
        return None if self.goal is None else self.requests_per_s >= self.goal


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of an ascending sequence, `share` in 0 to 1; 0 for an empty one."""
    if not ordered:
        return 0.0
    return ordered[max(0, min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1))]


def latency_of(latencies_s: Iterable[float]) -> Latency:
    """Summarise latencies given in seconds."""
    ordered = sorted(latencies_s)
    return Latency(
        p50_ms=percentile(ordered, 0.50) * 1e3,
        p90_ms=percentile(ordered, 0.90) * 1e3,
        p99_ms=percentile(ordered, 0.99) * 1e3,
        max_ms=percentile(ordered, 1.0) * 1e3,
    )


def with_errors(load: Load, errors: Mapping[str, int]) -> Load:
    """The same load with further errors counted in."""
    merged = dict(load.errors)
    for reason, count in errors.items():
        merged[reason] = merged.get(reason, 0) + count
    return replace(load, errors=merged)


def median_run(runs: Sequence[Measurement]) -> Measurement:
    """The run with the median requests per second; a failed one is never hidden by the others."""
    broken = [run for run in runs if run.failed]
    if broken:
        return broken[0]
    return sorted(runs, key=lambda run: run.requests_per_s)[(len(runs) - 1) // 2]


def compare(report: Report, *, baseline: str, subject: str, goals: Mapping[str, float]) -> tuple[Ratio, ...]:
    """Pair the rows that both stores have, in the order of the report."""
    by_key = {(row.workload, row.store): row for row in report.measurements}
    names = dict.fromkeys(row.workload for row in report.measurements)
    ratios = []
    for name in names:
        ours, theirs = by_key.get((name, subject)), by_key.get((name, baseline))
        if ours is None or theirs is None:
            continue
        ratios.append(
            Ratio(
                workload=name,
                title=ours.title,
                baseline=theirs,
                subject=ours,
                requests_per_s=_times(ours.requests_per_s, theirs.requests_per_s) or 0.0,
                p50=_times(theirs.load.latency.p50_ms, ours.load.latency.p50_ms),
                p99=_times(theirs.load.latency.p99_ms, ours.load.latency.p99_ms),
                server_cpu=_times(theirs.server_cpu_us_per_request, ours.server_cpu_us_per_request),
                goal=goals.get(name),
            )
        )
    return tuple(ratios)


def _times(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values, derived figures beside the raw ones."""
    return {
        "version": FORMAT_VERSION,
        "facts": dict(report.facts),
        "measurements": [_measurement_to_json(row) for row in report.measurements],
    }


def _measurement_to_json(row: Measurement) -> dict[str, Any]:
    load, latency, server = row.load, row.load.latency, row.server
    return {
        "workload": row.workload,
        "title": row.title,
        "store": row.store,
        "driver": load.driver,
        "requests": load.requests,
        "elapsed_s": load.elapsed_s,
        "body_bytes": load.body_bytes,
        "requests_per_s": row.requests_per_s,
        "megabytes_per_s": row.megabytes_per_s,
        "p50_ms": latency.p50_ms,
        "p90_ms": latency.p90_ms,
        "p99_ms": latency.p99_ms,
        "max_ms": latency.max_ms,
        "errors": dict(load.errors),
        "failed": row.failed,
        "client_cpu_us": load.client_cpu_us,
        "server_cpu_us_per_request": row.server_cpu_us_per_request,
        "server": server
        and {"cpu_us": server.cpu_us, "rss_peak_bytes": server.rss_peak_bytes, "processes": server.processes},
    }


def from_json(value: Any) -> Report:
    """Read what `to_json` gave; raises MalformedReport."""
    if not isinstance(value, dict) or value.get("version") != FORMAT_VERSION:
        raise MalformedReport(f"not a bench report of version {FORMAT_VERSION}")
    try:
        rows = tuple(_measurement_from_json(row) for row in value["measurements"])
        return Report(rows, {str(key): str(fact) for key, fact in value["facts"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedReport(f"a bench report with a field missing or of the wrong kind: {error}") from error


def _measurement_from_json(row: Mapping[str, Any]) -> Measurement:
    load = Load(
        driver=row["driver"],
        requests=row["requests"],
        elapsed_s=row["elapsed_s"],
        body_bytes=row["body_bytes"],
        latency=Latency(row["p50_ms"], row["p90_ms"], row["p99_ms"], row["max_ms"]),
        errors=dict(row["errors"]),
        client_cpu_us=row["client_cpu_us"],
    )
    server = ServerCost(**row["server"]) if row["server"] else None
    return Measurement(row["workload"], row["title"], row["store"], load, server)


def merge(reports: Iterable[Report]) -> Report:
    """Several reports as one; a later measurement of the same row and store replaces an earlier one."""
    rows: dict[tuple[str, str], Measurement] = {}
    facts: dict[str, str] = {}
    for report in reports:
        rows.update({(row.workload, row.store): row for row in report.measurements})
        facts.update(report.facts)
    return Report(tuple(rows.values()), facts)
