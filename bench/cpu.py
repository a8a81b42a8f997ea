"""Measures what a tree of server processes spends, from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.proc_text import ProcessStat, parse_peak_rss_bytes, parse_stat, select_tree
from bench.report import ServerCost

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuReading:
    """The CPU time of a tree of processes so far, with their ids."""

    cpu_us: float
    pids: tuple[int, ...]


def process_tree(roots: Iterable[int]) -> tuple[ProcessStat, ...]:
    """The living processes among the roots, their descendants and their sessions."""
    stats = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                stats.append(parse_stat((entry / "stat").read_text(errors="replace")))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return select_tree(stats, roots)


def read_cpu(roots: Iterable[int]) -> CpuReading:
    """CPU time of the tree; that of a worker which ended in between stays counted with its parent."""
    tree = process_tree(roots)
    us_per_tick = 1e6 / os.sysconf("SC_CLK_TCK")
    return CpuReading(sum(stat.cpu_ticks for stat in tree) * us_per_tick, tuple(stat.pid for stat in tree))


def cost_between(before: CpuReading, after: CpuReading) -> ServerCost:
    """What was spent from one reading to the other, with the peak memory of those alive now."""
    peak_bytes = 0
    for pid in after.pids:
        try:
            peak_bytes += parse_peak_rss_bytes((_PROC / str(pid) / "status").read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ServerCost(max(0.0, after.cpu_us - before.cpu_us), peak_bytes, len(after.pids))
