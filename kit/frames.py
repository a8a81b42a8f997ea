"""Frames: the layout and the incremental reader of the node protocol. Pure.

    frame  = header | head | body
    header = u32 frame bytes (head and body) · u8 version · u8 type · u8 flags · u8 zero ·
             u32 call id · u32 head bytes                          (big-endian, 16 bytes)
    head   = one msgpack object, or nothing
    body   = raw bytes, never passed through msgpack

docs/node-protocol.md says what each type carries and in which order frames may come.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum, IntFlag
from typing import Any, Final

import msgpack

from kit.pages import paged_memory

Buffer = bytes | bytearray | memoryview

FRAME_VERSION: Final = 1
HEADER: Final = struct.Struct(">IBBBBII")
HEADER_BYTES: Final = HEADER.size
FRAME_BYTES_MAX: Final = 8 * 1024 * 1024
HEAD_BYTES_MAX: Final = 1024 * 1024
DATA_BYTES_MAX: Final = 256 * 1024
WINDOW_BYTES: Final = 1024 * 1024
RECEIVE_BYTES: Final = 256 * 1024
# Frames from here on are received into memory of their own instead of being copied out.
OWN_BUFFER_BYTES_MIN: Final = 64 * 1024
# Bodies below this are joined to their head: one buffer is cheaper to write than two.
JOIN_BYTES_MAX: Final = 16 * 1024


class FrameType(IntEnum):
    """What a frame is; the number is on the wire."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    WELCOME = 4
    REQUEST = 5
    REPLY = 6
    ERROR = 7
    DATA = 8
    END = 9
    CREDIT = 10
    CANCEL = 11
    PING = 12
    PONG = 13
    PUSH = 14


class FrameFlags(IntFlag):
    """Flags of a frame."""

    NONE = 0
    STREAM = 1
    """On a REQUEST: DATA frames and an END follow, and the reply may be preceded by DATA frames."""


class FrameError(Exception):
    """The peer sent bytes that are no frame of this protocol; the connection cannot go on."""


Deliver = Callable[[int, int, int, Any, Buffer], None]

_TYPE_MAX: Final = max(FrameType)
_NO_HEAD: Final = None


def buffer_bytes(buffer: Buffer) -> int:
    """Return the length of a buffer in bytes, whatever its item size."""
    return buffer.nbytes if type(buffer) is memoryview else len(buffer)


def encode_frame(
    kind: int, call_id: int, head: object = None, body: Buffer | Sequence[Buffer] = b"", *, flags: int = 0
) -> list[Buffer]:
    """Return the buffers of a frame, in order; large bodies are in it as they are, not copied.

    `head` is packed by msgpack unless it is None. Raises ValueError for a frame beyond the limits.
    """
    packed = b"" if head is None else msgpack.packb(head)
    head_bytes = len(packed)
    if type(body) is bytes or isinstance(body, (bytes, bytearray, memoryview)):
        body_bytes = buffer_bytes(body)
        bodies: Sequence[Buffer] = (body,)
    else:
        bodies = body
        body_bytes = sum(map(buffer_bytes, bodies))
    frame_bytes = head_bytes + body_bytes
    if frame_bytes > FRAME_BYTES_MAX or head_bytes > HEAD_BYTES_MAX:
        raise ValueError(f"a frame of {head_bytes} + {body_bytes} bytes is beyond the limits")
    header = HEADER.pack(frame_bytes, FRAME_VERSION, kind, flags, 0, call_id, head_bytes)
    if body_bytes == 0:
        return [header + packed]
    if body_bytes <= JOIN_BYTES_MAX:
        return [b"".join((header, packed, *bodies))]
    return [header + packed, *bodies]


class FrameReader:
    """Cuts received bytes into frames and hands each to `deliver(type, flags, call_id, head, body)`.

    Bytes are received where `room()` says and announced by `received(count)`, which raises
    FrameError for anything outside the layout or its limits. Small bodies are delivered as bytes of
    their own; large frames are received straight into a buffer of their size, of which the body is
    a view. After `stop()` nothing more is delivered.
    """

    __slots__ = ("_buffer", "_deliver", "_end", "_fields", "_filled", "_frame_bytes_max", "_large",
                 "_start", "_stopped", "_view")  # fmt: skip

    def __init__(self, deliver: Deliver, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._deliver = deliver
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._large: memoryview | None = None
        self._filled = 0
        self._fields = (0, 0, 0, 0)
        self._stopped = False

    def limit(self, frame_bytes_max: int) -> None:
        """Set the largest frame accepted from now on, in bytes of head and body."""
        self._frame_bytes_max = frame_bytes_max

    def stop(self) -> None:
        """Deliver nothing more; received bytes are dropped."""
        self._stopped = True
        self._large = None

    def room(self) -> memoryview:
        """Return the memory that the next received bytes belong into; never empty."""
        if self._large is not None:
            return self._large[self._filled :]
        return self._view[self._end :] if self._end else self._view

    def received(self, count: int) -> None:
        """Take note of `count` more bytes in the last `room()` and deliver the frames they complete."""
        if self._stopped:
            return
        if self._large is not None:
            self._filled += count
            if self._filled == len(self._large):
                self._deliver_large()
            return
        self._end += count
        self._deliver_small()

    def _deliver_large(self) -> None:
        kind, flags, call_id, head_bytes = self._fields
        large = self._large
        assert large is not None
        self._large = None
        head = _unpack(large[:head_bytes]) if head_bytes else _NO_HEAD
        self._deliver(kind, flags, call_id, head, large[head_bytes:])

    def _deliver_small(self) -> None:
        view, start, end = self._view, self._start, self._end
        while end - start >= HEADER_BYTES and not self._stopped:
            frame_bytes, version, kind, flags, zero, call_id, head_bytes = HEADER.unpack_from(view, start)
            if (
                version != FRAME_VERSION
                or zero
                or not 0 < kind <= _TYPE_MAX
                or frame_bytes > self._frame_bytes_max
                or head_bytes > HEAD_BYTES_MAX
                or head_bytes > frame_bytes
            ):
                raise FrameError(_fault(frame_bytes, version, kind, head_bytes, self._frame_bytes_max))
            body_at = start + HEADER_BYTES + head_bytes
            frame_end = start + HEADER_BYTES + frame_bytes
            if frame_end > end:
                if frame_bytes >= OWN_BUFFER_BYTES_MIN:
                    self._begin_large(frame_bytes, (kind, flags, call_id, head_bytes), start, end)
                    start = end
                break
            head = _unpack(view[start + HEADER_BYTES : body_at]) if head_bytes else _NO_HEAD
            body = bytes(view[body_at:frame_end]) if body_at < frame_end else b""
            start = frame_end
            self._deliver(kind, flags, call_id, head, body)
        self._keep(start, end)

    def _begin_large(self, frame_bytes: int, fields: tuple[int, int, int, int], start: int, end: int) -> None:
        # Its body begins at a page: so a disk can take it as it is.
        large = paged_memory(frame_bytes, page_at=fields[3])
        self._filled = end - start - HEADER_BYTES
        large[: self._filled] = self._view[start + HEADER_BYTES : end]
        self._large = large
        self._fields = fields

    def _keep(self, start: int, end: int) -> None:
        # What is left is the beginning of a small frame; moved to the front only when it comes
        # near the end, so that a frame below OWN_BUFFER_BYTES_MIN always has room to complete.
        if start == end:
            start = end = 0
        elif start and RECEIVE_BYTES - start < 2 * OWN_BUFFER_BYTES_MIN:
            self._view[: end - start] = self._view[start:end]
            start, end = 0, end - start
        self._start, self._end = start, end


def _unpack(packed: memoryview) -> Any:
    try:
        return msgpack.unpackb(packed, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise FrameError(f"a frame's head is not msgpack: {error}") from error


def _fault(frame_bytes: int, version: int, kind: int, head_bytes: int, frame_bytes_max: int) -> str:
    if version != FRAME_VERSION:
        return f"frame version {version}, this node speaks {FRAME_VERSION}"
    if frame_bytes > frame_bytes_max:
        return f"a frame of {frame_bytes} bytes, at most {frame_bytes_max} are taken"
    if head_bytes > min(frame_bytes, HEAD_BYTES_MAX):
        return f"a head of {head_bytes} bytes in a frame of {frame_bytes}"
    return f"a frame of unknown type {kind} or with a reserved byte set"
