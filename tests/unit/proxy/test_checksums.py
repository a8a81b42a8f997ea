"""The checksums of S3, held against their published check values and one another."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadDigest
from proxy.checksums import (
    BYTES,
    can_be_full_object,
    checksum,
    composite,
    full_object,
    hasher,
    to_text,
    well_formed,
)

# The check values of the CRC catalogues, and those of FIPS 180, for "123456789".
CHECK = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("name", BYTES)
def test_check_values_are_met(name: str) -> None:
    assert checksum(name, b"123456789") == b64encode(bytes.fromhex(CHECK[name])).decode()


@pytest.mark.parametrize("name", BYTES)
@given(body=st.binary(max_size=200), at=st.integers(0, 200))
def test_a_body_may_come_in_pieces(name: str, body: bytes, at: int) -> None:
    running = hasher(name)
    running.update(bytearray(body[:at]))
    running.update(memoryview(body)[at:])
    assert to_text(running.digest()) == checksum(name, body)


@pytest.mark.parametrize("name", [name for name in BYTES if can_be_full_object(name)])
@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_checksums_of_parts_join_into_that_of_the_whole(name: str, parts: list[bytes]) -> None:
    assert full_object(name, [(checksum(name, part), len(part)) for part in parts]) == checksum(
        name, b"".join(parts)
    )


def test_hashes_cannot_be_joined() -> None:
    with pytest.raises(BadDigest):
        full_object("SHA256", [(checksum("SHA256", b""), 0)])


def test_a_composite_says_how_many_parts_it_is_of() -> None:
    parts = [checksum("SHA256", b"a"), checksum("SHA256", b"b")]
    assert composite("SHA256", parts).endswith("=-2")


def test_the_form_of_a_checksum_is_checked() -> None:
    assert well_formed("CRC32", "AAAAAA==")
    assert not well_formed("CRC32", "AAAA")
    assert not well_formed("CRC64NVME", "AAAAAA==")
    assert not well_formed("SHA1", "not base64!")
