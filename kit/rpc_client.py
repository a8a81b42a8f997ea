"""The client end of the node protocol: one multiplexed connection to one node, made when needed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from kit import handshake
from kit.address import UnixAddress, parse_address
from kit.connection import DeadlineTimer, FrameConnection
from kit.frames import Buffer, FrameError, FrameFlags, FrameType
from kit.remote_errors import decode_error
from kit.request_context import request_id_var
from kit.rpc import GOAWAY, Reply
from kit.streams import Inbound, Outbound
from model.errors import DeadlineExceeded, NodeUnreachable

CONNECT_TIMEOUT_MS: Final = 5_000
BACKOFF_MS_MIN: Final = 20
BACKOFF_MS_MAX: Final = 1_000
PING_INTERVAL_MS: Final = 5_000
SILENCE_MS_MAX: Final = 15_000
"""A peer that owes answers and has sent nothing for this long, pings unanswered, is gone."""

_CALL_ID_MAX: Final = (1 << 32) - 1

Notice = Callable[[str, Any], None]

_log = logging.getLogger(__name__)


class PendingCall(asyncio.Future[Reply]):
    """The reply of a call in flight; cancelling it tells the server too."""

    def __init__(self, connection: ClientConnection, call_id: int, op: str, deadline: float) -> None:
        super().__init__(loop=connection.loop)
        self.connection = connection
        self.call_id = call_id
        self.op = op
        self.deadline = deadline
        self.inbound: Inbound | None = None
        self.outbound: Outbound | None = None
        self.head: asyncio.Future[Any] | None = None

    def cancel(self, msg: Any = None) -> bool:
        """Give the call up: the server is told, and cancels its handler."""
        if self.done():
            return False
        self.connection.give_up(self)
        if self.head is not None:
            self.head.cancel()
        self._close(None)
        return super().cancel(msg)

    def answer(self, reply: Reply) -> None:
        """End the call with its reply."""
        if not self.done():
            self.set_result(reply)
            if self.head is not None and not self.head.done():
                self.head.set_result(reply.head)
            self._close(None)

    def fail(self, error: BaseException) -> None:
        """End the call with an error."""
        if not self.done():
            self.set_exception(error)
            # Looked at here: who asked several nodes may have gone on with the answers of others.
            self.exception()
            if self.head is not None and not self.head.done():
                self.head.set_exception(error)
                self.head.exception()
            self._close(error)

    def _close(self, error: BaseException | None) -> None:
        if self.inbound is not None and self.outbound is not None:
            self.inbound.end(error)
            self.outbound.end(error)


class ClientConnection(FrameConnection):
    """One connection to a server, from its handshake to its end."""

    def __init__(self, owner: RpcClient) -> None:
        super().__init__()
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.going_away = False
        self.pending: dict[int, PendingCall] = {}
        self._owner = owner
        self._next_id = 0
        self._hello = b""
        self._challenge = b""
        self._deadlines = DeadlineTimer(self.loop, self._expire)
        self._ping_timer: asyncio.TimerHandle | None = None
        self.speak({FrameType.CHALLENGE: self._on_challenge, FrameType.ERROR: self._on_refused})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the handshake."""
        super().connection_made(transport)
        self._hello = handshake.encode_greeting(self._owner.name, secrets.token_bytes(handshake.NONCE_BYTES))
        self.send_frame(FrameType.HELLO, 0, None, self._hello)

    def on_lost(self, reason: str) -> None:
        """Fail what is in flight."""
        self._deadlines.stop()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._owner.forget(self)
        error_text = f"{self._owner.address}: {reason}"
        if not self.ready.done():
            self.ready.set_exception(NodeUnreachable(error_text))
        pending, self.pending = self.pending, {}
        for call in pending.values():
            call.fail(NodeUnreachable(error_text))

    # Handshake.

    def _on_challenge(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        self._challenge = bytes(body)
        handshake.agree_version(handshake.PROTOCOL_VERSIONS, handshake.decode_greeting(self._challenge))
        proof = handshake.client_proof(self._owner.cluster_key, self._hello, self._challenge)
        self.send_frame(FrameType.PROOF, 0, None, proof)
        self.speak({FrameType.WELCOME: self._on_welcome, FrameType.ERROR: self._on_refused})

    def _on_welcome(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        expected = handshake.server_proof(self._owner.cluster_key, self._hello, self._challenge)
        handshake.check_proof(expected, bytes(body))
        self.lift_limit()
        self.speak(
            {
                FrameType.REPLY: self._on_reply,
                FrameType.ERROR: self._on_error,
                FrameType.DATA: self._on_data,
                FrameType.CREDIT: self._on_credit,
                FrameType.PONG: self._on_pong,
                FrameType.PUSH: self._on_push,
            }
        )
        self._ping_timer = self.loop.call_later(PING_INTERVAL_MS / 1000, self._ping)
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_refused(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        self.end(f"handshake refused: {decode_error(head)}")

    # Calls.

    def start(self, op: str, args: object, body: Buffer | Sequence[Buffer], deadline: float) -> PendingCall:
        """Send a plain request and return its reply to come."""
        return self._request(op, args, body, deadline, 0)

    def start_stream(self, op: str, args: object, deadline: float) -> PendingCall:
        """Send a streaming request and return its reply to come, with both directions open."""
        call = self._request(op, args, b"", deadline, FrameFlags.STREAM)
        call.inbound = Inbound(self, call.call_id)
        call.outbound = Outbound(self, call.call_id)
        call.head = self.loop.create_future()
        return call

    def _request(
        self, op: str, args: object, body: Buffer | Sequence[Buffer], deadline: float, flags: int
    ) -> PendingCall:
        self._next_id = call_id = self._next_id % _CALL_ID_MAX + 1
        remaining_ms = max(1, int((deadline - self.loop.time()) * 1000))
        head = (op, remaining_ms, request_id_var.get(), args)
        self.send_frame(FrameType.REQUEST, call_id, head, body, flags=flags)
        call = PendingCall(self, call_id, op, deadline)
        self.pending[call_id] = call
        self._deadlines.note(deadline)
        return call

    def give_up(self, call: PendingCall) -> None:
        """Forget a call and tell the server to cancel it."""
        if self.pending.pop(call.call_id, None) is not None:
            self.send_frame(FrameType.CANCEL, call.call_id)
            self._leave_if_idle()

    def _expire(self, now: float) -> float | None:
        for call in [call for call in self.pending.values() if call.deadline <= now]:
            self.give_up(call)
            call.fail(DeadlineExceeded(f"{self._owner.address}: no answer to {call.op} in time"))
        return min((call.deadline for call in self.pending.values()), default=None)

    def _on_reply(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = self.pending.pop(call_id, None)
        if call is not None:
            call.answer(Reply(head[0], body))
            if self.going_away:
                self._leave_if_idle()

    def _on_error(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        if call_id == 0:
            self.end(f"refused: {decode_error(head)}")
            return
        call = self.pending.pop(call_id, None)
        if call is not None:
            call.fail(decode_error(head))
            if self.going_away:
                self._leave_if_idle()

    def _on_data(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        call = self.pending.get(call_id)
        if call is None:
            return
        if call.inbound is None or call.head is None:
            raise FrameError(f"data for {call.op}, which is no streaming call")
        if not call.head.done():
            call.head.set_result(head[0] if head is not None else None)
        if len(body):
            call.inbound.push(body)

    def _on_credit(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        if not isinstance(head, int) or head < 0:
            raise FrameError("malformed credit")
        call = self.pending.get(call_id)
        if call is not None and call.outbound is not None:
            call.outbound.grant(head)

    # Life.

    def _on_pong(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        """Receiving it has set `received_at` already."""

    def _on_push(self, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        op, args = head
        if op == GOAWAY:
            self.going_away = True
            self._owner.forget(self)
            self._leave_if_idle()
        elif self._owner.on_push is not None:
            self._owner.on_push(op, args)

    def _leave_if_idle(self) -> None:
        if self.going_away and not self.pending:
            self.end("the server is draining")

    def _ping(self) -> None:
        silence_ms = (self.loop.time() - self.received_at) * 1000
        if self.pending and silence_ms > SILENCE_MS_MAX:
            self.abort(f"no sign of life for {SILENCE_MS_MAX} ms")
            return
        if silence_ms > PING_INTERVAL_MS / 2:
            self.send_frame(FrameType.PING, 0)
        self._ping_timer = self.loop.call_later(PING_INTERVAL_MS / 1000, self._ping)


class Stream:
    """A streaming call: bytes up by `send`, bytes down by `chunks`, one reply at its end.

    Leaving it as a context manager cancels a call that has not been answered.
    """

    __slots__ = ("_call",)

    def __init__(self, call: PendingCall) -> None:
        self._call = call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def send(self, buffer: Buffer) -> None:
        """Send a buffer, waiting for the server's credit; it must not change afterwards.

        Raises the call's error once it has failed; dropped where the server has answered already.
        """
        assert self._call.outbound is not None
        await self._call.outbound.send(buffer)

    async def finish(self) -> Reply:
        """End the upstream body and return the reply; raises the call's error."""
        if not self._call.done():
            self._call.connection.send_frame(FrameType.END, self._call.call_id)
        return await self._call

    async def reply(self) -> Reply:
        """Return the reply, which ends the downstream body; raises the call's error."""
        return await self._call

    async def head(self) -> Any:
        """Return what the server sent by `begin`, before the downstream body.

        Where it answered without one, that is the head of its reply; where it failed, its error.
        """
        assert self._call.head is not None
        return await self._call.head

    def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the chunks of the downstream body until the reply; raises the call's error."""
        assert self._call.inbound is not None
        return self._call.inbound.chunks()

    def cancel(self) -> None:
        """Give the call up, unless it has ended."""
        self._call.cancel()


class RpcClient:
    """Calls one node at `address` ("unix:/path" or "tcp:host:port").

    One connection carries all calls. It is made by the first call and again after it is lost; after
    a failed attempt, calls fail at once until a growing pause (20 ms to 1 s) is over. All methods
    raise NodeUnreachable where there is no connection or it breaks before the answer,
    DeadlineExceeded where the answer does not come in time, and the server's error of the model's
    tree. `on_push` gets the server's notices. Not safe across threads.
    """

    def __init__(
        self,
        address: str,
        cluster_key: bytes,
        *,
        name: str,
        on_push: Notice | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self.cluster_key = handshake.check_key(cluster_key)
        self.name = name
        self.on_push = on_push
        self._parsed = parse_address(address)
        self._ssl_context = ssl_context
        self._connection: ClientConnection | None = None
        self._leaving: set[ClientConnection] = set()
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether a connection stands that takes calls."""
        return self._connection is not None

    async def call(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> Reply:
        """Call an operation and return its reply.

        `args` is any msgpack object; `body` (up to 8 MiB with the args) is not copied and must not
        change until the reply. Cancelling the awaiting task cancels the handler too.
        """
        deadline = asyncio.get_running_loop().time() + deadline_ms / 1000
        connection = self._connection
        if connection is None or connection.write_paused:
            connection = await self._writable_connection(op, deadline)
        return await connection.start(op, args, body, deadline)

    def submit(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> asyncio.Future[Reply]:
        """Start a call and return its reply to come, without a task where a connection stands.

        For calling several nodes at once. Cancelling the future cancels the handler too.
        """
        connection = self._connection
        if connection is None or connection.write_paused:
            return asyncio.ensure_future(self.call(op, args, body, deadline_ms=deadline_ms))
        return connection.start(op, args, body, connection.loop.time() + deadline_ms / 1000)

    async def open_stream(self, op: str, args: object, *, deadline_ms: int) -> Stream:
        """Start a streaming call; the deadline is for all of it."""
        deadline = asyncio.get_running_loop().time() + deadline_ms / 1000
        connection = await self._writable_connection(op, deadline)
        return Stream(connection.start_stream(op, args, deadline))

    async def wait_connected(self, deadline_ms: int) -> None:
        """Return when a connection stands, trying again with growing pauses until the deadline.

        Raises the last NodeUnreachable after it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_ms / 1000
        while self._connection is None:
            pause = self._retry_at - loop.time()
            if pause > 0:
                await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
            try:
                await self._writable_connection("connect", deadline)
            except NodeUnreachable:
                if loop.time() + BACKOFF_MS_MIN / 1000 >= deadline or self._closed:
                    raise

    async def close(self) -> None:
        """End the connection; calls in flight fail with NodeUnreachable."""
        self._closed = True
        connecting = self._connecting
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait([connecting])
        if self._connection is not None:
            self._connection.abort("client closed")
        for connection in list(self._leaving):
            connection.abort("client closed")
        await asyncio.sleep(0)

    def forget(self, connection: ClientConnection) -> None:
        """Use a connection for no new calls; those in flight go on where it still stands."""
        if self._connection is connection:
            self._connection = None
        if connection.closed:
            self._leaving.discard(connection)
        else:
            self._leaving.add(connection)

    async def _writable_connection(self, op: str, deadline: float) -> ClientConnection:
        while True:
            connection = self._connection
            try:
                async with asyncio.timeout_at(deadline):
                    if connection is None:
                        connection = await self._connect()
                    await connection.drain()
            except TimeoutError as error:
                raise DeadlineExceeded(f"{self.address}: {op} could not be sent in time") from error
            if not connection.closed and not connection.going_away:
                return connection
            # It ended while we waited for room; the loop ends by NodeUnreachable or by the deadline.

    async def _connect(self) -> ClientConnection:
        if self._closed:
            raise NodeUnreachable(f"{self.address}: the client is closed")
        loop = asyncio.get_running_loop()
        if self._connecting is None:
            if loop.time() < self._retry_at:
                raise NodeUnreachable(f"{self.address}: no connection, the next attempt is due soon")
            self._connecting = loop.create_task(self._attempt())
            self._connecting.add_done_callback(self._on_attempted)
        attempt = self._connecting
        try:
            # Shielded: callers come and go, the attempt is everybody's.
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if attempt.cancelled() and not (task is not None and task.cancelling()):
                raise NodeUnreachable(f"{self.address}: the client is closed") from None
            raise

    def _on_attempted(self, attempt: asyncio.Task[ClientConnection]) -> None:
        self._connecting = None
        if not attempt.cancelled():
            attempt.exception()

    async def _attempt(self) -> ClientConnection:
        loop = asyncio.get_running_loop()
        connection: ClientConnection | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_MS / 1000):
                connection = await self._open(loop)
                await connection.ready
        except (OSError, TimeoutError, NodeUnreachable) as error:
            pause_ms = min(BACKOFF_MS_MAX, BACKOFF_MS_MIN << min(self._failures, 10))
            self._failures += 1
            self._retry_at = loop.time() + pause_ms / 1000
            if connection is not None:
                connection.abort("connecting failed")
            if isinstance(error, NodeUnreachable):
                raise
            raise NodeUnreachable(f"{self.address}: {str(error) or 'connecting timed out'}") from error
        except asyncio.CancelledError:
            if connection is not None:
                connection.abort("client closed")
            raise
        self._failures = 0
        if not connection.closed and not connection.going_away:
            self._connection = connection
        return connection

    async def _open(self, loop: asyncio.AbstractEventLoop) -> ClientConnection:
        parsed = self._parsed
        if isinstance(parsed, UnixAddress):
            _, connection = await loop.create_unix_connection(
                lambda: ClientConnection(self), parsed.path, ssl=self._ssl_context
            )
        else:
            _, connection = await loop.create_connection(
                lambda: ClientConnection(self), parsed.host, parsed.port, ssl=self._ssl_context
            )
        return connection
