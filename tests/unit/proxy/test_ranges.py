"""Range headers select the bytes that RFC 9110 says, and are ignored or refused where it says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import InvalidRange
from proxy.ranges import Span, content_range, frame_multipart, parse_range


def _spans(text: str, size: int) -> list[tuple[int, int]]:
    request = parse_range(text)
    assert request is not None
    return [(span.offset, span.length) for span in request.resolve(size)]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-5", [(2, 4)]),
        ("bytes=5-", [(5, 5)]),
        ("bytes=-3", [(7, 3)]),
        ("bytes=-300", [(0, 10)]),
        ("bytes=8-100", [(8, 2)]),
        ("Bytes = 0-1 , 4-5", [(0, 2), (4, 2)]),
        ("bytes=0-1,99-100", [(0, 2)]),
    ],
)
def test_a_range_selects_its_bytes(text: str, spans: list[tuple[int, int]]) -> None:
    assert _spans(text, 10) == spans


@pytest.mark.parametrize(
    "text",
    ["", "items=0-1", "bytes=", "bytes=5-3", "bytes=-", "bytes=4", "bytes=a-b", "bytes=--1", "bytes=0-1,x"],
)
def test_a_range_that_is_not_well_formed_is_ignored(text: str) -> None:
    assert parse_range(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "bytes=10-",
        "bytes=-0",
        "bytes=99-100",
        "bytes=0-9,1-8,2-7",
        "bytes=" + ",".join(f"{n}-{n}" for n in (1, 0, 2, 3, 4, 5, 6, 7)),
    ],
)
def test_a_range_that_selects_nothing_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidRange) as refused:
        _spans(text, 10)
    assert refused.value.size == 10


def test_more_than_fifty_ranges_are_refused() -> None:
    with pytest.raises(InvalidRange):
        _spans("bytes=" + ",".join(f"{n}-{n}" for n in range(51)), 100)


def test_a_suffix_of_nothing_is_the_whole_of_nothing() -> None:
    assert _spans("bytes=-5", 0) == []
    with pytest.raises(InvalidRange):
        _spans("bytes=0-", 0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20))
def test_one_range_selects_what_a_slice_does(first: int, last: int, size: int) -> None:
    body = bytes(range(size))
    request = parse_range(f"bytes={first}-{last}")
    if last < first:
        assert request is None
        return
    expected = body[first : last + 1]
    assert request is not None
    if not expected:
        with pytest.raises(InvalidRange):
            request.resolve(size)
        return
    (span,) = request.resolve(size)
    assert body[span.offset : span.end] == expected


def test_the_length_of_a_multipart_body_is_told_before_it_is_sent() -> None:
    spans = (Span(0, 2), Span(5, 3))
    body = b"0123456789"
    frame = frame_multipart(spans, 10, content_type="text/plain", boundary="b0")
    whole = (
        b"".join(head + body[s.offset : s.end] for head, s in zip(frame.heads, spans, strict=True))
        + frame.tail
    )
    assert len(whole) == frame.length
    assert whole == (
        b"--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n"
        b"--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-7/10\r\n\r\n567\r\n--b0--"
    )
    assert content_range(Span(0, 2), 10) == "bytes 0-1/10"
