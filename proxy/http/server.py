"""The HTTP server of a proxy worker: its listening sockets, its connections, and how it drains."""

from __future__ import annotations

import asyncio
import heapq
import logging
import socket
import ssl
import time
from email.utils import formatdate
from typing import Final

from kit.request_context import RequestIds
from proxy.http.protocol import App, HttpConnection, HttpSettings

BACKLOG: Final = 4096
SWEEP_S_MAX: Final = 1.0
SHED_SHARE: Final = 0.01
"""The share of all connections that makes room at once: to look for them is work, to be done rarely."""
TLS_SHUTDOWN_S: Final = 5.0

_log = logging.getLogger(__name__)


class HttpServer:
    """Serves an app on sockets that listen already, or are bound and will be made to."""

    def __init__(self, app: App, settings: HttpSettings | None = None) -> None:
        self.app = app
        self.settings = settings if settings is not None else HttpSettings()
        self.draining = False
        self.connections: set[HttpConnection] = set()
        self._listeners: list[asyncio.Server] = []
        self._request_ids = RequestIds()
        self._sweeper: asyncio.TimerHandle | None = None
        self._connection_lost = asyncio.Event()
        self._date_second = 0
        self._date = ""

    async def serve(self, sock: socket.socket, ssl_context: ssl.SSLContext | None = None) -> None:
        """Accept connections from a socket, over TLS where a context is given; returns at once."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: HttpConnection(self),
            sock=sock,
            ssl=ssl_context,
            backlog=BACKLOG,
            # The handshake is part of what a client may take until its first head has arrived.
            ssl_handshake_timeout=self.settings.header_timeout_ms / 1000 if ssl_context else None,
            ssl_shutdown_timeout=TLS_SHUTDOWN_S if ssl_context else None,
        )
        self._listeners.append(listener)
        if self._sweeper is None:
            self._sweep()

    async def drain(self, timeout_ms: int) -> None:
        """Stop accepting, finish the requests in flight, and let idle connections go.

        Each further answer says `Connection: close`; idle connections are closed after the grace
        period. Returns when all connections have ended, or have been aborted after `timeout_ms`.
        """
        self.draining = True
        self._stop_listening()
        self._sweep()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while self.connections:
                    self._connection_lost.clear()
                    await self._connection_lost.wait()
        except TimeoutError:
            _log.warning("drain timed out", extra={"connections": len(self.connections)})
        await self.close()

    async def close(self) -> None:
        """Stop accepting and abort every connection; handlers in flight are cancelled."""
        self._stop_listening()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self.connections:
            for connection in list(self.connections):
                connection.abort()
            self._connection_lost.clear()
            await self._connection_lost.wait()

    def date(self) -> str:
        """Return the Date header field with its CR LF, made anew once a second."""
        now_s = int(time.time())
        if now_s != self._date_second:
            self._date_second = now_s
            self._date = f"Date: {formatdate(now_s, usegmt=True)}\r\n"
        return self._date

    def next_request_id(self) -> str:
        """Return a request id."""
        return self._request_ids.next()

    def has_room(self) -> bool:
        """Whether one more connection may stay; closes those that have waited longest for their clients."""
        count_max = self.settings.connections_max
        if len(self.connections) < count_max:
            return True
        now = asyncio.get_running_loop().time()
        waiting = [(one.waits_for_client(now), one) for one in self.connections]
        idle = [(since, one) for since, one in waiting if since is not None]
        if not idle:
            _log.warning("connection refused: all are at work", extra={"connections": len(self.connections)})
            return False
        shed = heapq.nsmallest(max(1, int(count_max * SHED_SHARE)), idle, key=lambda pair: pair[0])
        for _, connection in shed:
            connection.abort()
        _log.info("connections shed", extra={"connections": len(self.connections), "shed": len(shed)})
        return True

    def note_closed(self) -> None:
        """Take note that a connection has ended."""
        self._connection_lost.set()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _sweep(self) -> None:
        # One timer for all connections: timers of their own would be made and cancelled per request.
        loop = asyncio.get_running_loop()
        if self._sweeper is not None:
            self._sweeper.cancel()
        now = loop.time()
        for connection in list(self.connections):
            connection.check(now)
        self._sweeper = loop.call_later(self._sweep_interval_s(), self._sweep)

    def _sweep_interval_s(self) -> float:
        settings = self.settings
        shortest_ms = min(
            settings.header_timeout_ms,
            settings.body_idle_timeout_ms,
            settings.keep_alive_timeout_ms,
            settings.drain_grace_ms if self.draining else settings.keep_alive_timeout_ms,
        )
        return min(SWEEP_S_MAX, shortest_ms / 4000)
