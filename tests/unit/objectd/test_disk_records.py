"""Records and index values come back as they were written, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord
from objectd.disk.locations import InFile, InVolume, Location, Lost, pack_value, unpack_value
from objectd.disk.records import (
    ALIGNMENT,
    PREFIX_BYTES,
    VOLUME_HEAD_BYTES,
    Flag,
    LargeFile,
    RecordKind,
    VolumeHead,
    aligned,
    block_checksums,
    blocks_are_whole,
    decode_volume_head,
    encode_body,
    encode_prefix,
    encode_volume_head,
    nonce_of,
)
from objectd.disk.scan import Damaged, Found, scan

UUID = bytes(range(16))
NONCE = nonce_of(UUID, 1)

_u32 = st.integers(0, 2**32 - 1)
_offsets = _u32.map(lambda place: place * ALIGNMENT)
_payloads = st.one_of(
    st.none(),
    st.builds(InVolume, _u32, _offsets, _u32, _u32, _u32),
    st.builds(InFile, st.binary(min_size=16, max_size=16), st.integers(0, 2**63)),
    st.builds(Lost, st.integers(0, 2**63)),
)


def record(sequence: int, key: bytes, row: bytes, payload: bytes | None = None, nonce: int = NONCE) -> bytes:
    """The bytes of an ENTRY, padding included."""
    body = encode_body(key, row, payload)
    flags = Flag.PAYLOAD if payload is not None else 0
    prefix = encode_prefix(
        RecordKind.ENTRY, flags, (sequence, sequence - 1, 0, 7), body, len(payload or b""), nonce
    )
    raw = prefix + body.data + (payload or b"")
    return raw.ljust(aligned(len(raw)), b"\0")


def scanned(volume: bytes, nonce: int = NONCE) -> list[Found | Damaged]:
    """All that a scan finds in the bytes of a volume, its header not counted."""
    return list(scan(lambda size, at: volume[at : at + size], 0, len(volume), nonce))


@given(st.binary(max_size=200), _payloads, st.integers(0, 2**64 - 1), _u32, _offsets, _u32)
def test_an_index_value_comes_back(
    row: bytes, payload: InVolume | InFile | Lost | None, sequence: int, volume: int, offset: int, size: int
) -> None:
    location = Location(sequence, volume, offset, size, payload)
    assert unpack_value(pack_value(row, location)) == (row, location)


def test_a_payload_in_its_own_record_comes_back() -> None:
    location = Location(9, 3, 64, 4800, InVolume(3, 64, 4800, 120, 4096))
    assert unpack_value(pack_value(b"row", location)) == (b"row", location)


@pytest.mark.parametrize("value", [b"row\x00", b"\x01", b"short\x03", b"\xff" * 40])
def test_a_value_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(CorruptRecord):
        unpack_value(value)


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=100), st.none() | st.binary(max_size=300)))
)
def test_records_come_back_in_order(items: list[tuple[bytes, bytes, bytes | None]]) -> None:
    volume = b"".join(record(number + 1, *item) for number, item in enumerate(items))
    found = scanned(volume)
    assert all(isinstance(item, Found) for item in found)
    assert [
        (item.body.key, item.body.row, bytes(item.payload)) for item in found if isinstance(item, Found)
    ] == [(key, row, payload or b"") for key, row, payload in items]


def test_payloads_of_several_blocks_are_checked_block_by_block() -> None:
    payload = bytes(range(256)) * 700
    checksums = block_checksums(payload)
    assert len(checksums) == 12
    assert blocks_are_whole(payload, checksums)
    assert blocks_are_whole(memoryview(payload)[65536:131072], checksums[4:8])
    for at in (0, 65535, 65536, len(payload) - 1):
        damaged = bytearray(payload)
        damaged[at] ^= 1
        assert not blocks_are_whole(damaged, checksums)


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    parts = [
        record(1, b"k1", b"r1", b"payload" * 9),
        record(2, b"k2", b"r2"),
        record(3, b"k3", b"r3", b"x" * 50),
    ]
    volume = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(volume) * 8 - 1))
    volume[at // 8] ^= 1 << at % 8
    hit = 0 if at // 8 < len(parts[0]) else 1 if at // 8 < len(parts[0]) + len(parts[1]) else 2
    found = scanned(bytes(volume))
    whole = {item.prefix.sequence for item in found if isinstance(item, Found) and item.is_whole}
    others = {1, 2, 3} - {hit + 1}
    assert others <= whole
    start = sum(map(len, parts[:hit]))
    used = len(parts[hit].rstrip(b"\0"))
    if at // 8 < start + used:
        assert whole == others


def test_the_scan_goes_on_behind_damage_of_any_length() -> None:
    volume = (
        record(1, b"a", b"r")
        + bytes(3_000_000)
        + record(2, b"b", b"r")
        + b"\xc5CLr" * 9
        + record(3, b"c", b"r")
    )
    volume += bytes(4096)
    found = scanned(volume)
    kinds = [item.body.key if isinstance(item, Found) else item.is_blank for item in found]
    # The loose magics end at an odd word, so the record behind them lies off its alignment.
    assert kinds[:3] == [b"a", True, b"b"]


def test_a_record_of_another_volume_is_none() -> None:
    stranger = record(5, b"evil", b"row", nonce=nonce_of(UUID, 2))
    volume = record(1, b"a", b"r", b"p" * 16 + stranger) + record(2, b"b", b"r")
    damaged = b"\xff" * 8 + volume[8:]
    keys = [item.body.key for item in scanned(damaged) if isinstance(item, Found)]
    assert keys == [b"b"]


def test_a_record_cut_at_the_end_is_damage() -> None:
    volume = record(1, b"a", b"r") + record(2, b"b", b"r", b"payload" * 10)
    for cut in range(len(record(1, b"a", b"r")) + 1, len(volume)):
        found = scanned(volume[:cut])
        assert [isinstance(item, Found) for item in found] == [True, False]


def test_a_large_file_is_named_in_the_body() -> None:
    body = encode_body(b"k", b"row", None, LargeFile(b"f" * 16, 5 << 40))
    prefix = encode_prefix(RecordKind.ENTRY, Flag.LARGE, (1, 0, 0, 0), body, 0, NONCE)
    raw = prefix + body.data
    (found,) = scanned(raw.ljust(aligned(len(raw)), b"\0"))
    assert isinstance(found, Found)
    assert found.body.large == LargeFile(b"f" * 16, 5 << 40)
    assert found.body.row == b"row"


def test_the_prefix_has_its_documented_length() -> None:
    assert PREFIX_BYTES == 56


def test_a_volume_header_comes_back_and_damage_is_seen() -> None:
    head = VolumeHead(7, UUID, 1000, 1_700_000_000_000)
    raw = encode_volume_head(head)
    assert len(raw) == VOLUME_HEAD_BYTES
    assert decode_volume_head(raw) == head
    assert decode_volume_head(raw[:20]) is None
    assert decode_volume_head(b"\0" + raw[1:]) is None
