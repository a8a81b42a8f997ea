"""Names become partitions evenly, unambiguously, and only with the salt."""

import numpy as np
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ring.hashing import partition_of, path_digest

SALT = bytes(range(16))


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_names_never_share_a_preimage(one: list[str], other: list[str]) -> None:
    """("a", "bc") and ("ab", "c") are two objects."""
    assert (path_digest(SALT, *one) == path_digest(SALT, *other)) == (one == other)


def test_the_digest_is_xxh3_over_salt_and_length_prefixed_names() -> None:
    """Pinned: changing it would lose every object of every colony."""
    expected = xxhash.xxh3_128_digest(SALT + b"\0\0\0\1a" + b"\0\0\0\2\xc3\xa9")
    assert path_digest(SALT, "a", "é") == expected == path_digest(SALT, b"a", "é".encode())
    assert path_digest(SALT, "a", "b", "c").hex() == "ee6863e853cd179b73c094bf282113a7"


def test_the_salt_changes_every_partition() -> None:
    """Who does not know it cannot aim at one partition."""
    assert path_digest(SALT, "a") != path_digest(SALT[::-1], "a")


def test_the_partition_is_the_top_bits() -> None:
    """So that a range of digests is a range of partitions."""
    digest = bytes.fromhex("80c0" + "00" * 14)
    assert [partition_of(digest, power) for power in (1, 2, 8, 10, 24)] == [1, 2, 128, 515, 0x80C000]


def test_partitions_fill_evenly() -> None:
    """A chi-square far below what a bad hash would show."""
    counts = np.bincount(
        [partition_of(path_digest(SALT, "a", "c", f"o{n}"), 6) for n in range(6400)], minlength=64
    )
    assert ((counts - 100) ** 2 / 100).sum() < 130
