"""A large manifest's parts list leaves the record, comes back whole, and still tells its parts apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord
from model.manifests import (
    NUMBERS,
    RECORD_PARTS_MAX,
    UPLOAD,
    has_part,
    number_runs,
    pack_parts,
    parts_lie_in_payload,
    too_large_for_record,
    unpack_parts,
)
from model.names import ContainerPath, ObjectPath, parts_of
from model.objects import Manifest, ObjectRecord, Part

BUCKET = ContainerPath("acme", "bucket")


def path_of(number: int, upload: str = "u") -> ObjectPath:
    return parts_of(BUCKET).object(f"key\0{upload}\0{number:05}")


def part(number: int, upload: str = "u", inline: bytes = b"") -> Part:
    path = path_of(number, upload)
    return Part(
        number, path.account, path.container, path.name, "e" * 32, 7, inline=inline, checksum="c\udcff="
    )


def record(
    parts: tuple[Part, ...], extra: dict[str, object], manifest: Manifest = Manifest.MULTIPART
) -> ObjectRecord:
    return ObjectRecord(
        "acme",
        "bucket",
        "key",
        7 * len(parts),
        "etag-2",
        "text/plain",
        manifest=manifest,
        parts=parts,
        extra=extra,
    )


def test_ten_thousand_parts_come_back_as_they_were() -> None:
    parts = tuple(part(number) for number in range(1, 10_001))
    payload = pack_parts(parts)
    assert unpack_parts(memoryview(payload)) == parts
    assert len(payload) < 1 << 20


@pytest.mark.parametrize("payload", [b"", b"\2abc", b"\1", b"\1junk", pack_parts([part(1)])[:-3]])
def test_a_list_that_is_not_whole_is_refused(payload: bytes) -> None:
    with pytest.raises(CorruptRecord):
        unpack_parts(payload)


def test_few_parts_stay_in_the_record() -> None:
    few = [part(number) for number in range(1, RECORD_PARTS_MAX + 1)]
    assert not too_large_for_record(few)
    assert too_large_for_record([*few, part(9999)])
    assert too_large_for_record([part(1, inline=bytes(200_000))])


@given(st.sets(st.integers(1, 10_000), max_size=200))
def test_runs_hold_just_the_numbers_they_were_made_of(numbers: set[int]) -> None:
    runs = number_runs(sorted(numbers))
    assert {
        one for first, last in zip(runs[::2], runs[1::2], strict=True) for one in range(first, last + 1)
    } == numbers


def test_an_object_knows_its_parts_wherever_the_list_lies() -> None:
    small = record((part(1), part(3)), {UPLOAD: "u"})
    large = record((), {UPLOAD: "u", NUMBERS: [1, 1, 3, 3]})
    assert parts_lie_in_payload(large)
    assert not parts_lie_in_payload(small)
    for whole in (small, large):
        assert has_part(whole, path_of(3), "u", 3)
        assert not has_part(whole, path_of(2), "u", 2)
        assert not has_part(whole, path_of(3, "other"), "other", 3)
    # A copy of the object brings the list's numbers along, and is an object of its own.
    copy = record((), dict(large.extra), Manifest.NONE)
    assert not parts_lie_in_payload(copy)
    assert not has_part(copy, path_of(3), "u", 3)
