"""One connection of the node protocol as its client sees it: handshake, calls in flight, notices, pings."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from kit import handshake
from kit.connection import DeadlineTimer, FrameConnection
from kit.frames import Buffer, FrameError, FrameFlags, FrameType
from kit.remote_errors import decode_error
from kit.request_context import request_id_var
from kit.rpc import GOAWAY, Reply
from kit.streams import Inbound, Outbound
from model.errors import DeadlineExceeded, NodeUnreachable

PING_INTERVAL_MS: Final = 5_000
SILENCE_MS_MAX: Final = 15_000
"""A peer that owes answers and has sent nothing for this long, pings unanswered, is gone."""

_CALL_ID_MAX: Final = (1 << 32) - 1

Notice = Callable[[str, Any], None]


class Owner(Protocol):
    """What a connection needs of the client that it belongs to."""

    address: str
    cluster_key: bytes
    name: str
    on_push: Notice | None

    def forget(self, connection: ClientConnection) -> None:
        """Use the connection for no new calls."""


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

    def __init__(self, owner: Owner) -> None:
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
