"""Claims of the listing and repair handlers."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from model.entry import Kind, Table, make_key
from model.errors import BadRequest, DeviceFailed
from model.listing import Query, after_prefix
from objectd.contract import Health, NameRange, pack_rows_bounded, unpack_rows
from objectd.memory_store import MemoryStore
from tests.support.objectd_node import (
    EPOCH,
    Node,
    digest,
    index_entry,
    object_entry,
    serving,
    stamp,
    write_of,
)

C = digest("c")
HEAD = make_key(Table.INDEX, C)
END = after_prefix(HEAD) or b""


async def put_rows(node: Node, names: list[str], devices: tuple[int, ...], ms: int = 1) -> None:
    entries = [index_entry("c", name, stamp(ms)) for name in names]
    await node.client.commit([write_of(entry, devices) for entry in entries], epoch=EPOCH)


async def listed(node: Node, query: Query, devices: tuple[int, ...], ask: int) -> list[str]:
    reply = await node.client.rows(C, devices, query, epoch=EPOCH, ask=ask)
    return [name.decode() for name, _ in reply.page.items]


def test_replicas_in_step_are_listed_from_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await put_rows(node, ["a/1", "a/2", "b", "c"], (0, 1))
            reply = await node.client.rows(C, (0, 1), Query(delimiter=b"/", limit=2), epoch=EPOCH, ask=2)
            assert [device for device, _ in reply.groups] == [0, 1]
            assert reply.groups[0][1].digest == reply.groups[1][1].digest
            assert [name for name, _ in reply.page.items] == [b"a/", b"b"]
            assert (reply.page.truncated, reply.page.next_marker) == (True, b"b")

    asyncio.run(run())


@pytest.mark.parametrize("reverse", [False, True])
def test_replicas_that_differ_are_merged_row_by_row(tmp_path: Path, reverse: bool) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            names = [f"n{at:02}" for at in range(40)]
            await put_rows(node, names[::2], (0, 1))
            await put_rows(node, names[1::4], (0,))
            await put_rows(node, names[3::4], (1,))
            gone = index_entry("c", "n10", stamp(9), kind=Kind.TOMBSTONE)
            await node.client.commit([write_of(gone, (1,))], epoch=EPOCH)
            expected = [name for name in names if name != "n10"]
            if reverse:
                expected.reverse()
            for limit in (1, 3, 7, 100):
                found: list[str] = []
                while True:
                    query = Query(limit=limit, reverse=reverse, marker=found[-1].encode() if found else b"")
                    page = await listed(node, query, (0, 1), 2)
                    if not page:
                        break
                    found += page
                assert found == expected

    asyncio.run(run())


def test_a_device_set_aside_is_not_consulted(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await put_rows(node, ["a"], (0, 1))
            store = node.state.stores[0]
            assert isinstance(store, MemoryStore)
            store.set_health(Health.FAILED, "gone")
            assert await listed(node, Query(), (0, 1), 1) == ["a"]
            with pytest.raises(DeviceFailed):
                await node.client.rows(C, (0, 77), Query(), epoch=EPOCH, ask=2)
            totals = await node.client.groups([(C, (0, 1))], epoch=EPOCH)
            assert [[device for device, _ in one] for one in totals] == [[1]]

    asyncio.run(run())


def test_raw_rows_of_each_device_come_with_tombstones_and_say_where_they_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await put_rows(node, ["a", "b", "c"], (0, 1))
            gone = index_entry("c", "b", stamp(5), kind=Kind.TOMBSTONE)
            await node.client.commit([write_of(gone, (1,))], epoch=EPOCH)
            first, second = await node.client.raw_rows(
                C, (0, 1), NameRange(b"b", None, 10), epoch=EPOCH, ask=2
            )
            assert [name for name, _ in first.rows] == [name for name, _ in second.rows] == [b"b", b"c"]
            assert first.rows[0] != second.rows[0]
            assert (first.exhausted, second.exhausted) == (True, True)
            (cut,) = await node.client.raw_rows(C, (0, 1), NameRange(b"", b"c", 1, True), epoch=EPOCH, ask=1)
            assert [name for name, _ in cut.rows] == [b"b"]
            assert not cut.exhausted

    asyncio.run(run())


def test_rows_beyond_the_bytes_of_a_reply_are_left_for_the_next() -> None:
    rows = [(bytes([at]) * 100, b"r" * 100) for at in range(50)]
    packed, count = pack_rows_bounded(rows, 2000)
    assert len(packed) <= 2000
    assert 0 < count < 50
    assert unpack_rows(packed) == rows[:count]
    assert pack_rows_bounded(rows[:1], 10)[1] == 1


def test_the_change_log_tells_of_each_commit_in_order(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await put_rows(node, ["a", "b"], (0,))
            changes = await node.client.changes(C, 0, epoch=EPOCH)
            assert [change.name for change in changes] == [b"a", b"b"]
            later = await node.client.changes(C, 0, after=changes[0].sequence, epoch=EPOCH)
            assert later == changes[1:]

    asyncio.run(run())


def test_ranges_of_two_devices_differ_just_where_their_entries_do(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            names = [f"n{at:04}" for at in range(700)]
            await put_rows(node, names, (0, 1))
            await put_rows(node, ["n0301x"], (1,))
            here = await node.client.ranges(0, HEAD, END, fanout=16, epoch=EPOCH)
            assert 8 <= len(here) <= 16
            assert sum(one.entry_count for one in here) == 700
            assert (here[0].lo, here[-1].hi) == (HEAD, END)
            assert all(left.hi == right.lo for left, right in pairwise(here))
            bounds = [one.lo for one in here[1:]]
            there = await node.client.ranges(1, HEAD, END, bounds=bounds, epoch=EPOCH)
            differing = [pair for pair in zip(here, there, strict=True) if pair[0].digest != pair[1].digest]
            assert len(differing) == 1
            assert differing[0][0].lo <= HEAD + b"n0301x" < differing[0][0].hi
            empty = await node.client.ranges(2, HEAD, END, epoch=EPOCH)
            assert [(one.entry_count, one.digest) for one in empty] == [(0, 0)]
            with pytest.raises(BadRequest):
                await node.client.ranges(1, HEAD, END, bounds=[END, HEAD], epoch=EPOCH)

    asyncio.run(run())


def test_digests_of_partitions_are_equal_for_equal_devices(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await put_rows(node, ["a", "b"], (0, 1))
            first, second, third = [
                await node.client.digests(device, Table.INDEX, epoch=EPOCH) for device in (0, 1, 2)
            ]
            assert first == second
            assert first
            assert third == {}

    asyncio.run(run())


def test_entries_tell_their_rows_and_the_length_of_their_payloads(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            entry = object_entry("o", stamp(1), 5)
            gone = object_entry("p", stamp(1), kind=Kind.TOMBSTONE)
            await node.client.commit(
                [write_of(entry, (0,), payload=0), write_of(gone, (0,))], [b"bytes"], epoch=EPOCH
            )
            found = await node.client.entries(0, b"\1", b"\2", epoch=EPOCH)
            assert [tuple(one) for one in found] == [
                (entry.key, entry.to_row(), 5),
                (gone.key, gone.to_row(), 0),
            ]
            assert await node.client.entries(0, entry.key + b"\0", gone.key, epoch=EPOCH) == []

    asyncio.run(run())


def test_only_what_has_not_changed_is_forgotten(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            for name, ms in (("a", 1), ("b", 2)):
                await node.client.commit([write_of(object_entry(name, stamp(ms)), (0,))], epoch=EPOCH)
            keys = [(object_entry("a", stamp(1)).key, stamp(1)), (object_entry("b", stamp(1)).key, stamp(1))]
            assert await node.client.forget(0, keys, epoch=EPOCH) == 1
            assert [one.key for one in await node.client.entries(0, b"\1", b"\2", epoch=EPOCH)] == [
                keys[1][0]
            ]

    asyncio.run(run())
