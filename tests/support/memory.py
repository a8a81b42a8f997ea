"""What the processes of a colony hold, from /proc alone: anonymous memory, open files, unnamed files."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SAMPLE_S = 0.02


class MemoryWatch:
    """Samples processes from entry to exit; `growth_bytes` then has by how much each grew at most."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """Watch processes, named by process id."""
        self.names = dict(names)
        self._before = {pid: anonymous_bytes(pid) for pid in self.names}
        self._most = dict(self._before)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory-watch", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth_bytes(self) -> dict[str, int]:
        """How many bytes of anonymous memory each process had more, at most, than at the beginning."""
        return {name: self._most[pid] - self._before[pid] for pid, name in self.names.items()}

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for pid, most in self._most.items():
                self._most[pid] = max(most, anonymous_bytes(pid))


def anonymous_bytes(pid: int) -> int:
    """Return a process's resident memory that is no file's: what it allocated."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return (int(found["RssAnon"].split()[0]) + int(found["RssShmem"].split()[0])) * 1024


def unnamed_file_bytes(pid: int) -> int:
    """Return the bytes on disk of files that a process has open and that have no name."""
    total = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).endswith(" (deleted)"):
                total += os.stat(entry).st_blocks * 512
        except FileNotFoundError:
            continue  # closed while we looked
    return total


def open_file_count(pid: int) -> int:
    """Return how many files, sockets and pipes a process has open, a device's volumes and index apart.

    Those come and go as the device pleases, whatever requests are under way.
    """
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        count += not (target.endswith(".vol") or "/index/" in target)
    return count
