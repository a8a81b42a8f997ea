"""Claims about the response reader: framing holds however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.http_wire import MalformedResponse, ResponseReader

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
)
COUNTED = b"HTTP/1.1 206 Partial\r\ncontent-length: 6\r\n\r\nhello!"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED


@given(st.sampled_from([CHUNKED, COUNTED, CONTINUED]), st.lists(st.integers(0, 100), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_response(response: bytes, cuts: list[int]) -> None:
    reader = ResponseReader()
    places = sorted({0, len(response), *(cut for cut in cuts if cut < len(response))})
    parts = [response[start:end] for start, end in pairwise(places)]
    finished = [reader.feed(part) for part in parts]
    assert finished == [False] * (len(parts) - 1) + [True]
    assert reader.status in (200, 206)
    assert reader.body_bytes == 6
    assert reader.keeps_alive


def test_a_response_to_head_ends_with_its_head() -> None:
    reader = ResponseReader()
    reader.expect(bodyless=True)
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n")
    assert reader.body_bytes == 0


def test_no_content_has_no_body_and_the_next_response_follows() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n")
    reader.expect(bodyless=False)
    assert reader.feed(COUNTED)


def test_without_any_length_the_body_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert not reader.feed(b"HTTP/1.1 200 OK\r\n\r\nsome bytes")
    assert not reader.keeps_alive
    assert reader.feed_end()
    assert reader.body_bytes == 10


def test_a_close_in_the_middle_of_a_counted_body_is_no_end() -> None:
    reader = ResponseReader()
    assert not reader.feed(COUNTED[:-1])
    assert not reader.feed_end()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_that_will_close_is_noticed(head: bytes) -> None:
    reader = ResponseReader()
    assert reader.feed(head + b"Content-Length: 0\r\n\r\n")
    assert not reader.keeps_alive


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n\r\n", COUNTED + b"more", CHUNKED.replace(b"5;x=y", b"five"), b"x" * 70_000]
)
def test_what_is_not_http_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ResponseReader().feed(data)
