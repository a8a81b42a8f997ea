"""What a supervisor tells: a line on the terminal for people, the same as JSON in a log file for machines."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, TextIO

_WORDS: Final = {
    "started": "started (pid {pid})",
    "restarted": "replaced by a new process (pid {pid})",
    "revived": "running again (pid {pid})",
    "died": "died unexpectedly: {reason}",
    "killed": "had to be killed: {reason}",
    "start_failed": "cannot be started, trying again: {reason}",
    "restart_failed": "could not be replaced: {reason}",
    "stopping": "stopping",
    "stopped": "stopped",
}
_WARNINGS: Final = frozenset({"died", "killed", "start_failed", "restart_failed"})


class Echo(Enum):
    """Whether a journal is shown as it is written."""

    TERMINAL = "terminal"
    NONE = "none"


class Journal:
    """The supervisor's log, appended to `path`."""

    def __init__(
        self, path: Path, *, node: str, echo: Echo = Echo.TERMINAL, stream: TextIO | None = None
    ) -> None:
        """Open the log; `stream` replaces stderr as the terminal."""
        self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115  (closed by close)
        self._node = node
        self._echo = echo
        self._stream = stream or sys.stderr

    def log(self, event: str, *, role: str = "supervisor", **fields: Any) -> None:
        """Note an event of a process."""
        now = datetime.now(UTC)
        level = "warning" if event in _WARNINGS else "info"
        line = {
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "node": self._node,
            "role": role,
            "event": event,
            **fields,
        }
        self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        if self._echo is Echo.TERMINAL:
            words = _WORDS.get(event, event).format_map({"pid": "?", "reason": "?", **fields})
            clock = time.strftime("%H:%M:%S")
            self._stream.write(f"{clock} {self._node} {role:<12} {words}\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the log file."""
        self._file.close()
