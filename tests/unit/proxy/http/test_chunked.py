"""The chunked decoder: any cut gives the same body, and nothing ambiguous passes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.chunked import LINE_BYTES_MAX, TRAILER_BYTES_MAX, ChunkedDecoder, MalformedChunk


def encoded(chunks: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def decode(data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """Return the payload, and what follows the body."""
    decoder = ChunkedDecoder()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    payload = b""
    for start, end in itertools.pairwise(edges):
        pieces, used = decoder.feed(memoryview(data)[start:end])
        payload += b"".join(pieces)
        if decoder.done:
            return payload, data[start + used :]
        assert used == end - start
    raise AssertionError("the body has no end")


@given(
    chunks=st.lists(st.binary(max_size=300), max_size=5),
    cuts=st.lists(st.integers(min_value=0), max_size=8),
    extension=st.sampled_from([b"", b";a=b", b' ; q="x y"']),
    trailer=st.sampled_from([b"", b"x-amz-checksum-crc32: AAAA\r\n"]),
    rest=st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]),
)
def test_any_cut_gives_the_same_body_and_leaves_the_rest(
    chunks: list[bytes], cuts: list[int], extension: bytes, trailer: bytes, rest: bytes
) -> None:
    data = encoded(chunks, extension, trailer) + rest
    assert decode(data, cuts) == (b"".join(chunks), rest)


def test_a_body_cut_at_every_byte_is_whole() -> None:
    data = encoded([b"hello", b"x" * 20], trailer=b"a: b\r\n")
    assert decode(data, list(range(len(data)))) == (b"hello" + b"x" * 20, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1\n",
        b"1_0\r\n",
        b"fffffffffffffffff\r\n",
        b"1;\x00\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"0\r\nno colon\r\n",
        b"0\r\n a: folded\r\n",
        b"0\r\na : b\r\n",
        b"1;" + b"x" * (LINE_BYTES_MAX + 10),
        b"0\r\n" + b"a: b\r\n" * TRAILER_BYTES_MAX,
    ],
)
def test_what_others_might_read_otherwise_is_refused(data: bytes) -> None:
    for step in (1, len(data)):
        with pytest.raises(MalformedChunk):
            decode(data, list(range(0, len(data), step)))
