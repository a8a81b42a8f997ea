"""Claims of the adopted ring: durable before it is told, never going back."""

import asyncio
from pathlib import Path

import pytest

from model.errors import BadRequest, Conflict, CorruptRecord
from objectd.contract import Phase, epoch_of, split_epoch
from objectd.ring_state import STATE_FILE, RingState
from tests.support.objectd_node import EPOCH, check_ring, serving


def test_what_was_adopted_is_there_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        state = RingState(tmp_path, check_ring)
        assert (state.epoch, state.ring) == (0, None)
        assert await state.adopt(b"3:x", Phase.READ_NEW) == epoch_of(3, Phase.READ_NEW)
        again = RingState(tmp_path, check_ring)
        assert again.epoch == state.epoch
        assert again.ring == state.ring

    asyncio.run(run())


def test_an_epoch_that_is_not_newer_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        state = RingState(tmp_path, check_ring)
        await state.adopt(b"3:x", Phase.READ_NEW)
        for data, phase in ((b"3:x", Phase.WRITE_BOTH), (b"2:y", Phase.SETTLED), (b"3:x", Phase.READ_NEW)):
            assert split_epoch(await state.adopt(data, phase)) == (3, Phase.READ_NEW)
        assert await state.adopt(b"3:x", Phase.SETTLED) == epoch_of(3, Phase.SETTLED)
        assert await state.adopt(b"4:z", Phase.WRITE_BOTH) == epoch_of(4, Phase.WRITE_BOTH)

    asyncio.run(run())


def test_another_ring_of_the_same_version_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        state = RingState(tmp_path, check_ring)
        await state.adopt(b"3:x", Phase.WRITE_BOTH)
        with pytest.raises(Conflict):
            await state.adopt(b"3:other", Phase.READ_NEW)
        with pytest.raises(BadRequest):
            await state.adopt(b"junk", Phase.READ_NEW)
        assert state.epoch == epoch_of(3, Phase.WRITE_BOTH)

    asyncio.run(run())


@pytest.mark.parametrize("damage", ["short", "flipped", "phase"])
def test_a_damaged_state_is_not_believed(tmp_path: Path, damage: str) -> None:
    async def run() -> None:
        await RingState(tmp_path, check_ring).adopt(b"3:x", Phase.WRITE_BOTH)

    asyncio.run(run())
    path = tmp_path / STATE_FILE
    raw = bytearray(path.read_bytes())
    if damage == "short":
        del raw[20:]
    else:
        raw[9 if damage == "phase" else -1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptRecord, match="remove it"):
        RingState(tmp_path, check_ring)


def test_a_ring_is_pushed_and_fetched_over_the_wire(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            assert await node.client.epoch() == EPOCH
            data = b"2:" + b"r" * 3_000_000
            assert await node.client.ring_adopt(data, Phase.WRITE_BOTH) == epoch_of(2, Phase.WRITE_BOTH)
            ring = await node.client.ring_get()
            assert ring is not None
            assert (ring.version, ring.phase, ring.data) == (2, Phase.WRITE_BOTH, data)
            with pytest.raises(Conflict):
                await node.client.ring_adopt(b"2:other", Phase.SETTLED)

    asyncio.run(run())


def test_who_listens_hears_of_a_new_epoch(tmp_path: Path) -> None:
    heard: list[int] = []

    async def run() -> None:
        state = RingState(tmp_path, check_ring, heard.append)
        await state.adopt(b"1:x", Phase.INITIAL)
        await state.adopt(b"1:x", Phase.INITIAL)

    asyncio.run(run())
    assert heard == [EPOCH]
