"""Reads HTTP/1.1 responses off a stream of bytes, counting bodies without keeping them. Pure.

Source: https://www.rfc-editor.org/rfc/rfc9112 (sections 4, 6 and 7).
"""

import re

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_HEAD_BYTES_MAX = 64 * 1024
_BODYLESS_STATUS = (204, 304)


class MalformedResponse(ValueError):
    """The peer does not speak HTTP/1.1."""


class ResponseReader:
    """Follows the one response in flight on a connection.

    Call `expect` before each request, then `feed` until it returns True; `status`, `body_bytes` and
    `keeps_alive` then describe the response.
    """

    __slots__ = (
        "_bodyless",
        "_buffer",
        "_chunked",
        "_in_trailer",
        "_left_bytes",
        "body_bytes",
        "keeps_alive",
        "status",
    )

    def __init__(self) -> None:
        self.expect(bodyless=False)

    def expect(self, *, bodyless: bool) -> None:
        """Start anew; a response to HEAD is `bodyless` whatever its Content-Length says."""
        self.status = 0
        self.body_bytes = 0
        self.keeps_alive = True
        self._bodyless = bodyless
        self._buffer = b""
        self._left_bytes: int | None = 0
        self._chunked = False
        self._in_trailer = False

    def feed(self, data: bytes) -> bool:
        """Take what arrived; True once the response is whole. Raises MalformedResponse."""
        if not self.status:
            rest = self._take_head(data)
            if rest is None:
                return False
            data = rest
        if self._chunked:
            return self._take_chunks(data)
        self.body_bytes += len(data)
        if self._left_bytes is None:
            return False
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise MalformedResponse(f"{-self._left_bytes} bytes after the end of a response")
        return self._left_bytes == 0

    def feed_end(self) -> bool:
        """The peer closed; True if that is how this response ends."""
        return bool(self.status) and self._left_bytes is None and not self._chunked

    def _take_head(self, data: bytes) -> bytes | None:
        buffer = self._buffer + data if self._buffer else data
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) > _HEAD_BYTES_MAX:
                    raise MalformedResponse(f"a response head of more than {_HEAD_BYTES_MAX} bytes")
                self._buffer = buffer
                return None
            status = buffer[9:12]
            if not buffer.startswith(b"HTTP/1.") or not status.isdigit():
                raise MalformedResponse(f"not a status line: {buffer[:40]!r}")
            if not status.startswith(b"1"):
                break
            # An interim response (100 Continue) precedes the real one.
            buffer = buffer[end + 4 :]
        self._buffer = b""
        self.status = int(status)
        head = buffer[: end + 2]
        self.keeps_alive = _CLOSE.search(head) is None and buffer.startswith(b"HTTP/1.1")
        if not self._bodyless and self.status not in _BODYLESS_STATUS:
            self._set_framing(head)
        return buffer[end + 4 :]

    def _set_framing(self, head: bytes) -> None:
        if _CHUNKED.search(head) is not None:
            self._chunked = True
            return
        length = _LENGTH.search(head)
        self._left_bytes = int(length.group(1)) if length else None
        if length is None:
            self.keeps_alive = False

    def _take_chunks(self, data: bytes) -> bool:
        # `_left_bytes` counts what remains of the chunk at hand, with the line end that follows it.
        buffer = self._buffer + data if self._buffer else data
        while buffer:
            left_bytes = self._left_bytes or 0
            if left_bytes:
                taken = min(left_bytes, len(buffer))
                self._left_bytes = left_bytes - taken
                self.body_bytes += max(0, min(taken, left_bytes - 2))
                buffer = buffer[taken:]
                continue
            line, separator, rest = buffer.partition(b"\r\n")
            if not separator:
                break
            buffer = rest
            if self._in_trailer:
                if not line:
                    return True
                continue
            try:
                size = int(line.split(b";", 1)[0], 16)
            except ValueError:
                raise MalformedResponse(f"not a chunk size: {line[:40]!r}") from None
            if size:
                self._left_bytes = size + 2
            else:
                self._in_trailer = True
        self._buffer = buffer
        return False
