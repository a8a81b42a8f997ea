"""Connections of the node protocol: one asyncio protocol that both the client and the server extend.

It owns the transport, the frame reader, the write side's back-pressure and the lazy deadline timer;
what frames mean is up to its two subclasses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from kit.frames import (
    FRAME_BYTES_MAX,
    Buffer,
    FrameError,
    FrameReader,
    FrameType,
    encode_frame,
)
from kit.handshake import HANDSHAKE_FRAME_BYTES_MAX, HandshakeError

WRITE_HIGH_BYTES: Final = 2 * 1024 * 1024
WRITE_LOW_BYTES: Final = 512 * 1024

FrameHandler = Callable[[int, int, Any, Buffer], None]


class FrameConnection(asyncio.BufferedProtocol):
    """One connection that speaks frames; `dispatch` maps frame types to what handles them.

    A handler gets (flags, call_id, head, body). A frame whose type is not in `dispatch` is an error
    of the peer. Subclasses say in `on_lost` what becomes of the calls in flight.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.received_at = self.loop.time()
        self.write_paused = False
        self._writable: deque[asyncio.Future[None]] = deque()
        self._reader = FrameReader(self._deliver, frame_bytes_max=HANDSHAKE_FRAME_BYTES_MAX)
        self._dispatch: dict[int, FrameHandler] = {}
        self.get_buffer = self._get_buffer  # type: ignore[method-assign]

    def on_lost(self, reason: str) -> None:
        """Called once when the connection has ended, with words for the calls in flight."""

    def speak(self, dispatch: dict[int, FrameHandler]) -> None:
        """Set what handles each type of frame from now on."""
        self._dispatch = dispatch

    def lift_limit(self) -> None:
        """Accept frames of full size: the peer has proved who it is."""
        self._reader.limit(FRAME_BYTES_MAX)

    # Writing.

    def send_frame(
        self,
        kind: int,
        call_id: int,
        head: object = None,
        body: Buffer | Sequence[Buffer] = b"",
        *,
        flags: int = 0,
    ) -> None:
        """Write a frame; a frame to a connection that has ended is dropped.

        Raises ValueError for a frame beyond the limits. Bodies are not copied: they must not change
        until the transport has written them.
        """
        buffers = encode_frame(kind, call_id, head, body, flags=flags)
        transport = self.transport
        if transport is None or self.closed:
            return
        if len(buffers) == 1:
            transport.write(buffers[0])
        else:
            transport.writelines(buffers)

    async def drain(self) -> None:
        """Wait until the transport takes more bytes, or the connection has ended."""
        while self.write_paused and not self.closed:
            waiter = self.loop.create_future()
            self._writable.append(waiter)
            await waiter

    def end(self, reason: str) -> None:
        """End the connection now, as lost for `reason`; what was written before is still sent."""
        if self.closed:
            return
        self.closed = True
        self._reader.stop()
        if self.transport is not None:
            self.transport.close()
        self._wake_writers()
        self.on_lost(reason)

    def abort(self, reason: str) -> None:
        """End the connection now and drop what is not sent yet."""
        self.end(reason)
        if self.transport is not None:
            self.transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the subclass, once."""
        self.end(f"connection lost: {exc}" if exc else "connection closed by the peer")

    def _get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Deliver the frames that the received bytes complete; a fault of the peer ends the connection."""
        self.received_at = self.loop.time()
        try:
            self._reader.received(nbytes)
        except (FrameError, HandshakeError) as error:
            # Best effort, so that the other side's log says what was wrong with what it sent.
            self.send_frame(FrameType.ERROR, 0, ["Denied", str(error), {}])
            self.end(f"protocol error: {error}")

    def eof_received(self) -> bool:
        """Close when the peer has closed its half."""
        return False

    def pause_writing(self) -> None:
        """Note that the transport's buffer is full."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Wake who waits in `drain`."""
        self.write_paused = False
        self._wake_writers()

    def _wake_writers(self) -> None:
        while self._writable:
            waiter = self._writable.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _deliver(self, kind: int, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        handle = self._dispatch.get(kind)
        if handle is None:
            raise FrameError(f"a frame of type {FrameType(kind).name} is out of order here")
        handle(flags, call_id, head, body)


class DeadlineTimer:
    """One timer for many deadlines: armed for the earliest it knows, checked only when that comes.

    Most calls end long before their deadline, so a timer for each would be made and cancelled in
    vain. `expire(now)` ends what is overdue and returns the next deadline (loop time, seconds), or None.
    """

    __slots__ = ("_at", "_expire", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[float], float | None]) -> None:
        self._loop = loop
        self._expire = expire
        self._at = float("inf")
        self._handle: asyncio.TimerHandle | None = None

    def note(self, deadline: float) -> None:
        """Make sure that `expire` runs at `deadline` or soon after."""
        if deadline < self._at:
            self._arm(deadline)

    def stop(self) -> None:
        """Run nothing any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = float("inf")

    def _arm(self, deadline: float) -> None:
        self.stop()
        self._at = deadline
        self._handle = self._loop.call_at(deadline, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._at = float("inf")
        following = self._expire(self._loop.time())
        if following is not None:
            self.note(following)
