"""A lock that was acknowledged holds, whatever deletion it raced with and whoever died over it.

Each case is a seed; `COLONNADE_SIMULATION_SEEDS=1000` runs so many, from `COLONNADE_SIMULATION_FIRST` on.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from model.containers import VERSIONING, Versioning
from model.errors import Absent, ColonnadeError, Conflict, Denied, Unavailable
from model.lifecycle import LIFECYCLE, Rule, Rules, pack_rules
from model.names import ContainerPath, ObjectPath
from model.retention import RETENTION, Mode, Retention, may_delete, pack_retention
from proxy.operations.colony import Colony
from proxy.operations.types import HeldBody, NewObject, StoredObject
from tests.support.simulated_colony import Shape, SimulatedColony, simulate
from tests.support.simulated_network import Weather
from tests.support.simulated_replicators import SETTINGS, Replicators

SEEDS = int(os.environ.get("COLONNADE_SIMULATION_SEEDS", "3"))
FIRST = int(os.environ.get("COLONNADE_SIMULATION_FIRST", "1"))
LOSSY = {"lose_request": 0.05, "lose_reply": 0.05, "late_request": 0.05}
BOX = ContainerPath("AUTH_test", "box")
KEYS = 12
YEAR_MS = 365 * 86_400_000


async def lock(proxy: Colony, path: ObjectPath, version: str) -> bool:
    """Lock a version; say whether that was acknowledged."""
    value = pack_retention(Retention(Mode.COMPLIANCE, proxy.clock_ms() + YEAR_MS))
    try:
        await proxy.set_side(path, RETENTION, value, version=version, precondition=lambda found: None)
    except (Absent, Conflict, Unavailable):
        return False
    return True


async def delete(proxy: Colony, path: ObjectPath, version: str) -> bool:
    """Delete a version that is not locked; say whether that was acknowledged."""

    def unlocked(stored: StoredObject | None) -> None:
        if stored is not None and not may_delete(stored.sides, proxy.clock_ms()):
            raise Denied("locked")

    try:
        await proxy.delete_object(path, version=version, precondition=unlocked)
    except (Denied, Conflict, Unavailable):
        return False
    return True


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_of_a_lock_and_a_deletion_at_once_not_both_are_acknowledged(seed: int) -> None:
    async def run(colony: SimulatedColony) -> None:
        await colony.start(3)
        maker, locker, deleter = [proxy.colony for proxy in colony.proxies]
        await maker.create_container(BOX, "owner", {}, born_with={VERSIONING: Versioning.ENABLED.value})
        replicators = Replicators(colony, SETTINGS)
        await replicators.start_all()
        try:
            for number in range(KEYS):
                path = BOX.object(f"{number:02}")
                old = await maker.put_object(path, NewObject(), HeldBody(b"bytes"))
                await maker.put_object(path, NewObject(), HeldBody(b"newer"))
                pause_s = colony.rng.uniform(0, 0.05)

                async def later(
                    path: ObjectPath = path, old: StoredObject = old, by_s: float = pause_s
                ) -> bool:
                    await asyncio.sleep(by_s)
                    return await delete(deleter, path, old.version_id)

                locked, deleted = await asyncio.gather(lock(locker, path, old.version_id), later())
                assert not (locked and deleted), path.name
                if locked:
                    await asyncio.sleep(60)
                    found = await maker.head_object(path, version=old.version_id)
                    assert RETENTION in found.sides, path.name
        finally:
            await replicators.stop_all()

    simulate(seed, Shape((2, 2, 1), Weather(**LOSSY), skew_ms_max=50), run)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_lifecycle_rules_delete_no_version_whose_lock_was_acknowledged(seed: int) -> None:
    async def run(colony: SimulatedColony) -> None:
        await colony.start(2)
        proxy = colony.proxies[0].colony
        await proxy.create_container(BOX, "owner", {}, born_with={VERSIONING: Versioning.ENABLED.value})
        replicators = Replicators(colony, replace(SETTINGS, lifecycle_day_s=2))
        await replicators.start_all()
        try:
            made = []
            for number in range(KEYS):
                path = BOX.object(f"{number:02}")
                made.append(await proxy.put_object(path, NewObject(), HeldBody(b"bytes")))
                await proxy.put_object(path, NewObject(), HeldBody(b"newer"))
            await proxy.set_container(BOX, {LIFECYCLE: pack_rules(Rules((Rule("1", noncurrent_days=1),)))})

            async def soon(old: StoredObject) -> bool:
                await asyncio.sleep(colony.rng.uniform(1.0, 4.0))
                return await lock(proxy, old.path, old.version_id)

            locked = await asyncio.gather(*map(soon, made))
            await asyncio.sleep(90)
            for old, is_locked in zip(made, locked, strict=True):
                try:
                    await proxy.head_object(old.path, version=old.version_id)
                except ColonnadeError:
                    assert not is_locked, old.path.name
            assert not all(locked), "no race was run"
        finally:
            await replicators.stop_all()

    simulate(seed, Shape((2, 2, 1), Weather(slow=0.1), skew_ms_max=50), run)
