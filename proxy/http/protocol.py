"""One HTTP/1.1 connection: heads and bodies in, one task that answers requests in order.

Heads are found in a small buffer; bodies of known length are received straight into the buffers
that the handler gets (proxy.http.body). Whatever a client may do wrong or slowly has a bound here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from kit.request_context import request_id_var
from model.errors import ColonnadeError, IncompleteBody
from proxy.http.body import RequestBody
from proxy.http.chunked import ChunkedDecoder, MalformedChunk
from proxy.http.heads import HEAD_BYTES_MAX, BadHead, RequestHead, parse_head
from proxy.http.messages import BodyStream, Request, Response
from proxy.http.writer import ResponseWriter, plain

App = Callable[[Request], Awaitable[Response]]

HEAD_BUFFER_BYTES: Final = 16 * 1024
CHUNKED_BUFFER_BYTES: Final = 256 * 1024
DROPPED_BYTES_MAX: Final = 64 * 1024
"""What is read of a body that the handler left unread, so that the connection can be kept."""
LINGER_BYTES_MAX: Final = 16 * 1024 * 1024
LINGER_S: Final = 2.0
STALLED_S: Final = 1.0
"""A client that has sent or taken nothing for so long makes room for others where there is none."""

_EMPTY_BODY: Final = BodyStream.of(b"")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How long a client may take, in milliseconds; and how many there may be."""

    header_timeout_ms: int = 15_000
    body_idle_timeout_ms: int = 60_000
    keep_alive_timeout_ms: int = 75_000
    drain_grace_ms: int = 1_000
    """How long an idle connection stays open once the server drains."""
    connections_max: int = 8192
    """Connections at a time; those that wait for their clients make room for new ones."""


class Host(Protocol):
    """What a connection needs of its server."""

    app: App
    settings: HttpSettings
    draining: bool
    connections: set[HttpConnection]

    def date(self) -> str:
        """Return the Date header field with its CR LF."""

    def next_request_id(self) -> str:
        """Return a request id."""

    def has_room(self) -> bool:
        """Whether one more connection may stay; makes room where others only wait for their clients."""

    def note_closed(self) -> None:
        """Take note that a connection has ended."""


class HttpConnection(asyncio.BufferedProtocol):
    """One client's connection."""

    _transport: asyncio.Transport
    _writer: ResponseWriter
    _task: asyncio.Task[None]

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._remote = ""
        self._secure = False
        self._closed = False
        # Bytes _start to _end of the buffer are received and not used up; heads end before _searched.
        self._buffer = bytearray(HEAD_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._searched = 0
        # Set while the task waits for a request; _receiving while a body is not whole yet.
        self._waiter: asyncio.Future[tuple[RequestHead, BodyStream]] | None = None
        self._receiving: RequestBody | None = None
        self._decoder: ChunkedDecoder | None = None
        self._reading_paused = False
        # Since when what the connection now waits for has been awaited, by the loop's clock.
        self._since = self._loop.time()
        self._served_count = 0
        self._stalled_bytes = 0
        self._linger_until = 0.0
        self._linger_bytes = 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the task that answers this connection's requests."""
        self._transport = cast(asyncio.Transport, transport)
        self._writer = ResponseWriter(self._transport, self._host.date)
        peer = transport.get_extra_info("peername")
        self._remote = peer[0] if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        has_room = self._host.has_room()
        self._host.connections.add(self)
        self._task = self._loop.create_task(self._serve() if has_room else self._turn_away())

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the handler know: by its body where it still reads one, else by cancelling it."""
        self._closed = True
        self._writer.close()
        body = self._receiving
        if body is not None and body.begun:
            body.fail(IncompleteBody("the client went away before its body was whole"))
        else:
            self._task.cancel()
        self._host.connections.discard(self)
        self._host.note_closed()

    def eof_received(self) -> bool:
        """Take a half-closed connection for closed, as most servers do."""
        return False

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as we write."""
        self._stalled_bytes = 0
        self._writer.pause()

    def resume_writing(self) -> None:
        """Write on."""
        self._writer.resume()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong: a body's own buffer, or the connection's."""
        if self._receiving is not None and self._decoder is None:
            return self._receiving.room()
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take received bytes where they have been put."""
        body = self._receiving
        if body is not None:
            self._since = self._loop.time()
            if self._decoder is None:
                body.received(nbytes)
                if not body.left:
                    self._receiving = None
            else:
                self._end += nbytes
                self._decode(body, self._decoder)
        elif self._linger_until:
            self._linger_bytes += nbytes
            if self._linger_bytes > LINGER_BYTES_MAX:
                self._transport.abort()
        else:
            if self._start == self._end:
                self._since = self._loop.time()
            self._end += nbytes
            if self._waiter is not None:
                self._find_request(self._waiter)
            elif self._end == len(self._buffer):
                # Requests that wait for their turn fill the buffer and no more.
                self._pause_reading()

    # Requests.

    def _find_request(self, waiter: asyncio.Future[tuple[RequestHead, BodyStream]]) -> None:
        """Hand the next request to the task that waits for it, once its head is whole."""
        try:
            head = self._next_head()
        except BadHead as error:
            self._refuse(error)
            return
        if head is not None:
            body = self._begin_body(head)
            self._make_room()
            self._waiter = None
            if not waiter.done():
                waiter.set_result((head, body))

    def _next_head(self) -> RequestHead | None:
        while self._end - self._start >= 2 and self._buffer.startswith(b"\r\n", self._start, self._end):
            self._start += 2  # empty lines before a request are passed over
        found = self._buffer.find(b"\r\n\r\n", max(self._start, self._searched - 3), self._end)
        if found >= 0 and found - self._start <= HEAD_BYTES_MAX:
            head = bytes(self._view[self._start : found + 4])
            self._start = self._searched = found + 4
            return parse_head(head)
        if found >= 0 or self._end - self._start > HEAD_BYTES_MAX:
            raise BadHead(431, f"the head is longer than {HEAD_BYTES_MAX} bytes")
        self._searched = self._end
        self._make_room()
        return None

    def _make_room(self) -> None:
        kept = self._end - self._start
        if kept == 0:
            self._start = self._end = self._searched = 0
        elif self._end == len(self._buffer):
            self._move(self._buffer if self._start else bytearray(2 * len(self._buffer)))

    def _move(self, buffer: bytearray) -> None:
        """Make the bytes not used up yet the first of `buffer`, and that the connection's."""
        kept = self._end - self._start
        view = memoryview(buffer)
        view[:kept] = self._view[self._start : self._end]
        self._buffer, self._view = buffer, view
        self._searched = max(0, self._searched - self._start)
        self._start, self._end = 0, kept

    def _refuse(self, error: BadHead) -> None:
        _log.info(
            "request refused", extra={"remote": self._remote, "status": error.status, "why": str(error)}
        )
        self._waiter = None
        self._writer.refuse(error.status, str(error))
        self._finish(unread=True)

    # Bodies.

    def _begin_body(self, head: RequestHead) -> BodyStream:
        length = head.content_length
        if head.expects_continue and (length == 0 or self._start < self._end):
            # Also to a client that does not wait: botocore, once it has had a final answer without it,
            # misreads the next answer on the connection that comes with it.
            self._writer.send_continue()
        if length == 0:
            return _EMPTY_BODY
        body = self._receiving = RequestBody(self, length, expects_continue=head.expects_continue)
        self._since = self._loop.time()
        here = self._end - self._start
        if length is None:
            self._decoder = ChunkedDecoder()
            if len(self._buffer) < CHUNKED_BUFFER_BYTES:
                self._move(bytearray(CHUNKED_BUFFER_BYTES))
            self._decode(body, self._decoder)
        elif here:
            here = min(here, length)
            body.take(self._view[self._start : self._start + here])
            self._start += here
            if not body.left:
                self._receiving = None
        if self._receiving is not None:
            self._resume_reading()
        return body

    def _decode(self, body: RequestBody, decoder: ChunkedDecoder) -> None:
        try:
            payload, used = decoder.feed(self._view[self._start : self._end])
        except MalformedChunk as error:
            body.fail(error)
            self._pause_reading()
            return
        for piece in payload:
            body.take(piece)
        self._start += used
        if decoder.done:
            self._receiving = self._decoder = None
            body.end()
        self._searched = self._start
        self._make_room()

    def pause_body(self) -> None:
        """Read no more: the handler is slower than the client."""
        self._pause_reading()

    def resume_body(self) -> None:
        """Read on; the client's idle time counts from now."""
        self._since = self._loop.time()
        self._resume_reading()

    def send_continue(self) -> None:
        """Ask for the body that the client holds back."""
        self._since = self._loop.time()
        self._writer.send_continue()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    # Answers.

    async def _serve(self) -> None:
        try:
            keep = True
            while keep and not self._closed:
                head, body = await self._next_request()
                request_id = self._host.next_request_id()
                request_id_var.set(request_id)
                request = Request(
                    head.method, head.raw_path, head.raw_query, head.headers, body,
                    self._remote, self._secure, request_id,
                )  # fmt: skip
                response = await self._ask(request)
                keep = await self._answer(head, body, response)
                self._served_count += 1
            self._finish(unread=self._receiving is not None)
        except asyncio.CancelledError:
            # The client is gone, or the server closes: there is nobody to tell.
            self._transport.abort()
            raise

    async def _turn_away(self) -> None:
        """Say that there is no room, without waiting for a request, and close."""
        if len(self._host.connections) > 2 * self._host.settings.connections_max:
            # Even to say so takes a connection for a while.
            self._transport.abort()
            return
        self._writer.refuse(503, "too many connections; please try again")
        self._finish(unread=True)

    async def _next_request(self) -> tuple[RequestHead, BodyStream]:
        waiter: asyncio.Future[tuple[RequestHead, BodyStream]] = self._loop.create_future()
        self._waiter = waiter
        if self._start < self._end:
            self._find_request(waiter)
        else:
            if len(self._buffer) > HEAD_BUFFER_BYTES:
                self._move(bytearray(HEAD_BUFFER_BYTES))
            self._since = self._loop.time()
        if self._waiter is not None:
            self._resume_reading()
        return await waiter

    async def _ask(self, request: Request) -> Response:
        try:
            return await self._host.app(request)
        except IncompleteBody as error:
            response = plain(408, str(error))
            response.close = True
            return response
        except ColonnadeError as error:
            _log.error("an error was not answered by the handler", exc_info=error)
            return plain(503, "the request could not be served")
        except Exception as error:  # noqa: BLE001  (logged and answered, whatever it is)
            _log.error("request failed", exc_info=error, extra={"path": request.raw_path})
            return plain(500, "internal error")

    async def _answer(self, head: RequestHead, body: BodyStream, response: Response) -> bool:
        """Write a response; returns whether the connection goes on to another request."""
        unread = self._receiving
        keep = head.keep_alive and not response.close and not self._host.draining
        if unread is not None:
            # A body held back by its client may or may not come: the connection cannot be kept.
            keep = keep and unread.sound and not unread.held_back and unread.left <= DROPPED_BYTES_MAX
        keep = await self._writer.write(head, response, keep=keep)
        if keep and unread is not None and self._receiving is unread:
            keep = await unread.drop(DROPPED_BYTES_MAX)
        return keep

    # The end.

    def _finish(self, *, unread: bool) -> None:
        """Close after what has been written; where bytes are unread, take some more of them first.

        Closing a socket with unread bytes resets it, and the client might lose the answer that says
        why its request was refused.
        """
        if self._transport.is_closing():
            return
        if not unread or not self._transport.can_write_eof():
            self._transport.close()
            return
        if self._receiving is not None:
            self._receiving.fail(IncompleteBody("the request was answered before its body was read"))
        self._receiving = self._decoder = None
        self._start = self._end = 0
        self._linger_until = self._loop.time() + LINGER_S
        self._transport.write_eof()
        self._resume_reading()

    def abort(self) -> None:
        """End the connection at once; its handler is cancelled."""
        self._task.cancel()
        self._transport.abort()

    def waits_for_client(self, now: float) -> tuple[int, float] | None:
        """Return how dear this connection is and since when it has waited for its client, or None.

        First come those that wait for a request, then those held up in one for STALLED_S; None stands
        for those that are at work. Times are by the loop's clock.
        """
        if self._linger_until:
            return None
        if self._waiter is not None:
            return 0, self._since
        receiving = self._receiving is not None and self._receiving.waiting
        if (receiving or self._writer.paused) and now - self._since >= STALLED_S:
            return 1, self._since
        return None

    def check(self, now: float) -> None:
        """End what has lasted too long; the server calls this again and again."""
        settings = self._host.settings
        waited_ms = (now - self._since) * 1000
        if self._linger_until:
            if now >= self._linger_until:
                self._transport.abort()
        elif self._writer.paused:
            self._check_stalled(now, waited_ms)
        elif self._receiving is not None:
            if self._receiving.waiting and waited_ms > settings.body_idle_timeout_ms:
                self._receiving.fail(IncompleteBody(f"no byte of the body came for {int(waited_ms)} ms"))
        elif self._waiter is not None:
            self._check_idle(waited_ms)

    def _check_stalled(self, now: float, waited_ms: float) -> None:
        waiting_bytes = self._writer.waiting_bytes
        if waiting_bytes != self._stalled_bytes:
            self._stalled_bytes = waiting_bytes
            self._since = now
        elif waited_ms > self._host.settings.body_idle_timeout_ms:
            _log.info("a client stopped reading its response", extra={"remote": self._remote})
            self._transport.abort()

    def _check_idle(self, waited_ms: float) -> None:
        settings = self._host.settings
        if self._start < self._end:
            if waited_ms > settings.header_timeout_ms:
                self._refuse(BadHead(408, "the head of the request did not come in time"))
        elif self._host.draining:
            if waited_ms > settings.drain_grace_ms:
                self._transport.close()
        elif waited_ms > (
            settings.keep_alive_timeout_ms if self._served_count else settings.header_timeout_ms
        ):
            self._transport.close()
