"""The cipher of stored bytes: any range comes back, and nothing altered does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord
from proxy.encryption.cipher import (
    SEGMENT_BYTES,
    TAG_BYTES,
    SegmentOpener,
    SegmentSealer,
    open_whole,
    sealed_bytes,
    window_of,
)

KEY = bytes(range(32))
SEGMENT = 16
bodies = st.binary(max_size=5 * SEGMENT)


def seal_whole(key: bytes, body: bytes, segment_bytes: int) -> bytearray:
    """A body sealed by a sealer of its own."""
    return SegmentSealer(key, segment_bytes).whole(body)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, the last one whatever is left."""
    pieces = []
    for size in cuts:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(bodies, st.lists(st.integers(0, 3 * SEGMENT), max_size=8))
def test_however_a_body_is_cut_on_its_way_it_is_sealed_the_same(body: bytes, cuts: list[int]) -> None:
    sealer = SegmentSealer(KEY, SEGMENT)
    sealed = b"".join([bytes(sealer.update(piece)) for piece in cut(body, cuts)]) + bytes(sealer.finish())
    assert sealed == bytes(seal_whole(KEY, body, SEGMENT))
    assert len(sealed) == sealed_bytes(len(body), SEGMENT)
    assert bytes(open_whole(KEY, sealed, len(body), SEGMENT)) == body


@given(st.binary(min_size=1, max_size=5 * SEGMENT), st.data())
def test_any_span_is_read_from_its_window_alone(body: bytes, data: st.DataObject) -> None:
    sealed = bytes(seal_whole(KEY, body, SEGMENT))
    offset = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(1, len(body) - offset))
    window = window_of(len(body), offset, length, SEGMENT)
    assert window.length <= length + 2 * SEGMENT + TAG_BYTES * (length // SEGMENT + 2)
    span = sealed[window.offset : window.offset + window.length]
    opener = SegmentOpener(KEY, len(body), first=window.first, segment_bytes=SEGMENT)
    cuts = data.draw(st.lists(st.integers(0, 2 * SEGMENT), max_size=6))
    opened = b"".join([bytes(opener.update(piece)) for piece in cut(span, cuts)])
    opener.finish()
    assert opened[window.skip : window.skip + length] == body[offset : offset + length]


@given(st.binary(min_size=1, max_size=5 * SEGMENT), st.data())
def test_a_flipped_bit_is_noticed(body: bytes, data: st.DataObject) -> None:
    sealed = seal_whole(KEY, body, SEGMENT)
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(CorruptRecord):
        open_whole(KEY, sealed, len(body), SEGMENT)


@given(st.integers(1, 4), st.integers(0, 4))
def test_a_body_cut_at_a_segment_is_not_a_shorter_body(kept: int, more: int) -> None:
    body = bytes(SEGMENT * (kept + 1) + more)
    sealed = bytes(seal_whole(KEY, body, SEGMENT))
    short = sealed[: kept * (SEGMENT + TAG_BYTES)]
    with pytest.raises(CorruptRecord, match="altered"):
        open_whole(KEY, short, kept * SEGMENT, SEGMENT)
    with pytest.raises(CorruptRecord):
        open_whole(KEY, short, len(body), SEGMENT)
    with pytest.raises(CorruptRecord):
        open_whole(KEY, sealed + sealed, len(body), SEGMENT)


def test_segments_that_change_places_are_noticed() -> None:
    sealed = bytes(seal_whole(KEY, bytes(3 * SEGMENT), SEGMENT))
    one, two, three = (
        sealed[at : at + SEGMENT + TAG_BYTES] for at in range(0, len(sealed), SEGMENT + TAG_BYTES)
    )
    for altered in (two + one + three, one + one + three, one + three + two):
        with pytest.raises(CorruptRecord, match="altered"):
            open_whole(KEY, altered, 3 * SEGMENT, SEGMENT)


def test_no_nonce_comes_twice_under_a_key() -> None:
    # Equal segments under one key would seal alike if their nonces were the same.
    sealed = bytes(seal_whole(KEY, bytes(100 * SEGMENT), SEGMENT))
    size = SEGMENT + TAG_BYTES
    segments = [sealed[at : at + size] for at in range(0, len(sealed), size)]
    assert len(set(segments)) == 100
    # The last of a body differs from the same one with more behind it.
    assert bytes(seal_whole(KEY, bytes(SEGMENT), SEGMENT)) != segments[0]


def test_bytes_that_end_inside_a_segment_are_refused() -> None:
    opener = SegmentOpener(KEY, 100)
    opener.update(bytes(50))
    with pytest.raises(CorruptRecord, match="inside a segment"):
        opener.finish()


def test_a_sealer_holds_back_one_segment_at_most() -> None:
    sealer = SegmentSealer(KEY)
    given_bytes = sent = 0
    for _ in range(40):
        sent += len(sealer.update(bytes(10_000)))
        given_bytes += 10_000
        assert given_bytes - sent <= SEGMENT_BYTES
