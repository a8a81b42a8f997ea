"""Lifecycle rules do what they say, once, whoever does it and whoever dies over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from model.errors import NoSuchObject
from model.lifecycle import LIFECYCLE, Filter, Rule, Rules, pack_rules
from model.listing import Query
from model.names import ContainerPath, uploads_of
from model.objects import TAGS
from model.tags import pack_tags
from proxy.operations.colony import Colony
from proxy.operations.types import HeldBody, NewObject
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
