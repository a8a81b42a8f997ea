"""Runs a table of workloads upon one or more stores, row by row, and gathers the report."""

import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.report import Measurement, Report, median_run
from bench.runner import Runner
from bench.store import RunningStore
from bench.workload import Workload


def run_table(
    stores: Sequence[RunningStore],
    workloads: Sequence[Workload],
    *,
    rounds: int,
    driver: str,
    console: Console,
) -> Report:
    """Measure every row on every store in turn, so that a slow spell of the machine falls on all of them."""
    measurements: list[Measurement] = []
    with ExitStack() as stack:
        status = stack.enter_context(console.status("starting"))
        prefix = ""

        def say(text: str) -> None:
            status.update(f"{prefix}{text}")

        runners = [Runner(store, driver=driver, say=say) for store in stores]
        for number, workload in enumerate(workloads, 1):
            prefix = f"[{number}/{len(workloads)}] "
            runs: dict[int, list[Measurement]] = {index: [] for index in range(len(runners))}
            for _ in range(rounds):
                for index, runner in enumerate(runners):
                    runs[index].append(runner.measure(workload))
                    _tell(console, runs[index][-1])
            measurements.extend(median_run(found) for found in runs.values())
    return Report(tuple(measurements), _facts(stores))


def _tell(console: Console, row: Measurement) -> None:
    # Piped output has no live status line: a line for each run shows that something moves.
    cpu = row.server_cpu_us_per_request
    text = f"{row.store:>8}  {row.title:<26} {row.requests_per_s:>9,.0f}/s"
    text += f"  p50 {row.load.latency.p50_ms:8.2f} ms  p99 {row.load.latency.p99_ms:8.2f} ms"
    text += f"  server {cpu:,.0f} µs" if cpu is not None else ""
    text += f"  FAILED: {dict(row.load.errors)}" if row.failed else ""
    console.print(text, style="red" if row.failed else "dim", markup=False, highlight=False, soft_wrap=True)


def _facts(stores: Sequence[RunningStore]) -> dict[str, str]:
    facts = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} CPUs, {_memory_gib():.0f} GiB, Linux {platform.release()}",
        "load average": f"{os.getloadavg()[0]:.1f}",
    }
    return facts | {store.name: store.version for store in stores if store.version}


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def empty_folder(path: Path) -> Path:
    """A folder made for this run alone; refuses one that holds anything."""
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FileExistsError(f"{path} is not empty: name another folder")
    return path
