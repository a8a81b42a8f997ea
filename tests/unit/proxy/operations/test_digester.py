"""Digests over a body in chunks equal those over the whole, whatever thread computes them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.checksums import BYTES
from proxy.operations.digester import THREAD_BYTES_MIN, Digester
from proxy.operations.types import Digests


async def digest(chunks: list[bytes], algorithms: tuple[str, ...]) -> Digests:
    digester = Digester(algorithms)
    for chunk in chunks:
        await digester.update(chunk)
    return digester.digests()


@given(st.lists(st.binary(max_size=50)))
def test_chunks_make_no_difference(chunks: list[bytes]) -> None:
    whole = asyncio.run(digest([b"".join(chunks)], tuple(BYTES)))
    assert asyncio.run(digest(chunks, tuple(BYTES))) == whole


def test_a_large_chunk_is_digested_as_a_small_one_is() -> None:
    body = bytes(range(256)) * (THREAD_BYTES_MIN // 128)
    got = asyncio.run(digest([body], ("SHA256", "CRC32")))
    assert got.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert got.size == len(body)
    assert got.checksums["SHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert got.checksums["CRC32"] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [("CRC32", "y/Q5Jg=="), ("CRC32C", "4waSgw=="), ("CRC64NVME", "rosUhgp5mIg=")],
)
def test_the_check_values_of_the_catalogue_are_met(algorithm: str, value: str) -> None:
    # "123456789" is the check input of the CRC catalogue (reveng): cbf43926, e3069283, ae8b14860a799888.
    assert asyncio.run(digest([b"123456789"], (algorithm,))).checksums[algorithm] == value
