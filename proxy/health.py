"""Whether a worker is well: it answers, and its own node answers it."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from model.errors import ColonnadeError
from proxy.http.messages import Request, Response
from proxy.operations.nodes import Nodes

LOOK_S: Final = 1.0
_DEADLINE_MS: Final = 1_000
_JSON: Final = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


class Health:
    """Asks the nodes once a second, so that a probe costs nothing and cannot be used to burden them."""

    def __init__(self, nodes: Nodes) -> None:
        """Begin to look; call from the event loop."""
        self._nodes = nodes
        self._missing: str | None = None
        self._looking = asyncio.ensure_future(self._look())

    def missing(self) -> str | None:
        """Return None where requests can be served, else in words what is missing."""
        return self._missing

    async def answer(self, request: Request) -> Response:
        """Answer /healthz and /readyz."""
        if request.raw_path == "/healthz" or self._missing is None:
            return Response(200, list(_JSON), b'{"status": "ok"}\n')
        body = json.dumps({"status": "not ready", "missing": {"nodes": self._missing}}) + "\n"
        return Response(503, list(_JSON), body.encode())

    def close(self) -> None:
        """Look no more."""
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self._missing = await self._ask()
            await asyncio.sleep(LOOK_S)

    async def _ask(self) -> str | None:
        """Ask every node; without most of them no majority can be had."""
        names = sorted({device.node for device in self._nodes.epoch.ring.devices.values()})
        answers = await asyncio.gather(*(self._ask_one(name) for name in names))
        failed = [name for name, answered in zip(names, answers, strict=True) if not answered]
        if 2 * len(failed) < len(names):
            return None
        return f"no answer from {', '.join(failed)}"

    async def _ask_one(self, name: str) -> bool:
        try:
            await self._nodes.client(name).epoch(deadline_ms=_DEADLINE_MS)
        except ColonnadeError:
            return False
        return True
