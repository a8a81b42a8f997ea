"""What replicators do on purpose: expire, reclaim, reconcile, and never bring the deleted back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from model.containers import Versioning
from model.entry import Entry, Kind, Table, make_key
from model.errors import NoSuchContainer, NoSuchObject
from model.listing import Query, pack_listed
from model.names import ContainerPath, ObjectPath, index_key, object_key
from model.objects import ObjectRecord, pack_names, pack_record
from model.stamp import make_stamp
from objectd.memory_store import MemoryStore
from objectd.store import Origin, Outcome, Write
from proxy.operations.types import HeldBody, NewObject, VersionQuery
from replicator.places import all_homes
from tests.support.simulated_colony import PART_POWER, START_MS, Shape, SimulatedColony, simulate
from tests.support.simulated_network import SimulatedDevice, Weather
from tests.support.simulated_replicators import SETTINGS, Replicators

BOX = ContainerPath("AUTH_test", "box")
CALM = Shape((2, 2, 1), Weather(slow=0.0))
HOUR_MS = 3_600_000

Scenario = Callable[[SimulatedColony, Replicators], Coroutine[Any, Any, None]]


def play(scenario: Scenario, *, tombstone_age_s: int = 604_800) -> None:
    """Run a scenario in a calm colony whose replicators run from the start."""

    async def run(colony: SimulatedColony) -> None:
        await colony.start(1)
        await colony.proxies[0].colony.create_container(BOX, "owner", {})
        replicators = Replicators(colony, replace(SETTINGS, tombstone_age_s=tombstone_age_s))
        await replicators.start_all()
        try:
            await scenario(colony, replicators)
        finally:
            await replicators.stop_all()

    simulate(1, CALM, run)


def stores(colony: SimulatedColony) -> dict[int, SimulatedDevice]:
    return {disk: device for node in colony.nodes.values() for disk, device in node.devices.items()}


def holders(colony: SimulatedColony, key: bytes) -> list[int]:
    return [disk for disk, store in stores(colony).items() if store.get(key) is not None]


def object_entry(colony: SimulatedColony, path: ObjectPath, ms: int, kind: Kind = Kind.DATA) -> Entry:
    key = object_key(colony.live.epoch.digest(path.account, path.container, path.name))
    record = ObjectRecord(path.account, path.container, path.name, 0, "e", "text/plain")
    value = pack_record(record) if kind is Kind.DATA else pack_names(path)
    return Entry(key, make_stamp(ms, 0, 9), kind, 0, value)


def give(colony: SimulatedColony, disk: int, entry: Entry, origin: Origin = Origin.REPAIR) -> None:
    (written,) = MemoryStore.commit(stores(colony)[disk], [Write(entry, origin=origin)]).result()
    assert written.outcome is Outcome.STORED


async def names(colony: SimulatedColony) -> list[bytes]:
    page = await colony.proxies[0].colony.list_objects(BOX, Query())
    return [name for name, _ in page.items]


def test_an_expired_object_goes_with_its_row_and_in_time_without_a_trace() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        new = NewObject(delete_at=START_MS // 1000 + 30)
        await proxy.put_object(BOX.object("short"), new, HeldBody(b"bytes"))
        await proxy.put_object(BOX.object("long"), NewObject(), HeldBody(b"bytes"))
        assert await names(colony) == [b"long", b"short"]
        await asyncio.sleep(200)
        assert await names(colony) == [b"long"]
        await asyncio.sleep(300)
        assert holders(colony, object_entry(colony, BOX.object("short"), 1).key) == []
        assert len(holders(colony, object_entry(colony, BOX.object("long"), 1).key)) == 3
        await replicators.until_whole(60)

    play(scenario, tombstone_age_s=60)


def test_an_expired_version_leaves_a_marker_only_where_an_older_one_would_show() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        await proxy.set_versioning(BOX, Versioning.ENABLED)
        older = await proxy.put_object(BOX.object("k"), NewObject(), HeldBody(b"older"))
        short = NewObject(delete_at=proxy.clock_ms() // 1000 + 30)
        expired = await proxy.put_object(BOX.object("k"), short, HeldBody(b"bytes"))
        await proxy.put_object(BOX.object("alone"), short, HeldBody(b"bytes"))
        assert await names(colony) == [b"alone", b"k"]
        await asyncio.sleep(300)
        assert await names(colony) == []
        page = await proxy.list_versions(BOX, VersionQuery())
        assert [(one.version_id, one.is_marker) for one in page.items if not isinstance(one, str)] == [
            (expired.version_id, True),
            (older.version_id, False),
        ]
        found = await proxy.open_object(BOX.object("k"), version=older.version_id)
        assert found.data == b"older"
        await replicators.until_whole(60)

    play(scenario)


def test_a_version_and_a_marker_without_their_rows_get_them() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        await proxy.set_versioning(BOX, Versioning.ENABLED)
        path = BOX.object("half")
        plain = object_entry(colony, path, START_MS)
        made: list[Entry] = []
        for ms, kind in ((START_MS + 1, Kind.DATA), (START_MS + 2, Kind.MARKER)):
            version = make_stamp(ms, 0, 9)
            key = object_key(plain.digest, version)
            made.append(Entry(key, version, kind, 0, plain.value))
        homes = all_homes(colony.live.epoch, plain.key[1] >> (8 - PART_POWER))
        for home, entry in zip(homes, made, strict=False):
            give(colony, home, entry, Origin.CLIENT)
        await asyncio.sleep(60)
        assert await names(colony) == []
        page = await proxy.list_versions(BOX, VersionQuery())
        kinds = [one.is_marker for one in page.items if not isinstance(one, str)]
        assert kinds == [True, False]
        await replicators.until_whole(60)

    play(scenario)


def test_a_row_of_a_version_without_a_record_is_taken_out_of_the_listing() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        await proxy.set_versioning(BOX, Versioning.ENABLED)
        real = await proxy.put_object(BOX.object("k"), NewObject(), HeldBody(b"bytes"))
        digest = colony.live.epoch.digest(BOX.account, BOX.container)
        version = make_stamp(START_MS + 60_000, 0, 9)
        key = index_key(digest, "k", version)
        ghost = Entry(key, version, Kind.DATA, 5, pack_listed("e", "t"))
        for home in all_homes(colony.live.epoch, digest[0] >> (8 - PART_POWER)):
            give(colony, home, ghost, Origin.CLIENT)
        await asyncio.sleep(120)
        page = await proxy.list_versions(BOX, VersionQuery())
        assert [one.version_id for one in page.items if not isinstance(one, str)] == [real.version_id]
        await replicators.until_whole(60)

    play(scenario)


def test_a_tombstone_is_kept_while_a_home_is_away() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        path = BOX.object("gone")
        key = object_entry(colony, path, 1).key
        proxy = colony.proxies[0].colony
        await proxy.put_object(path, NewObject(), HeldBody(b"bytes"))
        home = stores(colony)[holders(colony, key)[0]]
        (away,) = (node for node in colony.nodes.values() if home.device_id in node.devices)
        away.kill()
        await proxy.delete_object(path)
        await asyncio.sleep(400)
        assert len([disk for disk in holders(colony, key) if disk not in away.devices]) >= 2
        away.start()
        await asyncio.sleep(400)
        try:
            await proxy.head_object(path)
            raise AssertionError("the object came back")
        except NoSuchObject:
            assert holders(colony, key) == []

    play(scenario, tombstone_age_s=60)


def test_what_a_stray_alone_holds_and_is_old_is_dropped_and_young_ones_are_handed_over() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        old = object_entry(colony, BOX.object("old"), START_MS - 30 * 24 * HOUR_MS)
        young = object_entry(colony, BOX.object("young"), START_MS)
        for entry in (old, young):
            homes = all_homes(colony.live.epoch, entry.key[1] >> (8 - PART_POWER))
            foreign = next(disk for disk in stores(colony) if disk not in homes)
            give(colony, foreign, entry)
        await replicators.until_whole(120)
        assert holders(colony, old.key) == []
        assert len(holders(colony, young.key)) == 3

    play(scenario)


def test_a_record_without_its_row_gets_one() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        entry = object_entry(colony, BOX.object("half"), START_MS)
        home = all_homes(colony.live.epoch, entry.key[1] >> (8 - PART_POWER))[0]
        give(colony, home, entry, Origin.CLIENT)
        await asyncio.sleep(60)
        assert await names(colony) == [b"half"]
        await replicators.until_whole(60)

    play(scenario)


def test_a_record_whose_container_is_gone_is_hidden() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        path = ObjectPath("AUTH_test", "never", "half")
        entry = object_entry(colony, path, START_MS)
        home = all_homes(colony.live.epoch, entry.key[1] >> (8 - PART_POWER))[0]
        give(colony, home, entry, Origin.CLIENT)
        await asyncio.sleep(60)
        await replicators.until_whole(60)
        held = [stores(colony)[disk].get(entry.key) for disk in holders(colony, entry.key)]
        assert all(one is not None and one.entry.kind is Kind.TOMBSTONE for one in held)

    play(scenario)


def test_a_row_without_a_record_is_taken_out_of_the_listing() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        await proxy.put_object(BOX.object("real"), NewObject(), HeldBody(b"bytes"))
        digest = colony.live.epoch.digest(BOX.account, BOX.container)
        row_key = make_key(Table.INDEX, digest, b"real")
        sample = next(store.get(row_key) for store in stores(colony).values() if store.get(row_key))
        assert sample is not None
        key = make_key(Table.INDEX, digest, b"ghost")
        ghost = Entry(key, make_stamp(START_MS, 0, 9), Kind.DATA, 5, sample.entry.value)
        for home in all_homes(colony.live.epoch, digest[0] >> (8 - PART_POWER)):
            give(colony, home, ghost, Origin.CLIENT)
        assert await names(colony) == [b"ghost", b"real"]
        await asyncio.sleep(120)
        assert await names(colony) == [b"real"]
        await replicators.until_whole(60)

    play(scenario)


def test_a_container_deleted_on_one_home_alone_is_restored_where_it_lists_objects() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        proxy = colony.proxies[0].colony
        await proxy.put_object(BOX.object("kept"), NewObject(), HeldBody(b"bytes"))
        digest = colony.live.epoch.digest(BOX.account, BOX.container)
        key = make_key(Table.CONTAINER, digest)
        stamp = make_stamp(START_MS + 5_000, 0, 9)
        tombstone = Entry(key, stamp, Kind.TOMBSTONE, 0, pack_names(BOX.object("")))
        give(colony, all_homes(colony.live.epoch, digest[0] >> (8 - PART_POWER))[0], tombstone, Origin.CLIENT)
        await asyncio.sleep(60)
        await proxy.container(BOX, fresh=True)
        assert await names(colony) == [b"kept"]
        await replicators.until_whole(60)

    play(scenario)


def test_an_empty_container_deleted_on_one_home_alone_is_deleted() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators) -> None:
        digest = colony.live.epoch.digest(BOX.account, BOX.container)
        stamp = make_stamp(START_MS + 5_000, 0, 9)
        key = make_key(Table.CONTAINER, digest)
        tombstone = Entry(key, stamp, Kind.TOMBSTONE, 0, pack_names(BOX.object("")))
        give(colony, all_homes(colony.live.epoch, digest[0] >> (8 - PART_POWER))[0], tombstone, Origin.CLIENT)
        await asyncio.sleep(60)
        try:
            await colony.proxies[0].colony.container(BOX, fresh=True)
            raise AssertionError("the container is still there")
        except NoSuchContainer:
            await replicators.until_whole(60)

    play(scenario)
