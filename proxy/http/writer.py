"""Writing responses: heads joined with small bodies, large bodies uncopied, iterators with back-pressure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, cast

from proxy.http.heads import RequestHead, encode_head
from proxy.http.messages import Buffer, Response

JOINED_BYTES_MAX: Final = 16 * 1024
WRITE_HIGH_BYTES: Final = 512 * 1024
WRITE_LOW_BYTES: Final = 128 * 1024

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})

_log = logging.getLogger(__name__)


class ResponseWriter:
    """The writing half of one connection. `date` returns the Date field with its CR LF."""

    __slots__ = ("_closed", "_date", "_loop", "_resumed", "_transport", "paused")

    def __init__(self, transport: asyncio.Transport, date: Callable[[], str]) -> None:
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        self._transport = transport
        self._date = date
        self._loop = asyncio.get_running_loop()
        self._resumed: asyncio.Future[None] | None = None
        self._closed = False
        self.paused = False

    def pause(self) -> None:
        """The client does not read as fast as we write."""
        self.paused = True

    def resume(self) -> None:
        """The client has read; write on."""
        self.paused = False
        self._wake()

    def close(self) -> None:
        """The connection has ended: what is written from now on is dropped."""
        self._closed = True
        self._wake()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the client has taken enough, or the connection has ended."""
        while self.paused and not self._closed:
            self._resumed = self._loop.create_future()
            await self._resumed

    def send_continue(self) -> None:
        """Ask for the body that the client holds back."""
        if not self._closed:
            self._transport.write(_CONTINUE)

    def refuse(self, status: int, text: str) -> None:
        """Answer a head that no handler sees, and announce the end of the connection."""
        if not self._closed:
            response = plain(status, text)
            content = cast(bytes, response.body)
            ending = f"Content-Length: {len(content)}\r\nConnection: close\r\n{self._date()}"
            self._transport.write(encode_head(status, response.headers, ending) + content)

    async def write(self, head: RequestHead, response: Response, *, keep: bool) -> bool:
        """Write a response; returns whether the connection can be kept, which is at most `keep`.

        The connection is aborted where the response breaks off after its head has gone out: only
        so the client can tell.
        """
        content = response.body
        if not isinstance(content, (bytes, bytearray, memoryview)):
            try:
                return await self._write_iterated(head, response, content, keep)
            finally:
                aclose = getattr(content, "aclose", None)
                if aclose is not None:
                    await aclose()
        if response.length not in (None, len(content)) and head.method != "HEAD":
            _log.error("a response's length is not that of its body")
            self._transport.abort()
            return False
        self._write_whole(head, response, content, keep)
        if self.paused:
            await self.drain()
        return keep

    def _write_whole(self, head: RequestHead, response: Response, content: Buffer, keep: bool) -> None:
        if self._closed:
            return
        length = len(content) if response.length is None else response.length
        first = self._encode(head, response, length, keep)
        if head.method == "HEAD" or not length or response.status in _BODILESS:
            self._transport.write(first)
        elif length <= JOINED_BYTES_MAX:
            self._transport.write(b"".join((first, content)))
        else:
            self._transport.writelines((first, content))

    async def _write_iterated(
        self, head: RequestHead, response: Response, content: AsyncIterator[Buffer], keep: bool
    ) -> bool:
        bodiless = head.method == "HEAD" or response.status in _BODILESS
        try:
            # The first piece is awaited before the head goes out: until then an error can be answered.
            piece = None if bodiless else await anext(content, None)
        except Exception as error:  # noqa: BLE001  (logged and answered, whatever it is)
            _log.error("a response failed before its first byte", exc_info=error)
            failed = plain(503, "the object cannot be read now")
            self._write_whole(head, failed, cast(bytes, failed.body), keep)
            return keep
        keep = keep and (response.length is not None or head.minor_version == 1)
        first = self._encode(head, response, response.length, keep)
        if bodiless:
            self._send((first,))
            return keep
        try:
            await self._write_pieces(first, piece, content, response.length, head.minor_version == 1)
        except Exception as error:  # noqa: BLE001  (the head is out: the broken connection tells)
            _log.error("a response failed midway", exc_info=error)
            self._transport.abort()
            return False
        return keep

    async def _write_pieces(
        self,
        first: bytes,
        piece: Buffer | None,
        content: AsyncIterator[Buffer],
        length: int | None,
        may_chunk: bool,
    ) -> None:
        sent_bytes = 0
        chunked = length is None and may_chunk
        while piece is not None:
            sent_bytes += len(piece)
            if length is not None and sent_bytes > length:
                raise ValueError(f"a response's body is longer than its length of {length} bytes")
            if len(piece):
                if chunked:
                    self._send((first + b"%x\r\n" % len(piece), piece, b"\r\n"))
                else:
                    self._send((first, piece) if first else (piece,))
                first = b""
            if self.paused:
                await self.drain()
            piece = None if self._closed else await anext(content, None)
        if length is not None and sent_bytes != length and not self._closed:
            raise ValueError(f"a response's body has {sent_bytes} of {length} bytes")
        if first or chunked:
            self._send((first + (b"0\r\n\r\n" if chunked else b""),))

    def _send(self, buffers: tuple[Buffer, ...]) -> None:
        if not self._closed:
            if len(buffers) == 1:
                self._transport.write(buffers[0])
            else:
                self._transport.writelines(buffers)

    def _encode(self, head: RequestHead, response: Response, length: int | None, keep: bool) -> bytes:
        if response.status in _BODILESS:
            framing = ""
        elif length is not None:
            framing = f"Content-Length: {length}\r\n"
        else:
            framing = "Transfer-Encoding: chunked\r\n" if head.minor_version else ""
        if not keep:
            framing += "Connection: close\r\n"
        elif not head.minor_version:
            framing += "Connection: keep-alive\r\n"
        return encode_head(response.status, response.headers, framing + self._date())

    def _wake(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)


def plain(status: int, text: str) -> Response:
    """Return a response of plain text."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8")], f"{text}\n".encode())
