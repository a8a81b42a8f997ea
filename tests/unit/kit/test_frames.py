"""Frames: any cut of the bytes gives the same frames, and nothing outside the layout passes."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.frames import (
    FRAME_BYTES_MAX,
    FRAME_VERSION,
    HEAD_BYTES_MAX,
    HEADER,
    OWN_BUFFER_BYTES_MIN,
    RECEIVE_BYTES,
    Buffer,
    FrameError,
    FrameReader,
    FrameType,
    encode_frame,
)
from kit.pages import PAGE_BYTES, address_of

Got = list[tuple[int, int, int, Any, bytes]]


def feed(data: bytes, cuts: list[int], **limits: int) -> Got:
    """Return the frames that a reader finds in bytes that arrive in pieces of these sizes, in turn."""
    got: Got = []
    reader = FrameReader(
        lambda kind, flags, call_id, head, body: got.append((kind, flags, call_id, head, bytes(body))),
        **limits,
    )
    at, turn = 0, 0
    while at < len(data):
        room = reader.room()
        assert len(room) > 0
        count = min(len(room), cuts[turn % len(cuts)], len(data) - at)
        room[:count] = data[at : at + count]
        reader.received(count)
        at += count
        turn += 1
    return got


def test_a_large_body_begins_at_a_page_whatever_its_head() -> None:
    bodies: list[Buffer] = []
    for head in (None, [1], [b"x" * 77]):
        bodies.clear()
        reader = FrameReader(lambda kind, flags, call_id, head, body: bodies.append(body))
        data = b"".join(encode_frame(FrameType.REPLY, 1, head, bytes(OWN_BUFFER_BYTES_MIN)))
        for at in range(0, len(data), 1000):
            piece = data[at : at + 1000]
            reader.room()[: len(piece)] = piece
            reader.received(len(piece))
        (body,) = bodies
        assert address_of(body) % PAGE_BYTES == 0
        assert body == bytes(OWN_BUFFER_BYTES_MIN)


heads = st.one_of(st.none(), st.integers(0, 2**40), st.lists(st.binary(max_size=20), max_size=4))
bodies = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([0, 1, 5000, OWN_BUFFER_BYTES_MIN - 8, OWN_BUFFER_BYTES_MIN, RECEIVE_BYTES, 700_000]).map(
        bytes
    ),
)


@given(
    frames=st.lists(
        st.tuples(st.sampled_from(FrameType), st.integers(0, 2**32 - 1), heads, bodies), max_size=6
    ),
    cuts=st.lists(
        st.sampled_from([1, 3, 15, 16, 17, 1000, 65_536, 200_000, RECEIVE_BYTES]), min_size=1, max_size=4
    ).filter(lambda cuts: max(cuts) >= 1000),
)
def test_any_cut_gives_the_same_frames(
    frames: list[tuple[FrameType, int, Any, bytes]], cuts: list[int]
) -> None:
    data = b"".join(
        b"".join(encode_frame(kind, call_id, head, body, flags=1)) for kind, call_id, head, body in frames
    )
    assert feed(data, cuts) == [(kind, 1, call_id, head, body) for kind, call_id, head, body in frames]


def test_large_bodies_are_neither_joined_nor_copied() -> None:
    body = bytearray(1_000_000)
    buffers = encode_frame(FrameType.REQUEST, 1, ["op"], body)
    assert any(buffer is body for buffer in buffers)
    parts: list[Buffer] = [b"a" * 20_000, memoryview(b"b" * 20_000)]
    assert feed(b"".join(encode_frame(FrameType.REPLY, 1, None, parts)), [50])[0][4] == b"".join(parts)


def test_a_large_frame_is_received_into_memory_of_its_own() -> None:
    bodies_got: list[object] = []
    reader = FrameReader(lambda kind, flags, call_id, head, body: bodies_got.append(body))
    data = b"".join(encode_frame(FrameType.DATA, 1, None, bytes(500_000)))
    reader.room()[:100] = data[:100]
    reader.received(100)
    assert len(reader.room()) == len(data) - 100
    reader.room()[:] = data[100:]
    reader.received(len(data) - 100)
    assert isinstance(bodies_got[0], memoryview)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((0, FRAME_VERSION + 1, 5, 0, 0, 1, 0), "frame version"),
        ((0, FRAME_VERSION, 0, 0, 0, 1, 0), "unknown type"),
        ((0, FRAME_VERSION, 99, 0, 0, 1, 0), "unknown type"),
        ((0, FRAME_VERSION, 5, 0, 1, 1, 0), "reserved"),
        ((FRAME_BYTES_MAX + 1, FRAME_VERSION, 5, 0, 0, 1, 0), "at most"),
        ((10, FRAME_VERSION, 5, 0, 0, 1, 11), "head of 11 bytes"),
        ((FRAME_BYTES_MAX, FRAME_VERSION, 5, 0, 0, 1, HEAD_BYTES_MAX + 1), "head of"),
        (tuple(HEADER.unpack(b"GET / HTTP/1.1\r\n")), "frame version"),
    ],
)
def test_what_is_no_frame_is_refused_by_its_header_alone(fields: tuple[int, ...], words: str) -> None:
    with pytest.raises(FrameError, match=words):
        feed(HEADER.pack(*fields), [16])


def test_a_head_that_is_not_msgpack_is_refused() -> None:
    for head in (b"\xc1", b"\x92\x01", msgpack.packb(1) + b"\x01", b"\x91" * 5000):
        data = HEADER.pack(len(head), FRAME_VERSION, 5, 0, 0, 1, len(head)) + head
        with pytest.raises(FrameError, match="msgpack"):
            feed(data, [100])


def test_frames_beyond_the_limits_are_not_sent() -> None:
    for head, body in ((None, bytes(FRAME_BYTES_MAX + 1)), (bytes(HEAD_BYTES_MAX), b"")):
        with pytest.raises(ValueError, match="beyond the limits"):
            encode_frame(FrameType.REQUEST, 1, head, body)


def test_a_stopped_reader_delivers_nothing_more() -> None:
    got: list[int] = []

    def deliver(kind: int, flags: int, call_id: int, head: Any, body: Buffer) -> None:
        got.append(call_id)
        reader.stop()

    reader = FrameReader(deliver)
    data = b"".join(b"".join(encode_frame(FrameType.PING, call_id)) for call_id in (1, 2))
    reader.room()[: len(data)] = data
    reader.received(len(data))
    assert got == [1]
