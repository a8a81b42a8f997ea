"""The admin endpoint of a daemon: /metrics, /healthz and /readyz on loopback or a unix socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from aiohttp import web

from kit.address import TcpAddress, UnixAddress, parse_address
from kit.telemetry import METRICS_CONTENT_TYPE

Readiness = Callable[[], str | None]
"""Returns None when ready, else in words what is missing."""


class AdminServer:
    """Serves what operators and their tools ask a daemon.

    /healthz answers 200 while the process's loop turns, /readyz 200 only when every check of
    `readiness` returns None, else 503 with what is missing.
    """

    def __init__(self, metrics: Callable[[], bytes], readiness: Mapping[str, Readiness]) -> None:
        self._metrics = metrics
        self._readiness = readiness
        app = web.Application()
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/healthz", self._get_healthz)
        app.router.add_get("/readyz", self._get_readyz)
        self._runner = web.AppRunner(app, access_log=None)

    async def listen(self, address: str) -> str:
        """Listen at "unix:/path" or "tcp:127.0.0.1:port" and return the address, with its actual port."""
        await self._runner.setup()
        parsed = parse_address(address)
        if isinstance(parsed, UnixAddress):
            await web.UnixSite(self._runner, parsed.path).start()
            return address
        await web.TCPSite(self._runner, parsed.host, parsed.port).start()
        return str(TcpAddress(parsed.host, self._runner.addresses[-1][1]))

    async def serve(self, sock: socket.socket) -> None:
        """Serve on a socket that listens already."""
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _get_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def _get_healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _get_readyz(self, request: web.Request) -> web.Response:
        missing = {name: words for name, check in self._readiness.items() if (words := check()) is not None}
        if missing:
            return web.json_response({"status": "not ready", "missing": missing}, status=503)
        return web.json_response({"status": "ready"})
