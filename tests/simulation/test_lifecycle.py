"""Lifecycle rules do what they say, once, whoever does it and whoever dies over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from model.containers import VERSIONING, Versioning
from model.errors import NoSuchObject
from model.lifecycle import LIFECYCLE, Filter, MarkerCleaning, Rule, Rules, pack_rules
from model.listing import Query
from model.names import ContainerPath, uploads_of
from model.objects import TAGS
from model.retention import LEGAL_HOLD, RETENTION, Hold, Mode, Retention, pack_hold, pack_retention
from model.tags import pack_tags
from proxy.operations.colony import Colony
from proxy.operations.types import HeldBody, NewObject, VersionQuery
from tests.support.simulated_colony import Shape, SimulatedColony, simulate
from tests.support.simulated_network import Weather
from tests.support.simulated_replicators import SETTINGS, Replicators

BOX = ContainerPath("AUTH_test", "box")
OTHER = ContainerPath("AUTH_test", "other")
CALM = Shape((2, 2, 1), Weather(slow=0.0))
DAY_S = 10

Scenario = Callable[[SimulatedColony, Replicators, Colony], Coroutine[Any, Any, None]]


def play(scenario: Scenario) -> None:
    """Run a scenario in a calm colony whose days are ten seconds."""

    async def run(colony: SimulatedColony) -> None:
        await colony.start(1)
        proxy = colony.proxies[0].colony
        await proxy.create_container(BOX, "owner", {})
        replicators = Replicators(colony, replace(SETTINGS, lifecycle_day_s=DAY_S))
        await replicators.start_all()
        try:
            await scenario(colony, replicators, proxy)
        finally:
            await replicators.stop_all()

    simulate(1, CALM, run)


async def put(proxy: Colony, name: str, size: int = 5, path: ContainerPath = BOX, **tags: str) -> None:
    new = NewObject(sides={TAGS: pack_tags(tags)} if tags else {})
    await proxy.put_object(path.object(name), new, HeldBody(b"x" * size))


async def names(proxy: Colony, path: ContainerPath = BOX) -> list[str]:
    page = await proxy.list_objects(path, Query())
    return [name.decode() for name, _ in page.items]


async def set_rules(proxy: Colony, *rules: Rule, path: ContainerPath = BOX) -> None:
    await proxy.set_container(path, {LIFECYCLE: pack_rules(Rules(rules))})


def done(replicators: Replicators, kind: str) -> int:
    return sum(engine.status()["counts"][kind] for engine in replicators.engines.values())


def test_objects_go_by_prefix_tag_and_size_when_their_days_have_passed() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await proxy.create_container(OTHER, "owner", {})
        for name in ("a/1", "a/2", "b/1"):
            await put(proxy, name)
        await put(proxy, "c/tagged", go="yes")
        await put(proxy, "c/other", go="no")
        await put(proxy, "d/large", 100)
        await put(proxy, "d/small", 10)
        await put(proxy, "a/1", path=OTHER)
        await set_rules(
            proxy,
            Rule("1", Filter("a/"), expire_days=1),
            Rule("2", Filter("b/"), expire_days=6),
            Rule("3", Filter("c/", tags=(("go", "yes"),)), expire_days=1),
            Rule("4", Filter("d/", larger_than=50), expire_days=1),
        )
        await asyncio.sleep(5)
        assert len(await names(proxy)) == 7
        await asyncio.sleep(20)
        assert await names(proxy) == ["b/1", "c/other", "d/small"]
        await asyncio.sleep(50)
        assert await names(proxy) == ["c/other", "d/small"]
        assert await names(proxy, OTHER) == ["a/1"]
        assert done(replicators, "lifecycle_expired") == 5
        assert sum(engine.lifecycle.last.buckets for engine in replicators.engines.values()) == 1
        await replicators.until_whole(60)

    play(scenario)


def test_an_object_written_again_gets_its_time_anew() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await set_rules(proxy, Rule("1", expire_days=2))
        for _ in range(4):
            await put(proxy, "kept")
            await asyncio.sleep(DAY_S)
        assert await names(proxy) == ["kept"]
        await asyncio.sleep(2 * DAY_S)
        assert await names(proxy) == []

    play(scenario)


def test_rules_that_were_taken_away_or_disabled_do_nothing() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await put(proxy, "kept")
        await set_rules(proxy, Rule("1", expire_days=1))
        await proxy.set_container(BOX, {LIFECYCLE: b""})
        await asyncio.sleep(4 * DAY_S)
        assert await names(proxy) == ["kept"]

    play(scenario)


def test_uploads_that_were_abandoned_end() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        uploads = uploads_of(BOX)
        await put(proxy, "logs/a\0id1", path=uploads)
        await put(proxy, "other/a\0id2", path=uploads)
        await set_rules(proxy, Rule("1", Filter("logs/"), abort_days=1))
        await asyncio.sleep(3 * DAY_S)
        assert await names(proxy, uploads) == ["other/a\0id2"]
        assert done(replicators, "lifecycle_aborted") == 1

    play(scenario)


def test_what_a_replicator_that_died_left_half_done_is_finished() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        for number in range(60):
            await put(proxy, f"{number:02}")
        await set_rules(proxy, Rule("1", expire_days=1))
        for _ in range(12):
            await asyncio.sleep(1.1)
            await replicators.bounce()
        await asyncio.sleep(2 * DAY_S)
        assert await names(proxy) == []
        try:
            await proxy.head_object(BOX.object("00"))
            raise AssertionError("an expired object is still read")
        except NoSuchObject:
            await replicators.until_whole(60)

    play(scenario)


# Versions.


async def keep_versions(proxy: Colony, versioning: Versioning = Versioning.ENABLED) -> None:
    await proxy.set_container(BOX, {VERSIONING: versioning.value})


async def history(proxy: Colony) -> list[tuple[str, bool]]:
    """Each version of the box, newest first: its name, and whether it is a marker."""
    page = await proxy.list_versions(BOX, VersionQuery())
    return [(one.row.name, one.is_marker) for one in page.items if not isinstance(one, str)]


def test_expiry_hides_a_version_under_one_marker_and_no_more() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        for name in ("a", "b", "c"):
            await put(proxy, name)
        await proxy.delete_object(BOX.object("c"))
        await set_rules(proxy, Rule("1", expire_days=1))
        for _ in range(6):
            # Whoever comes after one that died halfway makes no marker of its own.
            await asyncio.sleep(DAY_S / 2)
            await replicators.bounce()
        await asyncio.sleep(3 * DAY_S)
        expected = [(name, is_marker) for name in ("a", "b", "c") for is_marker in (True, False)]
        assert await history(proxy) == expected
        assert await names(proxy) == []
        await replicators.until_whole(60)

    play(scenario)


def test_two_that_believe_they_lead_a_bucket_make_one_marker() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        for number in range(20):
            await put(proxy, f"{number:02}")
        for engine in replicators.engines.values():
            engine.lifecycle._leads = lambda device, key: True  # type: ignore[method-assign]
        await set_rules(proxy, Rule("1", expire_days=1))
        await asyncio.sleep(3 * DAY_S)
        assert sum(is_marker for _, is_marker in await history(proxy)) == 20
        assert sum(engine.lifecycle.last.buckets for engine in replicators.engines.values()) > 1

    play(scenario)


def test_noncurrent_versions_go_and_the_marker_over_them_after_them() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        for _ in range(4):
            await put(proxy, "kept")
            await put(proxy, "gone")
        await proxy.delete_object(BOX.object("gone"))
        rule = Rule("1", markers=MarkerCleaning.YES, noncurrent_days=1, keep_noncurrent=1)
        await set_rules(proxy, rule)
        await asyncio.sleep(3 * DAY_S)
        assert await history(proxy) == [("gone", True), ("gone", False), ("kept", False), ("kept", False)]
        await set_rules(proxy, replace(rule, keep_noncurrent=0))
        await asyncio.sleep(3 * DAY_S)
        assert await history(proxy) == [("kept", False)]
        assert done(replicators, "lifecycle_removed") == 8
        await replicators.until_whole(60)

    play(scenario)


def test_the_time_under_a_marker_is_counted_from_the_rule_that_made_it() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        await put(proxy, "old")
        await asyncio.sleep(20 * DAY_S)
        await set_rules(proxy, Rule("1", expire_days=1, noncurrent_days=4))
        await asyncio.sleep(3 * DAY_S)
        assert await history(proxy) == [("old", True), ("old", False)]
        await asyncio.sleep(4 * DAY_S)
        assert await history(proxy) == []

    play(scenario)


def test_while_versioning_is_suspended_the_null_version_becomes_a_marker() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        await put(proxy, "a")
        await keep_versions(proxy, Versioning.SUSPENDED)
        await put(proxy, "a")
        await put(proxy, "a")
        await set_rules(proxy, Rule("1", expire_days=1))
        await asyncio.sleep(3 * DAY_S)
        assert await history(proxy) == [("a", True), ("a", False)]
        found = await proxy.list_versions(BOX, VersionQuery())
        assert [one.version_id == "null" for one in found.items if not isinstance(one, str)] == [True, False]

    play(scenario)


def test_locked_versions_stay_until_their_lock_has_passed() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        stored = [await proxy.put_object(BOX.object("a"), NewObject(), HeldBody(b"x")) for _ in range(3)]
        until_ms = proxy.clock_ms() + 60_000
        lock = pack_retention(Retention(Mode.GOVERNANCE, until_ms))
        await proxy.set_side(BOX.object("a"), RETENTION, lock, version=stored[0].version_id)
        await proxy.set_side(BOX.object("a"), LEGAL_HOLD, pack_hold(Hold.ON), version=stored[1].version_id)
        await set_rules(proxy, Rule("1", noncurrent_days=1))
        await asyncio.sleep(3 * DAY_S)
        assert len(await history(proxy)) == 3
        await asyncio.sleep(60)
        assert len(await history(proxy)) == 2
        await proxy.set_side(BOX.object("a"), LEGAL_HOLD, pack_hold(Hold.OFF), version=stored[1].version_id)
        await asyncio.sleep(DAY_S)
        assert len(await history(proxy)) == 1
        assert done(replicators, "lifecycle_held") > 0

    play(scenario)


def test_an_object_that_is_locked_does_not_expire_by_swifts_time_either() -> None:
    async def scenario(colony: SimulatedColony, replicators: Replicators, proxy: Colony) -> None:
        await keep_versions(proxy)
        new = NewObject(
            delete_at=proxy.clock_ms() // 1000 + 5,
            sides={RETENTION: pack_retention(Retention(Mode.COMPLIANCE, proxy.clock_ms() + 200_000))},
        )
        await proxy.put_object(BOX.object("a"), new, HeldBody(b"x"))
        await asyncio.sleep(150)
        assert (await proxy.head_object(BOX.object("a"))).record.size == 1
        await asyncio.sleep(150)
        assert await history(proxy) == []

    play(scenario)
