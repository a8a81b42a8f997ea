"""Who is told of something newer writes again only what nobody can have seen; homes that lag are mended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from model.entry import Entry, Kind, Table, make_key
from model.errors import ContainerNotEmpty, NoSuchContainer, NoSuchObject
from model.listing import Query, unpack_listed
from model.names import ContainerPath, index_key, object_key
from model.objects import PostedMetadata, pack_record, row_value, unpack_record
from model.stamp import make_stamp
from objectd.contract import Health
from objectd.memory_store import MemoryStore
from objectd.store import Origin, Write
from proxy.operations.colony import Colony
from proxy.operations.quorum import Verdict, WriteQuorum
from proxy.operations.types import HeldBody, NewObject
from tests.support.simulated_colony import START_MS, Shape, SimulatedColony, simulate

BOX = ContainerPath("AUTH_test", "box")
Scenario = Callable[[SimulatedColony, Colony], Awaitable[None]]
AHEAD = make_stamp(START_MS + 300_000, 0, 99)


def run(scenario: Scenario, devices_by_node: tuple[int, ...] = (1, 1, 1)) -> None:
    async def started(colony: SimulatedColony) -> None:
        await colony.start(2)
        await colony.proxies[0].colony.create_container(BOX, "owner", {})
        await asyncio.sleep(0.1)
        await scenario(colony, colony.proxies[0].colony)

    simulate(7, Shape(devices_by_node), started)


def stores(colony: SimulatedColony) -> list[MemoryStore]:
    return [device for node in colony.nodes.values() for device in node.devices.values()]


def put_directly(store: MemoryStore, entry: Entry, payload: bytes | None = None) -> None:
    assert MemoryStore.commit(store, [Write(entry, payload, origin=Origin.REPAIR)]).done()


def object_key_of(colony: SimulatedColony, name: str) -> bytes:
    return object_key(colony.live.epoch.digest(BOX.account, BOX.container, name))


async def put(colony: Colony, name: str, body: bytes = b"new") -> None:
    await colony.put_object(BOX.object(name), NewObject(), HeldBody(body))


async def names(colony: Colony) -> list[str]:
    page = await colony.list_objects(BOX, Query())
    return [unpack_listed(item).name for item in page.items]


def test_a_write_from_a_clock_behind_is_not_lost_under_an_older_one() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await put(colony, "key", b"old")
        # Acknowledged by two of three homes: the last one takes it a little later.
        await asyncio.sleep(0.1)
        digest = simulated.live.epoch.digest(BOX.account, BOX.container)
        for store in stores(simulated):
            held = store.get(object_key_of(simulated, "key"))
            assert held is not None
            put_directly(store, Entry(held.entry.key, AHEAD, Kind.DATA, 3, held.entry.value), b"old")
            row = store.get(index_key(digest, "key"))
            assert row is not None
            put_directly(store, Entry(row.entry.key, AHEAD, Kind.DATA, 3, row.entry.value))
        await put(colony, "key", b"new")
        assert (await colony.open_object(BOX.object("key"))).data == b"new"

    run(scenario)


def test_a_home_that_missed_the_container_does_not_turn_a_put_into_a_404() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        guard = make_key(Table.CONTAINER, simulated.live.epoch.digest(BOX.account, BOX.container))
        lagging, broken, _ = stores(simulated)
        held = lagging.get(guard)
        assert held is not None
        await lagging.forget([(guard, held.entry.newest)])
        broken.set_health(Health.READ_ONLY)
        await put(colony, "key")
        assert await names(colony) == ["key"]
        assert lagging.get(guard) is not None

    run(scenario)


def test_a_put_into_a_container_that_is_gone_withdraws_itself_and_nothing_newer() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await colony.delete_container(BOX)
        with pytest.raises(NoSuchContainer):
            await put(colony, "key")
        await colony.create_container(BOX, "owner", {})
        assert await names(colony) == []
        with pytest.raises(NoSuchObject):
            await colony.head_object(BOX.object("key"))
        await put(colony, "key")
        assert await names(colony) == ["key"]

    run(scenario)


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1)])
def test_a_row_of_a_minority_stays_listed_once_it_was(shape: tuple[int, ...]) -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        digest = simulated.live.epoch.digest(BOX.account, BOX.container)
        await put(colony, "key")
        await asyncio.sleep(0.1)
        homes = simulated.live.epoch.read_homes(digest)
        first = next(store for store in stores(simulated) if store.device_id == homes[0])
        held = first.get(index_key(digest, "key"))
        assert held is not None
        put_directly(
            first, Entry(index_key(digest, "lone"), held.entry.newest, Kind.DATA, 1, held.entry.value)
        )
        before = await names(colony)
        first.set_health(Health.FAILED)
        assert await names(simulated.proxies[1].colony) == before

    run(scenario, shape)


def test_a_copy_known_to_be_bad_is_not_spread_as_an_empty_one() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await put(colony, "key", b"x" * 50)
        await asyncio.sleep(0.1)
        key = object_key_of(simulated, "key")
        whole, bad, lacking = stores(simulated)
        bad.corrupt(key)
        held = lacking.get(key)
        assert held is not None
        await lacking.forget([(key, held.entry.newest)])
        for _ in range(3):
            opened = await colony.open_object(BOX.object("key"))
            assert opened.data is None or bytes(opened.data) == b"x" * 50
        mended = lacking.get(key)
        assert mended is None or mended.payload_bytes == 50
        assert whole.get(key) is not None

    run(scenario)


def test_a_reader_does_not_finish_the_deletion_of_a_container_that_lists_an_object() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await put(colony, "key")
        await asyncio.sleep(0.1)
        guard = make_key(Table.CONTAINER, simulated.live.epoch.digest(BOX.account, BOX.container))
        put_directly(stores(simulated)[0], Entry(guard, colony.nodes.clock.next(), Kind.TOMBSTONE, 0, b""))
        other = simulated.proxies[1].colony
        assert (await other.container(BOX, fresh=True)).path == BOX
        with pytest.raises(ContainerNotEmpty):
            await other.delete_container(BOX)
        assert (await colony.container(BOX, fresh=True)).path == BOX

    run(scenario)


def test_a_post_leaves_the_type_of_data_that_was_replaced_meanwhile() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await colony.put_object(BOX.object("key"), NewObject(content_type="text/old"), HeldBody(b"1"))
        other = simulated.proxies[1].colony
        await asyncio.gather(
            colony.post_object(BOX.object("key"), PostedMetadata(None, {}, {"a": "b"})),
            other.put_object(BOX.object("key"), NewObject(content_type="text/new"), HeldBody(b"2")),
        )
        assert (await colony.head_object(BOX.object("key"))).record.content_type == "text/new"
        (item,) = (await colony.list_objects(BOX, Query())).items
        assert unpack_listed(item).content_type == "text/new"

    run(scenario)


def test_hidden_by_a_majority_is_no_failure_and_unseen_only_where_too_many_never_held_it() -> None:
    quorum = WriteQuorum([(1, 2, 3)])
    quorum.hidden(1)
    quorum.acked(2)
    assert quorum.verdict() is Verdict.WAITING
    quorum.hidden(3, never_held=False)
    assert quorum.verdict() is Verdict.HIDDEN
    assert not quorum.unseen([(1, 2, 3)])
    quorum = WriteQuorum([(1, 2, 3)])
    for device in (1, 3):
        quorum.hidden(device)
    quorum.failed(2)
    assert quorum.verdict() is Verdict.HIDDEN
    assert quorum.unseen([(1, 2, 3)])


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1)])
def test_what_is_stored_is_listed_although_an_unfinished_write_is_listed_over_it(
    shape: tuple[int, ...],
) -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        # Its writer, whose clock is ahead, died when its row was on every home and its object on none.
        digest = simulated.live.epoch.digest(BOX.account, BOX.container)
        for store in stores(simulated):
            put_directly(store, Entry(index_key(digest, "key"), AHEAD, Kind.TOMBSTONE))
        await put(colony, "key")
        assert await names(colony) == ["key"]
        assert (await colony.open_object(BOX.object("key"))).data == b"new"
        await colony.delete_object(BOX.object("key"))
        assert await names(colony) == []

    run(scenario, shape)


def test_a_row_that_a_newer_object_bears_out_stays() -> None:
    async def scenario(simulated: SimulatedColony, colony: Colony) -> None:
        await put(colony, "model")
        await asyncio.sleep(0.1)
        digest = simulated.live.epoch.digest(BOX.account, BOX.container)
        first = stores(simulated)[0]
        held, row = first.get(object_key_of(simulated, "model")), first.get(index_key(digest, "model"))
        assert held is not None
        assert row is not None
        # The newer object is on one home so far: a minority.
        newer = replace(unpack_record(held.entry.value), name="key", etag="e" * 32)
        entry = Entry(object_key_of(simulated, "key"), AHEAD, Kind.DATA, 3, pack_record(newer))
        put_directly(first, entry, b"lat")
        for store in stores(simulated):
            put_directly(store, Entry(index_key(digest, "key"), AHEAD, Kind.DATA, 3, row_value(newer)))
        await put(colony, "key")
        (listed,) = [
            unpack_listed(item) for item in (await colony.list_objects(BOX, Query(prefix=b"key"))).items
        ]
        stored = await colony.head_object(BOX.object("key"))
        assert listed.etag == stored.record.etag

    run(scenario)
