"""Whether a worker is well: it answers, and most devices of the colony answer it."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from model.errors import ColonnadeError
from objectd.contract import Health as DeviceHealth
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
        """Ask every node for its devices; without most of them no majority can be had."""
        devices = self._nodes.epoch.ring.devices.values()
        names = sorted({device.node for device in devices})
        answers = await asyncio.gather(*(self._working(name) for name in names))
        working: set[int] = set().union(*(found for found in answers if found is not None))
        missing = [device.id for device in devices if device.id not in working]
        if 2 * len(missing) < len(devices):
            return None
        silent = [name for name, found in zip(names, answers, strict=True) if found is None]
        if silent:
            return f"no answer from {', '.join(silent)}"
        return f"{len(missing)} of {len(devices)} devices do not work: {', '.join(map(str, missing))}"

    async def _working(self, name: str) -> set[int] | None:
        """Return the devices of a node that serve and hold all they should, or None where it is silent."""
        try:
            status = await self._nodes.client(name).status(deadline_ms=_DEADLINE_MS)
        except ColonnadeError:
            return None
        failed = {one.device_id for one in status.devices if one.health is DeviceHealth.FAILED}
        return {one.device_id for one in status.devices} - failed - set(status.filling)
