"""Claims of the commit and staging handlers, over a real connection."""

import asyncio
from pathlib import Path

import pytest

from kit.clock import wall_clock_ms
from model.errors import CorruptRecord, StaleRing, Unavailable
from model.stamp import ZERO
from objectd.contract import Confirmation
from objectd.memory_store import MemoryStore
from objectd.recent_ballots import RecentBallots
from objectd.store import Origin, Outcome, Store
from tests.support.faulty_store import FaultyStore
from tests.support.objectd_node import (
    EPOCH,
    PART_POWER,
    Node,
    container_entry,
    index_entry,
    memory_stores,
    object_entry,
    serving,
    stamp,
    until,
    write_of,
)


def faulty(device: int) -> FaultyStore:
    return FaultyStore(MemoryStore(device, part_power=PART_POWER))


async def stored(node: Node, device: int, key: bytes) -> bytes | None:
    reply = await node.client.read(key, (device,), ask=1, epoch=EPOCH)
    return None if reply.payload is None else bytes(reply.payload)


def test_one_call_writes_an_object_and_its_row_to_several_devices(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            container = container_entry("c", stamp(1))
            entry = object_entry("o", stamp(2), 5)
            row = index_entry("c", "o", stamp(2), size=5)
            await node.client.commit([write_of(container, (1, 2, 3))], epoch=EPOCH)
            outcomes = await node.client.commit(
                [
                    write_of(entry, (0, 1, 2), 2, payload=0),
                    write_of(row, (1, 2, 3), 2, guard=container.key),
                ],
                [b"hello"],
                epoch=EPOCH,
            )
            assert [[one.device for one in write] for write in outcomes] == [[0, 1, 2], [1, 2, 3]]
            assert {one.outcome for write in outcomes for one in write} == {Outcome.STORED}
            assert [await stored(node, device, entry.key) for device in (0, 1, 2, 3)] == [b"hello"] * 3 + [
                None
            ]
            ((_, group),) = (await node.client.groups([(row.digest, (3,))], epoch=EPOCH))[0]
            assert (group.count, group.bytes) == (1, 5)

    asyncio.run(run())


def test_several_payloads_of_one_call_stay_apart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            first, second = object_entry("a", stamp(1), 3), object_entry("b", stamp(1), 4)
            await node.client.commit(
                [write_of(first, (0,), payload=0), write_of(second, (0,), payload=1)],
                [b"abc", b"defg"],
                epoch=EPOCH,
            )
            assert await stored(node, 0, first.key) == b"abc"
            assert await stored(node, 0, second.key) == b"defg"

    asyncio.run(run())


def test_the_answer_waits_for_the_devices_needed_and_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        slow = faulty(2)
        slow.hold = True
        stores: dict[int, Store] = {**memory_stores((0, 1)), 2: slow}
        async with serving(tmp_path, stores) as node:
            entry = object_entry("o", stamp(1), 1)
            ((*done,),) = await node.client.commit(
                [write_of(entry, (0, 1, 2), 2, payload=0)], [b"x"], epoch=EPOCH
            )
            assert [one.device for one in done] == [0, 1]
            slow.release()
            assert await stored(node, 2, entry.key) == b"x"
            assert await node.client.repairs() == []

    asyncio.run(run())


def test_a_need_of_zero_waits_for_every_device(tmp_path: Path) -> None:
    async def run() -> None:
        slow = faulty(1)
        slow.hold = True
        async with serving(tmp_path, {**memory_stores((0,)), 1: slow}) as node:
            entry = object_entry("o", stamp(1), 1)
            waiting = asyncio.ensure_future(
                node.client.commit([write_of(entry, (0, 1), payload=0)], [b"x"], epoch=EPOCH)
            )
            await until(lambda: slow.held)
            assert not waiting.done()
            slow.release()
            ((*done,),) = await waiting
            assert [one.device for one in done] == [0, 1]

    asyncio.run(run())


def test_a_straggler_that_fails_later_becomes_a_repair_hint(tmp_path: Path) -> None:
    async def run() -> None:
        slow = faulty(2)
        slow.hold = True
        async with serving(tmp_path, {**memory_stores((0, 1)), 2: slow}) as node:
            entry = object_entry("o", stamp(1), 1)
            await node.client.commit([write_of(entry, (0, 1, 2), 2, payload=0)], [b"x"], epoch=EPOCH)
            assert await node.client.repairs() == []
            slow.fail_commits = True
            slow.release()
            (hint,) = await node.client.repairs()
            assert (hint.key, hint.devices) == (entry.key, [2])
            assert await node.client.repairs() == []

    asyncio.run(run())


def test_a_failed_device_and_a_foreign_one_come_out_failed_while_others_store(tmp_path: Path) -> None:
    async def run() -> None:
        broken = faulty(1)
        broken.fail_commits = True
        async with serving(tmp_path, {**memory_stores((0,)), 1: broken}) as node:
            entry = object_entry("o", stamp(1), 1)
            ((*done,),) = await node.client.commit(
                [write_of(entry, (0, 1, 77), 3, payload=0)], [b"x"], epoch=EPOCH
            )
            assert {one.device: one.outcome for one in done} == {
                0: Outcome.STORED,
                1: Outcome.FAILED,
                77: Outcome.FAILED,
            }

    asyncio.run(run())


def test_an_older_write_learns_the_newest_stamp(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            # As if the process had run since before the writes.
            node.state.ballots = RecentBallots(0)
            await node.client.commit([write_of(object_entry("o", stamp(9)), (0,))], epoch=EPOCH)
            (((done),),) = await node.client.commit(
                [write_of(object_entry("o", stamp(5)), (0,))], epoch=EPOCH
            )
            assert (done.outcome, done.newest) == (Outcome.SUPERSEDED, stamp(9))

    asyncio.run(run())


def test_a_hidden_write_hears_of_a_ballot_that_is_newer_than_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            node.state.ballots = RecentBallots(0)
            entry = object_entry("o", stamp(9))
            await node.client.prepare(entry.digest, (0,), stamp(7), epoch=EPOCH)
            await node.client.commit([write_of(entry, (0,))], epoch=EPOCH)
            for at, outcome in ((5, Outcome.CONTESTED), (8, Outcome.SUPERSEDED)):
                ((done,),) = await node.client.commit(
                    [write_of(object_entry("o", stamp(at)), (0,))], epoch=EPOCH
                )
                assert done.outcome is outcome

    asyncio.run(run())


def test_a_ballot_is_promised_and_tells_what_is_held_and_what_was_promised_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            entry = object_entry("o", stamp(3))
            await node.client.commit([write_of(entry, (0, 1))], epoch=EPOCH)
            first = await node.client.prepare(entry.digest, (0, 1), stamp(5), epoch=EPOCH)
            assert [(one.device, one.granted, one.before) for one in first] == [
                (0, True, ZERO),
                (1, True, ZERO),
            ]
            assert [[held.row for held in one.entries] for one in first] == [[entry.to_row()]] * 2
            (second,) = await node.client.prepare(entry.digest, (0,), stamp(7), epoch=EPOCH)
            assert (second.granted, second.before) == (True, stamp(5))
            (late,) = await node.client.prepare(entry.digest, (0,), stamp(6), epoch=EPOCH)
            assert (late.granted, late.newest) == (False, stamp(7))
            (hidden,) = await node.client.prepare(entry.digest, (1,), stamp(2), epoch=EPOCH)
            assert not hidden.granted

    asyncio.run(run())


def test_a_device_that_fills_promises_nothing_and_takes_nothing_under_a_ballot(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            node.state.readable.pop(1)
            entry = object_entry("o", stamp(5))
            answers = await node.client.prepare(entry.digest, (0, 1), stamp(5), epoch=EPOCH)
            assert [one.device for one in answers] == [0]
            balloted = write_of(entry, (0, 1))._replace(ballot=stamp(5))
            ((*done,),) = await node.client.commit([balloted], epoch=EPOCH)
            assert {one.device: one.outcome for one in done} == {0: Outcome.STORED, 1: Outcome.FAILED}

    asyncio.run(run())


def test_repairs_of_a_device_that_fills_pass_the_promises_it_was_given(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            entry = object_entry("o", stamp(5))
            await node.client.prepare(entry.digest, (0, 1), stamp(9), epoch=EPOCH)
            node.state.readable.pop(1)
            repair = write_of(entry, (0, 1))._replace(origin=Origin.REPAIR)
            ((*done,),) = await node.client.commit([repair], epoch=EPOCH)
            assert {one.device: one.outcome for one in done} == {0: Outcome.PROMISED, 1: Outcome.STORED}

    asyncio.run(run())


def test_another_ring_epoch_is_refused_either_way(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            for epoch in (EPOCH - 1, EPOCH + 1):
                with pytest.raises(StaleRing) as refused:
                    await node.client.commit([write_of(object_entry("o", stamp(1)), (0,))], epoch=epoch)
                assert refused.value.epoch == EPOCH
                with pytest.raises(StaleRing):
                    await node.client.read(b"\1" * 17, (0,), ask=1, epoch=epoch)

    asyncio.run(run())


def test_confirmations_end_what_was_pending_in_any_epoch(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            entry = object_entry("o", stamp(wall_clock_ms()))
            await node.client.commit([write_of(entry, (0, 1))], epoch=EPOCH)
            assert [one.key for one in await node.client.pending(0, 0, epoch=EPOCH)] == [entry.key]
            with pytest.raises(StaleRing):
                await node.client.commit(
                    [], epoch=EPOCH + 1, confirmations=[Confirmation(entry.key, entry.stamp, (0,))]
                )
            assert await node.client.pending(0, 0, epoch=EPOCH) == []
            await node.client.confirm([Confirmation(entry.key, entry.stamp, (1,))])
            assert await node.client.pending(1, 0, epoch=EPOCH) == []

    asyncio.run(run())


def test_a_staged_payload_is_committed_on_every_device_it_was_sent_to_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            payload = bytes(range(256)) * 12_000
            session = await node.client.stage((0, 2), len(payload), epoch=EPOCH)
            for at in range(0, len(payload), 500_000):
                await session.send(payload[at : at + 500_000])
            staged = await session.finish()
            assert staged.keys() == {0, 2}
            entry = object_entry("big", stamp(1), len(payload))
            ((*done,),) = await node.client.commit([write_of(entry, (0, 2), staged=staged)], epoch=EPOCH)
            session.close()
            assert [one.outcome for one in done] == [Outcome.STORED, Outcome.STORED]
            for device in (0, 2):
                reply = await node.client.read(entry.key, (device,), ask=1, epoch=EPOCH)
                assert reply.stream is not None
                assert b"".join([bytes(chunk) async for chunk in reply.stream.chunks()]) == payload
            (((again),),) = await node.client.commit([write_of(entry, (0,), staged=staged)], epoch=EPOCH)
            assert again.outcome is Outcome.FAILED

    asyncio.run(run())


def test_a_device_that_fails_to_stage_does_not_hinder_the_others(tmp_path: Path) -> None:
    async def run() -> None:
        broken = faulty(1)
        broken.fail_commits = True
        async with serving(tmp_path, {**memory_stores((0,)), 1: broken}) as node:
            session = await node.client.stage((0, 1), epoch=EPOCH)
            await session.send(b"bytes")
            assert (await session.finish()).keys() == {0}
            session.close()
            nowhere = await node.client.stage((1,), epoch=EPOCH)
            with pytest.raises(Unavailable):
                await nowhere.finish()

    asyncio.run(run())


def test_a_connection_that_dies_while_staging_leaves_nothing_staged(tmp_path: Path) -> None:
    async def run() -> None:
        store = faulty(0)
        async with serving(tmp_path, {0: store}) as node:
            for finish in (False, True):
                client = node.another_client()
                session = await client.stage((0,), epoch=EPOCH)
                await session.send(b"half of it")
                if finish:
                    assert await session.finish()
                await until(lambda: store.open_stagings == 1)
                await client.close()
                await until(lambda: store.open_stagings == 0)
                session.close()
            assert len(node.service.stagings) == 0

    asyncio.run(run())


def test_a_session_closed_before_its_commit_leaves_nothing_staged(tmp_path: Path) -> None:
    async def run() -> None:
        store = faulty(0)
        async with serving(tmp_path, {0: store}) as node:
            session = await node.client.stage((0,), epoch=EPOCH)
            await session.send(b"bytes")
            await session.finish()
            session.close()
            await until(lambda: store.open_stagings == 0)
            assert len(node.service.stagings) == 0

    asyncio.run(run())


def test_bytes_that_nobody_commits_are_thrown_away_in_time(tmp_path: Path) -> None:
    async def run() -> None:
        store = faulty(0)
        async with serving(tmp_path, {0: store}, stage_idle_ms_max=1) as node:
            session = await node.client.stage((0,), epoch=EPOCH)
            await session.send(b"bytes")
            await session.finish()
            await until(lambda: store.open_stagings == 0)
            session.close()

    asyncio.run(run())


def test_a_malformed_commit_takes_no_staging(tmp_path: Path) -> None:
    async def run() -> None:
        store = faulty(0)
        async with serving(tmp_path, {0: store}) as node:
            session = await node.client.stage((0,), epoch=EPOCH)
            await session.send(b"bytes")
            staged = await session.finish()
            entry = object_entry("o", stamp(1), 5)
            torn = write_of(entry, (0,))._replace(row=entry.to_row()[:10])
            with pytest.raises(CorruptRecord):
                await node.client.commit([write_of(entry, (0,), staged=staged), torn], epoch=EPOCH)
            ((one,),) = await node.client.commit([write_of(entry, (0,), staged=staged)], epoch=EPOCH)
            assert one.outcome is Outcome.STORED
            session.close()
            assert await stored(node, 0, entry.key) == b"bytes"

    asyncio.run(run())
