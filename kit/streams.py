"""Streams: the two directions of a streaming call, with flow control by credit.

A sender may have at most WINDOW_BYTES on their way that the receiver has not consumed; the receiver
grants more as it consumes. So a slow reader holds one window and no more, and many streams share
one connection without standing in each other's way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from kit.connection import FrameConnection
from kit.frames import DATA_BYTES_MAX, WINDOW_BYTES, Buffer, FrameError, FrameType

# Credit is returned in steps of this, not per chunk: fewer frames, and the sender never starves.
_GRANT_BYTES: Final = WINDOW_BYTES // 4


class Outbound:
    """The sending direction of one call."""

    __slots__ = ("_call_id", "_connection", "_credit", "_ended", "_error", "_waiter")

    def __init__(self, connection: FrameConnection, call_id: int) -> None:
        self._connection = connection
        self._call_id = call_id
        self._credit = WINDOW_BYTES
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._ended = False

    async def send(self, buffer: Buffer) -> None:
        """Send a buffer, waiting for credit; it must not change afterwards.

        Raises the call's error once it has failed. After the peer has answered without wanting
        more, the buffer is dropped.
        """
        view = memoryview(buffer).cast("B") if len(buffer) else memoryview(b"")
        for at in range(0, len(view), DATA_BYTES_MAX):
            piece = view[at : at + DATA_BYTES_MAX]
            await self._wait_for(len(piece))
            if self._ended:
                return
            self._credit -= len(piece)
            self._connection.send_frame(FrameType.DATA, self._call_id, None, piece)

    async def _wait_for(self, piece_bytes: int) -> None:
        while True:
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            if self._credit < piece_bytes:
                self._waiter = self._connection.loop.create_future()
                await self._waiter
            elif self._connection.write_paused:
                await self._connection.drain()
            else:
                return

    def grant(self, credit_bytes: int) -> None:
        """Take credit that the receiver has granted."""
        self._credit += credit_bytes
        if self._credit > WINDOW_BYTES:
            raise FrameError(f"credit of {self._credit} bytes is beyond the window")
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Send no more: the call has been answered, or has failed with `error`."""
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Inbound:
    """The receiving direction of one call: a queue of chunks of at most one window."""

    __slots__ = ("_call_id", "_chunks", "_connection", "_ended", "_error", "_owed", "_waiter", "_window")

    def __init__(self, connection: FrameConnection, call_id: int) -> None:
        self._connection = connection
        self._call_id = call_id
        self._chunks: deque[Buffer] = deque()
        self._window = WINDOW_BYTES
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    def push(self, chunk: Buffer) -> None:
        """Take a chunk from the wire; raises FrameError where the peer overruns its credit."""
        self._window -= len(chunk)
        if self._window < 0 or self._ended:
            raise FrameError("data beyond the credit, or after the end of its stream")
        self._chunks.append(chunk)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; chunks received before are still read, then `error` is raised."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    async def next(self) -> Buffer | None:
        """Return the next chunk, or None at the end; raises the call's error where it failed."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        chunk = self._chunks.popleft()
        self._owed += len(chunk)
        if self._owed >= _GRANT_BYTES and not self._ended:
            self._connection.send_frame(FrameType.CREDIT, self._call_id, self._owed)
            self._window += self._owed
            self._owed = 0
        return chunk

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the chunks to the end; raises the call's error where it failed."""
        while (chunk := await self.next()) is not None:
            yield chunk

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
