"""One JSON line for each request, written in batches: a line costs microseconds, no request waits for it."""

from __future__ import annotations

import asyncio
import os
import time
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from proxy.http.messages import Request

FLUSH_S: Final = 0.2
FLUSH_LINES: Final = 256


class AccessLog:
    """Writes lines to a descriptor; `role` says which process of the node it was."""

    def __init__(self, descriptor: int, *, node: str, role: str) -> None:
        self._descriptor = descriptor
        self._front = f'"level":"info","node":{quoted(node)},"role":{quoted(role)},"event":"request"'
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._clock = ""

    def note(self, request: Request, *, api: str, status: int, sent_bytes: int, ms: float) -> None:
        """Note a request that has been answered."""
        length = request.body.length
        self._lines.append(
            f'{{"timestamp":"{self._now()}",{self._front},"request_id":"{request.id}","api":"{api}",'
            f'"method":{quoted(request.method)},"path":{quoted(request.raw_path)},"status":{status},'
            f'"received_bytes":{length if length is not None else "null"},"sent_bytes":{sent_bytes},'
            f'"ms":{ms:.2f},"user":{quoted(request.user)},"remote":"{request.remote}"}}\n'
        )
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            # One write for all lines: those of several processes do not mix.
            os.write(self._descriptor, "".join(lines).encode("utf-8", "surrogateescape"))

    def _now(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._second))
        return f"{self._clock}.{int(now * 1000) % 1000:03d}Z"
