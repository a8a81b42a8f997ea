"""The server end of the node protocol: handshake, dispatch to handlers, streams, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from kit import handshake
from kit.address import TcpAddress, UnixAddress, parse_address
from kit.connection import DeadlineTimer, FrameConnection
from kit.frames import Buffer, FrameError, FrameFlags, FrameType
from kit.remote_errors import encode_error
from kit.request_context import request_id_var
from kit.rpc import DEADLINE_MS_MAX, GOAWAY, Reply
from kit.streams import Inbound, Outbound
from kit.unix_path import short_path
from model.errors import BadRequest, ColonnadeError, DeadlineExceeded, Unavailable

HANDSHAKE_TIMEOUT_MS: Final = 10_000
CALLS_PER_CONNECTION_MAX: Final = 4096
BACKLOG: Final = 1024

_log = logging.getLogger(__name__)


class Call:
    """One call as its handler sees it.

    `args` is any msgpack object, `body` the bytes sent with the request (bytes, or a memoryview for
    large bodies), `peer` the caller's name, `deadline` a time of the loop's clock in seconds,
    `request_id` what ties log lines of several processes together.
    """

    __slots__ = ("_connection", "_future", "_inbound", "_outbound", "args", "body", "call_id", "deadline",
                 "op", "peer", "request_id")  # fmt: skip

    def __init__(self, connection: ServerConnection, call_id: int, head: Any, body: Buffer) -> None:
        try:
            self.op, deadline_ms, self.request_id, self.args = head
            self.deadline: float = connection.loop.time() + min(deadline_ms, DEADLINE_MS_MAX) / 1000
        except (TypeError, ValueError) as error:
            raise FrameError(f"malformed request: {error}") from error
        self._connection = connection
        self.call_id = call_id
        self.body = body
        self.peer = connection.peer
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None
        self._future: asyncio.Future[Reply] | None = None

    @property
    def remaining_ms(self) -> int:
        """Milliseconds until the caller gives up; 0 where it has."""
        return max(0, int((self.deadline - self._connection.loop.time()) * 1000))

    def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the chunks the caller streams, with back-pressure; nothing for a plain call.

        When the caller goes away or gives up, the handler is cancelled.
        """
        return self._inbound.chunks() if self._inbound is not None else _nothing()

    async def begin(self, head: object) -> None:
        """Send the head of a downstream body, before its first chunk; at most once."""
        self._stream()
        await self._connection.drain()
        self._connection.send_frame(FrameType.DATA, self.call_id, [head])

    async def send(self, buffer: Buffer) -> None:
        """Stream a buffer to the caller, waiting for its credit; the buffer must not change afterwards."""
        await self._stream().send(buffer)

    def _stream(self) -> Outbound:
        if self._outbound is None:
            raise BadRequest(f"{self.op} streams its answer and was called without a stream")
        return self._outbound


Handler = Callable[[Call], Reply | Awaitable[Reply]]


async def _nothing() -> AsyncIterator[Buffer]:
    no_chunks: tuple[Buffer, ...] = ()
    for chunk in no_chunks:
        yield chunk


class ServerConnection(FrameConnection):
    """One client's connection."""

    def __init__(self, server: RpcServer) -> None:
        super().__init__()
        self._server = server
        self.peer = "?"
        self.calls: dict[int, Call] = {}
        self._hello = b""
        self._challenge = b""
        self._handshake_timer = self.loop.call_later(
            HANDSHAKE_TIMEOUT_MS / 1000, self.abort, "handshake timed out"
        )
        self._deadlines = DeadlineTimer(self.loop, self._expire)
        self.speak({FrameType.HELLO: self._on_hello})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the server's connections."""
        super().connection_made(transport)
        self._server.connections.add(self)

    def on_lost(self, reason: str) -> None:
        """Cancel every handler: nobody waits for its answer any more."""
        self._handshake_timer.cancel()
        self._deadlines.stop()
        self._server.connections.discard(self)
        if reason.startswith("protocol error"):
            _log.warning("node connection refused", extra={"peer": self.peer, "reason": reason})
        for call in list(self.calls.values()):
            _cancel(call)
        self.calls.clear()
        self._server.note_lost()

    # A client that does not read its answers gets no more calls served: memory stays bounded.

    def pause_writing(self) -> None:
        """Take no more requests until the client has read answers."""
        super().pause_writing()
        if self.transport is not None and not self.closed:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Take requests again."""
        super().resume_writing()
        if self.transport is not None and not self.closed:
            self.transport.resume_reading()

    # Handshake.

    def _on_hello(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        self._hello = bytes(body)
        greeting = handshake.decode_greeting(self._hello)
        handshake.agree_version(handshake.PROTOCOL_VERSIONS, greeting)
        self.peer = greeting.name
        self._challenge = handshake.encode_greeting(
            self._server.name, secrets.token_bytes(handshake.NONCE_BYTES)
        )
        self.send_frame(FrameType.CHALLENGE, 0, None, self._challenge)
        self.speak({FrameType.PROOF: self._on_proof})

    def _on_proof(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        key = self._server.cluster_key
        handshake.check_proof(handshake.client_proof(key, self._hello, self._challenge), bytes(body))
        self.send_frame(FrameType.WELCOME, 0, None, handshake.server_proof(key, self._hello, self._challenge))
        self._handshake_timer.cancel()
        self.lift_limit()
        self.speak(
            {
                FrameType.REQUEST: self._on_request,
                FrameType.DATA: self._on_data,
                FrameType.END: self._on_end,
                FrameType.CREDIT: self._on_credit,
                FrameType.CANCEL: self._on_cancel,
                FrameType.PING: self._on_ping,
            }
        )
        if self._server.draining:
            self.send_frame(FrameType.PUSH, 0, [GOAWAY, None])

    # Calls.

    def _on_request(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = Call(self, call_id, head, body)
        if call_id in self.calls:
            raise FrameError(f"call {call_id} is in flight already")
        request_id_var.set(call.request_id)
        if flags & FrameFlags.STREAM:
            call._inbound = Inbound(self, call_id)
            call._outbound = Outbound(self, call_id)
            self.calls[call_id] = call
        try:
            handler = self._server.handlers.get(call.op)
            if handler is None:
                raise BadRequest(f"this node has no operation {call.op!r}")
            if len(self.calls) > CALLS_PER_CONNECTION_MAX:
                raise Unavailable(f"{CALLS_PER_CONNECTION_MAX} calls are in flight on this connection")
            result = handler(call)
        except Exception as error:  # noqa: BLE001  (logged and answered, whatever it is)
            self._answer_error(call, error)
            return
        if isinstance(result, Reply):
            self._answer(call, result)
        else:
            self._await_result(call, result)

    def _await_result(self, call: Call, result: Awaitable[Reply]) -> None:
        # A future is awaited by its callback alone; only a coroutine needs a task.
        call._future = asyncio.ensure_future(result, loop=self.loop)
        self.calls[call.call_id] = call
        self._deadlines.note(call.deadline)
        call._future.add_done_callback(lambda done: self._on_done(call, done))

    def _on_done(self, call: Call, future: asyncio.Future[Reply]) -> None:
        # The frames of a cancelled handler hold the call: with the future in it they would hold one another,
        # and with them buffers and open files, until a garbage collection that is rare on purpose.
        call._future = None
        if future.cancelled():
            late = not call.remaining_ms
            self._answer_error(call, (DeadlineExceeded if late else Unavailable)(f"{call.op} was cancelled"))
            return
        error = future.exception()
        if error is None:
            self._answer(call, future.result())
        else:
            self._answer_error(call, error)

    def _answer(self, call: Call, reply: Reply) -> None:
        self._forget(call)
        head, body, tail = reply
        try:
            self.send_frame(FrameType.REPLY, call.call_id, [head], (body, *tail) if tail else body)
        except (ValueError, TypeError, OverflowError) as error:
            self._answer_error(call, error)

    def _answer_error(self, call: Call, error: BaseException) -> None:
        self._forget(call)
        if not isinstance(error, ColonnadeError):
            _log.error("handler failed", exc_info=error, extra={"op": call.op, "peer": self.peer})
            error = Unavailable(f"internal error in {call.op}: {type(error).__name__}")
        self.send_frame(FrameType.ERROR, call.call_id, encode_error(error))

    def _forget(self, call: Call) -> None:
        self.calls.pop(call.call_id, None)
        if call._outbound is not None:
            call._outbound.end()

    def _expire(self, now: float) -> float | None:
        # The caller gives up by itself and says so; this is for callers that hang.
        for call in [call for call in self.calls.values() if call.deadline <= now]:
            _cancel(call)
        return min((call.deadline for call in self.calls.values() if call.deadline > now), default=None)

    # Frames of calls in flight. Those of calls that have ended cross our answer on the wire: dropped.

    def _on_data(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = self.calls.get(call_id)
        if call is not None and call._inbound is not None:
            call._inbound.push(body)

    def _on_end(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = self.calls.get(call_id)
        if call is not None and call._inbound is not None:
            call._inbound.end()

    def _on_credit(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        if not isinstance(head, int) or head < 0:
            raise FrameError("malformed credit")
        call = self.calls.get(call_id)
        if call is not None and call._outbound is not None:
            call._outbound.grant(head)

    def _on_cancel(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = self.calls.pop(call_id, None)
        if call is not None:
            _cancel(call)

    def _on_ping(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        self.send_frame(FrameType.PONG, call_id)


def _cancel(call: Call) -> None:
    if call._future is not None:
        call._future.cancel()


class RpcServer:
    """Serves the operations of `handlers` to every node that holds the cluster key.

    A handler is a plain function. One that returns a Reply is answered at once, without a task or a
    future; one that returns an awaitable (a future, or the coroutine of an async function) is
    answered when that is done, and cancelled when the caller goes away or gives up. Errors of the
    model's tree travel as they are; any other is logged and travels as Unavailable.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        cluster_key: bytes,
        *,
        name: str,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.handlers = handlers
        self.cluster_key = handshake.check_key(cluster_key)
        self.name = name
        self.connections: set[ServerConnection] = set()
        self.draining = False
        self._ssl_context = ssl_context
        self._listeners: list[asyncio.Server] = []
        self._connection_lost = asyncio.Event()

    async def listen(self, address: str) -> str:
        """Listen at an address and return it, with the port that the kernel chose where it was 0.

        A unix socket left by a dead process is replaced. Raises ValueError for a malformed address
        and OSError where it cannot be had.
        """
        loop = asyncio.get_running_loop()
        parsed = parse_address(address)
        if isinstance(parsed, UnixAddress):
            # Bound aside and renamed into place: connecting never meets a moment without a socket.
            made = f"{parsed.path}.{os.getpid()}"
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.setblocking(False)
            with short_path(made) as path:
                sock.bind(path)
            sock.listen(BACKLOG)
            os.rename(made, parsed.path)
            listener = await loop.create_unix_server(lambda: ServerConnection(self), sock=sock)
        else:
            listener = await loop.create_server(
                lambda: ServerConnection(self),
                parsed.host,
                parsed.port,
                ssl=self._ssl_context,
                backlog=BACKLOG,
                reuse_address=True,
            )
            parsed = TcpAddress(parsed.host, listener.sockets[0].getsockname()[1])
        self._listeners.append(listener)
        return str(parsed)

    def push(self, op: str, args: object = None) -> None:
        """Send a notice to every connected client."""
        for connection in list(self.connections):
            connection.send_frame(FrameType.PUSH, 0, [op, args])

    async def drain(self, timeout_ms: int) -> None:
        """Stop accepting, tell clients to go elsewhere, and wait until they have left.

        A client leaves when its calls in flight have been answered. Returns after `timeout_ms` at
        the latest; `close` ends what is left.
        """
        self.draining = True
        self._stop_listening()
        self.push(GOAWAY)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while self.connections:
                    self._connection_lost.clear()
                    await self._connection_lost.wait()
        except TimeoutError:
            _log.warning("drain timed out", extra={"connections": len(self.connections)})

    async def close(self) -> None:
        """Stop listening and end every connection; handlers in flight are cancelled."""
        self._stop_listening()
        for connection in list(self.connections):
            connection.abort("server closed")
        # One turn, so that cancelled handlers and closed transports come to their end.
        await asyncio.sleep(0)

    def note_lost(self) -> None:
        """Wake a drain to look again."""
        self._connection_lost.set()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
