"""Names, stamps and records keep what is put into them, and refuse what is outside their limits."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.containers import ContainerRecord, metadata, pack_container, registers, unpack_container
from model.entry import Table, make_key, only_sides
from model.errors import CorruptRecord, InvalidName
from model.names import (
    ContainerPath,
    ObjectPath,
    check_name,
    decode_name,
    encode_name,
    index_key,
    object_key,
    parts_of,
    uploads_of,
)
from model.objects import (
    Manifest,
    ObjectRecord,
    Part,
    PostedMetadata,
    pack_posted,
    pack_record,
    unpack_posted,
    unpack_record,
)
from model.stamp import (
    ZERO,
    Stamp,
    make_stamp,
    next_stamp,
    parse_version_id,
    stamp_micros,
    stamp_ms,
    version_id,
)

texts = st.text(max_size=8)
stamps = st.builds(make_stamp, st.integers(0, 2**44), st.integers(0, 65535), st.integers(0, 2**64 - 1))
parts = st.builds(
    Part,
    st.integers(1, 10_000),
    texts,
    texts,
    texts,
    texts,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.binary(max_size=8),
    texts,
)
records = st.builds(
    ObjectRecord,
    texts,
    texts,
    texts,
    st.integers(0, 2**50),
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=3),
    st.dictionaries(texts, texts, max_size=3),
    st.integers(0, 2**40),
    texts,
    st.dictionaries(texts, texts, max_size=2),
    st.sampled_from(Manifest),
    st.lists(parts, max_size=3).map(tuple),
    st.dictionaries(texts, st.integers(), max_size=2).filter(
        lambda extra: all(abs(v) < 2**63 for v in extra.values())
    ),
)


@given(records)
def test_a_record_comes_back_as_it_was(record: ObjectRecord) -> None:
    assert unpack_record(pack_record(record)) == record


@given(st.none() | texts, st.dictionaries(texts, texts, max_size=3), st.integers(0, 2**40))
def test_a_metadata_update_comes_back_as_it_was(
    content_type: str | None, user: dict[str, str], delete_at: int
) -> None:
    posted = PostedMetadata(content_type, {"content-encoding": "gzip"}, user, delete_at)
    assert unpack_posted(pack_posted(posted)) == posted


@pytest.mark.parametrize("packed", [b"", b"\xc1", msgpack.packb([9] * 15), msgpack.packb({}), b"\x92\x01"])
def test_what_is_no_record_is_refused(packed: bytes) -> None:
    with pytest.raises(CorruptRecord):
        unpack_record(packed)
    with pytest.raises(CorruptRecord):
        unpack_container(packed)


def test_a_container_record_comes_back_as_it_was() -> None:
    record = ContainerRecord("account", "container", "owner", "gold")
    assert unpack_container(pack_container(record)) == record


def test_removed_registers_are_not_seen() -> None:
    stamp = make_stamp(1, 0, 1)
    sides = {"meta:colour": (stamp, b"red"), "meta:size": (stamp, b""), "acl:read": (stamp, b".r:*")}
    entry = only_sides(make_key(Table.CONTAINER, bytes(16)), sides)
    assert registers(entry.sides) == {"meta:colour": b"red", "acl:read": b".r:*"}
    assert metadata(entry) == {"colour": "red"}


@given(stamps, stamps)
def test_stamps_sort_as_bytes_by_time_then_counter_then_writer(one: Stamp, two: Stamp) -> None:
    def fields(stamp: Stamp) -> tuple[int, int, int]:
        whole = int.from_bytes(stamp, "big")
        return whole >> 80, whole >> 64 & 0xFFFF, whole & (2**64 - 1)

    assert (one < two) == (fields(one) < fields(two))
    assert stamp_ms(one) == fields(one)[0]
    assert stamp_micros(one) // 1000 == stamp_ms(one)


@given(stamps, st.integers(0, 2**44), st.integers(0, 2**64 - 1))
def test_the_next_stamp_is_after_the_last_and_not_before_now(last: Stamp, now_ms: int, writer: int) -> None:
    following = next_stamp(last, now_ms, writer)
    assert following > last
    assert stamp_ms(following) >= now_ms
    assert following > ZERO


@given(stamps)
def test_a_version_id_names_its_stamp(stamp: Stamp) -> None:
    assert parse_version_id(version_id(stamp)) == stamp


@pytest.mark.parametrize("text", ["", "null", "x" * 21, "x" * 23, "é" * 22, "!" * 22])
def test_what_is_no_version_id_names_nothing(text: str) -> None:
    assert parse_version_id(text) is None


@given(st.binary(max_size=12))
def test_names_keep_every_byte_a_client_sent(raw: bytes) -> None:
    assert encode_name(decode_name(raw)) == raw


@pytest.mark.parametrize("name", ["", "x" * 257, "é" * 129, "\0hidden", "\udcff"])
def test_names_outside_the_limits_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name, what="container", bytes_max=256)


@pytest.mark.parametrize("name", ["a", "//", ".", "..", " ", "+", "%41", "🏛", "x" * 256])
def test_plain_names_are_taken_as_they_are(name: str) -> None:
    assert check_name(name, what="object", bytes_max=256) == name


def test_newer_versions_of_an_object_sort_first() -> None:
    digest = bytes(16)
    older, newer = make_stamp(1, 0, 1), make_stamp(2, 0, 1)
    assert object_key(digest) < object_key(digest, newer) < object_key(digest, older)


def test_hidden_containers_cannot_be_named_by_a_user() -> None:
    path = ContainerPath("account", "bucket")
    for hidden in (uploads_of(path), parts_of(path)):
        with pytest.raises(InvalidName):
            check_name(hidden.container, what="container", bytes_max=256)
    assert uploads_of(path) != parts_of(path)
    assert str(path.object("k")) == str(ObjectPath("account", "bucket", "k")) == "account/bucket/k"
    assert index_key(bytes(16), "k").endswith(b"k")
