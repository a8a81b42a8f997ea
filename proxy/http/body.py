"""The body of a request on its way from the connection to the handler, with back-pressure.

A body of known length is received straight into the buffers that the handler gets: one buffer of
its size where it is small, else buffers of CHUNK_BYTES. The connection stops reading while
HELD_BYTES_MAX wait for the handler. Buffers are never used again, so the handler may pass them on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

from kit.pages import fresh_memory
from model.errors import BadRequest, ColonnadeError
from proxy.http.messages import BodyStream, Buffer

CHUNK_BYTES: Final = 256 * 1024
WHOLE_BYTES_MAX: Final = 1024 * 1024
HELD_BYTES_MAX: Final = 512 * 1024
PROVEN_BYTES: Final = 64 * 1024
"""A body gets no more memory than this before so much of it has come: to announce much costs nothing."""
_FIRST_CHUNK_BYTES: Final = 16 * 1024


class BodySource(Protocol):
    """The connection that a body arrives on."""

    def pause_body(self) -> None:
        """Read no more until `resume_body`."""

    def resume_body(self) -> None:
        """Read on."""

    def send_continue(self) -> None:
        """Tell the client to send the body that it holds back."""


class RequestBody(BodyStream):
    """One request's body; the connection fills it, the handler reads it once."""

    __slots__ = ("_at", "_begun", "_buffer_bytes", "_chunk", "_continue", "_ended", "_error",
                 "_filled", "_held_bytes", "_paused", "_source", "_view", "_waiter",
                 "left", "length", "taken_bytes")  # fmt: skip

    def __init__(self, source: BodySource, length: int | None, *, expects_continue: bool) -> None:
        self.length = length
        self.left = length if length is not None else 0
        self.taken_bytes = 0
        self._source = source
        self._continue = expects_continue
        self._filled: deque[Buffer] = deque()
        self._held_bytes = 0
        self._chunk: memoryview | None = None
        self._buffer_bytes = 0
        self._view = memoryview(b"")
        self._at = 0
        self._paused = False
        self._begun = False
        self._ended = length == 0
        self._error: ColonnadeError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # The connection's side.

    @property
    def sound(self) -> bool:
        """Whether nothing has gone wrong with the body so far."""
        return self._error is None

    @property
    def begun(self) -> bool:
        """Whether the handler has begun to read the body."""
        return self._begun

    @property
    def waiting(self) -> bool:
        """Whether the handler waits for bytes."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def held_back(self) -> bool:
        """Whether the client still holds the body back until it is told to send it."""
        return self._continue

    def room(self) -> memoryview:
        """Return where the next bytes of a body of known length belong."""
        if self._chunk is None:
            whole = self.length is not None and self.length <= WHOLE_BYTES_MAX
            self._start_chunk(self.left if whole else min(self.left, CHUNK_BYTES))
        return self._view[self._at :]

    def received(self, count: int) -> None:
        """Take note of `count` bytes in the last `room()`."""
        self._continue = False
        self._at += count
        self.left -= count
        self.taken_bytes += count
        if not self.left:
            self.end()
        elif self._at == len(self._view):
            self._end_chunk()

    def take(self, data: memoryview) -> None:
        """Take a copy of bytes that arrived elsewhere."""
        self._continue = False
        at = 0
        while at < len(data):
            if self._chunk is None:
                self._start_chunk(self._chunk_bytes(len(data) - at))
            count = min(len(data) - at, len(self._view) - self._at)
            self._view[self._at : self._at + count] = data[at : at + count]
            at += count
            self._at += count
            self.taken_bytes += count
            if self.length is not None:
                self.left -= count
            if self._at == len(self._view):
                self._end_chunk()
        if self.length is not None and not self.left:
            self.end()

    def end(self) -> None:
        """All of the body has arrived."""
        self._deliver()
        self._ended = True
        self._wake()

    def fail(self, error: ColonnadeError) -> None:
        """The body will not become whole."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._filled.clear()
            self._wake()

    async def drop(self, bytes_max: int) -> bool:
        """Read what the handler left unread; returns whether that came to its end within `bytes_max`."""
        dropped_bytes = 0
        try:
            while (chunk := await self._next()) is not None:
                dropped_bytes += len(chunk)
                if dropped_bytes > bytes_max:
                    return False
        except ColonnadeError:
            return False
        return True

    # The handler's side.

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the body as it arrives. Raises IncompleteBody when the client goes away or stalls."""
        while True:
            chunk = await self._next()
            if chunk is None:
                return
            yield chunk

    async def read(self, bytes_max: int) -> Buffer:
        """Return the whole body. Raises BadRequest where it is longer than `bytes_max`."""
        if self.length is not None and self.length > bytes_max:
            raise BadRequest(f"the body is longer than {bytes_max} bytes")
        first = await self._next()
        if first is None:
            return b""
        chunks = [first]
        total_bytes = len(first)
        while (chunk := await self._next()) is not None:
            chunks.append(chunk)
            total_bytes += len(chunk)
            if total_bytes > bytes_max:
                raise BadRequest(f"the body is longer than {bytes_max} bytes")
        if total_bytes > bytes_max:
            raise BadRequest(f"the body is longer than {bytes_max} bytes")
        return first if len(chunks) == 1 else b"".join(chunks)

    async def _next(self) -> Buffer | None:
        self._begun = True
        while not self._filled:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            if self._continue:
                self._continue = False
                self._source.send_continue()
            if self.waiting:
                raise AssertionError("a body has one reader")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        chunk = self._filled.popleft()
        self._held_bytes -= len(chunk)
        if self._paused and self._held_bytes < HELD_BYTES_MAX:
            self._resume()
        return chunk

    def _chunk_bytes(self, offered_bytes: int) -> int:
        if self.length is not None:
            return self.left if self.length <= WHOLE_BYTES_MAX else min(self.left, CHUNK_BYTES)
        if offered_bytes >= _FIRST_CHUNK_BYTES or self.taken_bytes >= _FIRST_CHUNK_BYTES:
            return CHUNK_BYTES
        return _FIRST_CHUNK_BYTES

    def _start_chunk(self, size: int) -> None:
        self._buffer_bytes = size
        self._chunk = self._view = fresh_memory(size if self.taken_bytes else min(size, PROVEN_BYTES))
        self._at = 0

    def _end_chunk(self) -> None:
        """Pass a full chunk on; the first one grows to what the body is worth now that it has come so far."""
        if len(self._view) == self._buffer_bytes:
            self._deliver()
            return
        grown = fresh_memory(self._buffer_bytes)
        grown[: self._at] = self._view
        self._chunk = self._view = grown

    def _deliver(self) -> None:
        if self._chunk is None or not self._at:
            return
        chunk: Buffer = self._chunk if self._at == len(self._chunk) else self._view[: self._at]
        self._chunk = None
        self._filled.append(chunk)
        self._held_bytes += self._at
        more = self.left > 0 or self.length is None
        if more and self._held_bytes >= HELD_BYTES_MAX and not self._paused:
            self._paused = True
            self._source.pause_body()
        self._wake()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._source.resume_body()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
