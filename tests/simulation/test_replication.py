"""Whatever befell a colony, its replicators make it whole: replicas equal, nothing lost, nothing back.

Each case is a seed. `COLONNADE_SIMULATION_SEEDS=1000` runs so many of each scenario, from
`COLONNADE_SIMULATION_FIRST` on; a failure names its seed, and the same seed fails the same way.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.support.simulated_clients import CONTAINER, Clients
from tests.support.simulated_colony import Shape, SimulatedColony, simulate
from tests.support.simulated_network import Weather
from tests.support.simulated_replicators import Replicators

SEEDS = int(os.environ.get("COLONNADE_SIMULATION_SEEDS", "3"))
FIRST = int(os.environ.get("COLONNADE_SIMULATION_FIRST", "1"))
LOSSY = {"lose_request": 0.02, "lose_reply": 0.03, "late_request": 0.02}
WHOLE_S = 300.0


def shapes() -> dict[str, Shape]:
    """Return the scenarios by name; each call makes new ones, since the weather is changed by a run."""
    return {
        "lossy": Shape((1, 1, 1), Weather(**LOSSY), skew_ms_max=200),
        "proxies die": Shape((2, 2, 1), Weather(**LOSSY), kill_proxies=True, skew_ms_max=60_000),
        "nodes and devices die": Shape(
            (2, 2, 1), Weather(**LOSSY), kill_nodes=True, harm_devices=True, kill_proxies=True, skew_ms_max=50
        ),
        "devices are emptied": Shape((2, 2, 1), Weather(**LOSSY), skew_ms_max=50),
        "payloads rot": Shape((2, 2, 1), Weather(slow=0.1), kill_proxies=True, skew_ms_max=50),
        "rings change": Shape((2, 2, 1), Weather(slow=0.1), change_rings=True),
        "rings change, all at once": Shape(
            (2, 2, 1),
            Weather(**LOSSY),
            kill_nodes=True,
            harm_devices=True,
            kill_proxies=True,
            change_rings=True,
            skew_ms_max=50,
        ),
    }


async def _through_the_storm(colony: SimulatedColony, name: str) -> None:
    await colony.start(3)
    await colony.proxies[0].colony.create_container(CONTAINER, "owner", {})
    replicators = Replicators(colony)
    await replicators.start_all()
    clients = Clients(colony)
    others = [asyncio.ensure_future(colony.storm()), asyncio.ensure_future(_bounce(replicators))]
    if name == "devices are emptied":
        others.append(asyncio.ensure_future(_empty_devices(replicators)))
    if name == "payloads rot":
        others.append(asyncio.ensure_future(_rot(replicators)))
    if colony.shape.change_rings:
        others.append(asyncio.ensure_future(_change_rings(replicators)))
    try:
        await asyncio.gather(*(clients.work(25) for _ in range(6)))
    finally:
        for task in others:
            task.cancel()
        await asyncio.wait(others)
    for task in others:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    colony.clear_up()
    for node in colony.nodes:
        await replicators.engines[node].stop()
        replicators.start(node)
    await replicators.until_whole(WHOLE_S)
    await clients.look_at_everything()
    await replicators.stop_all()
    assert clients.done > clients.failed, f"{clients.failed} requests failed and {clients.done} did not"
    clients.check()


async def _bounce(replicators: Replicators) -> None:
    while True:
        await asyncio.sleep(replicators.colony.rng.uniform(0.2, 1.5))
        await replicators.bounce()


async def _empty_devices(replicators: Replicators) -> None:
    while True:
        await asyncio.sleep(replicators.colony.rng.uniform(0.0, 0.5))
        await replicators.empty_device()


async def _rot(replicators: Replicators) -> None:
    while True:
        await asyncio.sleep(replicators.colony.rng.uniform(0.0, 0.1))
        replicators.rot()


async def _change_rings(replicators: Replicators) -> None:
    while True:
        await asyncio.sleep(replicators.colony.rng.uniform(0.0, 0.5))
        if replicators.settled():
            await replicators.change_ring()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
def test_a_colony_becomes_whole_and_loses_nothing(name: str, seed: int) -> None:
    simulate(seed, shapes()[name], lambda colony: _through_the_storm(colony, name))
