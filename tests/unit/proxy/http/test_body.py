"""A body on its way from the connection to the handler: what memory it gets, and when."""

import asyncio

import pytest

from proxy.http.body import CHUNK_BYTES, PROVEN_BYTES, WHOLE_BYTES_MAX, RequestBody


class Source:
    """A connection that does as it is told."""

    def pause_body(self) -> None:
        """Nothing to pause."""

    def resume_body(self) -> None:
        """Nothing to resume."""

    def send_continue(self) -> None:
        """Nobody waits."""


def body_of(length: int | None) -> RequestBody:
    return RequestBody(Source(), length, expects_continue=False)


def receive(body: RequestBody, data: bytes, most: int) -> None:
    """Put data where the body wants it, at most so many bytes at a time, as a socket would."""
    at = 0
    while at < len(data):
        room = body.room()
        count = min(len(room), most, len(data) - at)
        room[:count] = data[at : at + count]
        body.received(count)
        at += count


async def chunks_of(body: RequestBody) -> list[bytes]:
    return [bytes(chunk) async for chunk in body.chunks()]


@pytest.mark.parametrize("length", [WHOLE_BYTES_MAX, WHOLE_BYTES_MAX + 1, 1 << 40])
def test_to_announce_a_body_costs_little_memory(length: int) -> None:
    body = body_of(length)
    assert len(body.room()) == PROVEN_BYTES
    body.received(1)
    assert len(body.room()) == PROVEN_BYTES - 1


def test_a_body_that_comes_gets_all_the_memory_it_is_worth() -> None:
    body = body_of(1 << 40)
    body.room()
    body.received(PROVEN_BYTES)
    assert len(body.room()) == CHUNK_BYTES - PROVEN_BYTES


@pytest.mark.parametrize("length", [1, PROVEN_BYTES - 1, PROVEN_BYTES, PROVEN_BYTES + 1, WHOLE_BYTES_MAX])
@pytest.mark.parametrize("first", [0, 1, 16_000])
@pytest.mark.parametrize("most", [7_000, 1 << 20])
def test_a_body_in_one_buffer_is_what_was_sent(length: int, first: int, most: int) -> None:
    data = (bytes(range(251)) * (length // 251 + 1))[:length]
    body = body_of(length)
    body.take(memoryview(data[:first]))
    receive(body, data[first:], most)
    assert asyncio.run(chunks_of(body)) == [data]


@pytest.mark.parametrize("length", [None, 5 * CHUNK_BYTES + 5])
def test_a_longer_body_comes_in_chunks_of_one_size(length: int | None) -> None:
    data = (bytes(range(251)) * (6 * CHUNK_BYTES // 251))[: 5 * CHUNK_BYTES + 5]
    body = body_of(length)
    body.take(memoryview(data[: CHUNK_BYTES + 1]))
    body.take(memoryview(data[CHUNK_BYTES + 1 :]))
    if length is None:
        body.end()
    chunks = asyncio.run(chunks_of(body))
    assert b"".join(chunks) == data
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES] * 5 + [5]
