"""Reads the text of Linux's /proc/<pid>/stat and status, and finds a tree of processes in it. Pure.

Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One process; `cpu_ticks` holds its own time and that of the children it has waited for."""

    pid: int
    state: str
    parent_pid: int
    session_id: int
    cpu_ticks: int


def parse_stat(text: str) -> ProcessStat:
    """Read /proc/<pid>/stat; the name in parentheses may hold anything, parentheses and spaces too."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    return ProcessStat(
        pid=int(before.split("(", 1)[0]),
        state=fields[0],
        parent_pid=int(fields[1]),
        session_id=int(fields[3]),
        cpu_ticks=sum(int(value) for value in fields[11:15]),
    )


def parse_peak_rss_bytes(text: str) -> int:
    """The high-water mark of resident memory in /proc/<pid>/status, 0 for a process without memory."""
    match = _PEAK.search(text)
    return int(match.group(1)) * 1024 if match else 0


def parse_rss_bytes(text: str) -> int:
    """The resident memory in /proc/<pid>/status, 0 for a process without memory."""
    match = _RESIDENT.search(text)
    return int(match.group(1)) * 1024 if match else 0


def select_tree(stats: Iterable[ProcessStat], roots: Iterable[int]) -> tuple[ProcessStat, ...]:
    """The roots, all their descendants, and the session that a root leads (a daemon changes its parent)."""
    stats = tuple(stats)
    chosen = set(roots)
    sessions = frozenset(chosen)
    while True:
        found = {
            stat.pid
            for stat in stats
            if stat.pid not in chosen and (stat.parent_pid in chosen or stat.session_id in sessions)
        }
        if not found:
            return tuple(stat for stat in stats if stat.pid in chosen)
        chosen |= found
