"""The client end of the node protocol: one multiplexed connection to one node, made when needed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from kit import handshake
from kit.address import UnixAddress, parse_address
from kit.client_connection import ClientConnection, Notice, PendingCall
from kit.frames import Buffer, FrameType
from kit.rpc import Reply
from kit.unix_path import short_path
from model.errors import DeadlineExceeded, NodeUnreachable

CONNECT_TIMEOUT_MS: Final = 5_000
BACKOFF_MS_MIN: Final = 20
BACKOFF_MS_MAX: Final = 1_000


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

    def submit(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> asyncio.Future[Reply]:
        """Start a call on the connection of this stream, even while its server drains.

        For calls that belong to what the stream has brought. Raises NodeUnreachable where it broke.
        """
        connection = self._call.connection
        if connection.closed:
            raise NodeUnreachable("the connection of the stream has ended")
        return connection.start(op, args, body, connection.loop.time() + deadline_ms / 1000)

    def cancel(self) -> None:
        """Give the call up, unless it has ended."""
        self._call.cancel()


class RpcClient:
    """Calls one node at `address` ("unix:/path" or "tcp:host:port").

    One connection carries all calls. It is made by the first call and again after it is lost; after
    a failed attempt, calls fail at once until a growing pause (20 ms to 1 s) is over. With
    `patience_ms`, new calls wait that long for a node that is away, at most until their deadline: a
    daemon on the same host comes back within moments of its restart. All methods
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
        patience_ms: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self.cluster_key = handshake.check_key(cluster_key)
        self.name = name
        self.on_push = on_push
        self._patience_s = patience_ms / 1000
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
        give_up = asyncio.get_running_loop().time() + deadline_ms / 1000
        while self._connection is None:
            await self._connect_patiently(give_up)

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
        give_up = asyncio.get_running_loop().time() + self._patience_s
        while True:
            connection = self._connection
            try:
                async with asyncio.timeout_at(deadline):
                    if connection is None:
                        connection = await self._connect_patiently(give_up)
                    await connection.drain()
            except TimeoutError as error:
                raise DeadlineExceeded(f"{self.address}: {op} could not be sent in time") from error
            if not connection.closed and not connection.going_away:
                return connection
            # It ended while we waited for room; the loop ends by NodeUnreachable or by the deadline.

    async def _connect_patiently(self, give_up: float) -> ClientConnection:
        """Connect, again and again until a time of the loop's clock; raises the last NodeUnreachable."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self._connect()
            except NodeUnreachable:
                pause_s = max(self._retry_at - loop.time(), BACKOFF_MS_MIN / 1000)
                if self._closed or loop.time() + BACKOFF_MS_MIN / 1000 >= give_up:
                    raise
                await asyncio.sleep(min(pause_s, give_up - loop.time()))

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
            if connection.closed or connection.going_away:
                raise NodeUnreachable(f"{self.address}: the server is draining")
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
        self._connection = connection
        return connection

    async def _open(self, loop: asyncio.AbstractEventLoop) -> ClientConnection:
        parsed = self._parsed
        if isinstance(parsed, UnixAddress):
            with short_path(parsed.path) as path:
                _, connection = await loop.create_unix_connection(lambda: ClientConnection(self), path)
        else:
            _, connection = await loop.create_connection(
                lambda: ClientConnection(self), parsed.host, parsed.port, ssl=self._ssl_context
            )
        return connection
