"""Whatever the faults, a container with versions loses none, and shows what it shows in one order.

Each case is a seed. `COLONNADE_SIMULATION_SEEDS=1000` runs so many of each scenario, from
`COLONNADE_SIMULATION_FIRST` on; a failure names its seed, and the same seed fails the same way.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from model.containers import VERSIONING, Versioning
from model.errors import ColonnadeError
from proxy.operations.types import HeldBody, NewObject
from tests.support.simulated_clients import CONTAINER, Clients
from tests.support.simulated_colony import Shape, SimulatedColony, simulate
from tests.support.simulated_network import Weather
from tests.support.simulated_replicators import Replicators
from tests.support.simulated_versions import VersionClients

SEEDS = int(os.environ.get("COLONNADE_SIMULATION_SEEDS", "2"))
FIRST = int(os.environ.get("COLONNADE_SIMULATION_FIRST", "1"))
LOSSY = {"lose_request": 0.02, "lose_reply": 0.03, "late_request": 0.02}
WHOLE_S = 300.0


def shapes() -> dict[str, Shape]:
    """Return the scenarios by name; each call makes new ones, since the weather is changed by a run."""
    return {
        "three nodes, clocks apart": Shape((1, 1, 1), Weather(slow=0.1), skew_ms_max=60_000),
        "three nodes, kills": Shape((1, 1, 1), kill_nodes=True, kill_proxies=True, skew_ms_max=20),
        "all at once": Shape(
            (2, 2, 1),
            Weather(**LOSSY),
            kill_nodes=True,
            harm_devices=True,
            kill_proxies=True,
            change_rings=True,
            skew_ms_max=50,
        ),
    }


async def _begin(colony: SimulatedColony, versioning: Versioning) -> None:
    await colony.start(3)
    settings = {} if versioning is Versioning.OFF else {VERSIONING: versioning.value}
    await colony.proxies[0].colony.create_container(CONTAINER, "owner", settings)


async def _during(colony: SimulatedColony, work: list[asyncio.Future[None]], *, rings: bool) -> None:
    others = [asyncio.ensure_future(colony.storm())]
    if rings and colony.shape.change_rings:
        others.append(asyncio.ensure_future(_change_rings(colony)))
    try:
        await asyncio.gather(*work)
    finally:
        for task in others:
            task.cancel()
        await asyncio.wait(others)
    for task in others:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    colony.clear_up()


async def _change_rings(colony: SimulatedColony) -> None:
    while True:
        await asyncio.sleep(colony.rng.uniform(0.0, 0.3))
        await colony.change_ring()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
@pytest.mark.parametrize("versioning", [Versioning.ENABLED, Versioning.SUSPENDED])
def test_the_current_version_of_every_key_is_linearizable(
    versioning: Versioning, name: str, seed: int
) -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await _begin(colony, versioning)
        clients = Clients(colony)
        await _during(colony, [asyncio.ensure_future(clients.work(20)) for _ in range(5)], rings=True)
        await clients.look_at_everything()
        assert clients.done > clients.failed, f"{clients.failed} failed and {clients.done} did not"
        clients.check()

    simulate(seed, shapes()[name], scenario)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
def test_no_acknowledged_version_is_lost_and_none_removed_comes_back(name: str, seed: int) -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await _begin(colony, Versioning.ENABLED)
        replicators = Replicators(colony)
        await replicators.start_all()
        clients = VersionClients(colony)
        await _during(colony, [asyncio.ensure_future(clients.work(20)) for _ in range(5)], rings=False)
        await clients.check()
        for node in colony.nodes:
            await replicators.engines[node].stop()
            replicators.start(node)
        await replicators.until_whole(WHOLE_S)
        await clients.check()
        await replicators.stop_all()
        assert clients.done > clients.failed, f"{clients.failed} failed and {clients.done} did not"

    simulate(seed, shapes()[name], scenario)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
def test_keys_stay_linearizable_while_versioning_is_turned_on(name: str, seed: int) -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await _begin(colony, Versioning.OFF)
        clients = Clients(colony)
        work: list[asyncio.Future[None]] = [asyncio.ensure_future(clients.work(60)) for _ in range(4)]
        work.append(asyncio.ensure_future(_enable(colony)))
        await _during(colony, work, rings=False)
        await clients.look_at_everything()
        assert clients.done > clients.failed, f"{clients.failed} failed and {clients.done} did not"
        clients.check()

    simulate(seed, shapes()[name], scenario)


async def _enable(colony: SimulatedColony) -> None:
    while True:
        await asyncio.sleep(colony.rng.uniform(0.0, 0.3))
        try:
            await colony.rng.choice(colony.proxies).colony.set_versioning(CONTAINER, Versioning.ENABLED)
        except ColonnadeError as error:
            colony.note(f"versioning not enabled yet: {error!r}")
        else:
            return


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_once_versioning_is_on_no_proxy_touches_what_was_there_before(seed: int) -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await _begin(colony, Versioning.OFF)
        one, other = colony.proxies[0].colony, colony.proxies[1].colony
        path = CONTAINER.object("key")
        enabling = asyncio.ensure_future(one.set_versioning(CONTAINER, Versioning.ENABLED))
        written = 0
        while not enabling.done():
            await other.put_object(path, NewObject(), HeldBody(b"%d" % written))
            written += 1
        await enabling
        assert written > 1
        before = await other.head_object(path, version="null")
        stored = await other.put_object(path, NewObject(), HeldBody(b"later"))
        assert stored.version_id != "null"
        assert (await other.delete_object(path)).is_marker
        assert await one.head_object(path, version="null") == before

    simulate(seed, Shape((1, 1, 1), Weather(slow=0.1), skew_ms_max=1_000), scenario)
