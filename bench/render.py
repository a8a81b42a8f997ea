"""Tables for people, made with rich."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bench.report import Measurement, Ratio, Report, compare


def print_report(console: Console, report: Report) -> None:
    """All measurements, a line each, then the reasons of those that failed."""
    table = Table(title="Measurements", title_justify="left", header_style="bold")
    table.add_column("workload")
    table.add_column("store")
    columns = (
        "requests/s",
        "MB/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "server µs",
        "client µs",
        "peak RSS",
        "errors",
    )
    for name in columns:
        table.add_column(name, justify="right")
    table.add_column("driver")
    for row in report.measurements:
        table.add_row(*_measurement_cells(row), style="bold red" if row.failed else None)
    console.print(table)
    _print_facts(console, report.facts)
    _print_failures(console, report)


def _measurement_cells(row: Measurement) -> list[str]:
    load, latency = row.load, row.load.latency
    return [
        row.title,
        row.store,
        f"{row.requests_per_s:,.0f}",
        f"{row.megabytes_per_s:,.1f}" if load.body_bytes else "-",
        *(f"{value:,.2f}" for value in (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms)),
        _figure(row.server_cpu_us_per_request, "{:,.0f}"),
        _figure(row.client_cpu_us_per_request, "{:,.0f}"),
        f"{row.server.rss_peak_bytes / 2**20:,.0f} MiB" if row.server else "-",
        f"{sum(load.errors.values()):,}" if row.failed else "0",
        load.driver,
    ]


def print_comparison(
    console: Console, report: Report, *, baseline: str, subject: str, goals: Mapping[str, float]
) -> None:
    """Two stores side by side, each cell `subject / baseline = times better`."""
    ratios = compare(report, baseline=baseline, subject=subject, goals=goals)
    if not ratios:
        return
    table = Table(title=f"{subject} beside {baseline}", title_justify="left", header_style="bold")
    table.add_column("workload")
    for name in ("requests/s", "p50 ms", "p99 ms", "server CPU µs / request"):
        table.add_column(name, justify="right")
    table.add_column("times the requests/s", justify="right", style="bold")
    table.add_column("goal", justify="right")
    for ratio in ratios:
        table.add_row(*_ratio_cells(ratio), style="red" if _broken(ratio) else None)
    console.print(table)
    console.print(
        f"Each cell: {subject} | {baseline} (times better). p50, p99 and CPU count as better when smaller.",
        style="dim",
    )


def _ratio_cells(ratio: Ratio) -> list[str]:
    ours, theirs = ratio.subject, ratio.baseline
    if _broken(ratio):
        return [ratio.title, "FAILED", "-", "-", "-", "-", "-"]
    goal = "-" if ratio.goal is None else f"{ratio.goal:g}x {'reached' if ratio.reached else 'missed'}"
    return [
        ratio.title,
        f"{ours.requests_per_s:,.0f} | {theirs.requests_per_s:,.0f}",
        _pair(ours.load.latency.p50_ms, theirs.load.latency.p50_ms, ratio.p50, "{:,.2f}"),
        _pair(ours.load.latency.p99_ms, theirs.load.latency.p99_ms, ratio.p99, "{:,.2f}"),
        _pair(ours.server_cpu_us_per_request, theirs.server_cpu_us_per_request, ratio.server_cpu, "{:,.0f}"),
        f"{ratio.requests_per_s:,.2f}x",
        goal,
    ]


def _broken(ratio: Ratio) -> bool:
    return ratio.subject.failed or ratio.baseline.failed


def _pair(ours: float | None, theirs: float | None, times: float | None, form: str) -> str:
    return f"{_figure(ours, form)} | {_figure(theirs, form)} ({_figure(times, '{:,.1f}x')})"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _print_facts(console: Console, facts: Mapping[str, str]) -> None:
    for key, value in facts.items():
        console.print(f"{key}: {value}", style="dim", markup=False, highlight=False)


def _print_failures(console: Console, report: Report) -> None:
    for row in report.measurements:
        if not row.failed:
            continue
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in row.load.errors.items())
        console.print(
            f"FAILED {row.store}, {row.title}: {reasons or 'no request was answered'}",
            style="bold red",
            markup=False,
            highlight=False,
        )
