"""Of writes on a condition that race exactly one takes effect, whatever the faults.

Clients swap values for those they saw last, among plain writes, reads and deletions of the same few names.
Each case is a seed. `COLONNADE_SIMULATION_SEEDS=1000` runs so many of each scenario, from
`COLONNADE_SIMULATION_FIRST` on; a failure names its seed, and the same seed fails the same way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from model.errors import ColonnadeError
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
        "calm": Shape((1, 1, 1)),
        "clocks apart": Shape((1, 1, 1), Weather(slow=0.1), skew_ms_max=4 * 60_000),
        "lossy": Shape((1, 1, 1), Weather(**LOSSY), skew_ms_max=200),
        "everything dies": Shape(
            (2, 2, 1), Weather(**LOSSY), kill_nodes=True, harm_devices=True, kill_proxies=True, skew_ms_max=50
        ),
        "devices are emptied": Shape((2, 2, 1), Weather(**LOSSY), skew_ms_max=50),
        "ring changes, all at once": Shape(
            (2, 2, 1),
            Weather(**LOSSY),
            kill_nodes=True,
            harm_devices=True,
            kill_proxies=True,
            change_rings=True,
            skew_ms_max=50,
        ),
    }


async def _race(colony: SimulatedColony) -> None:
    await colony.start(3)
    await colony.proxies[0].colony.create_container(CONTAINER, "owner", {})
    clients = Clients(colony, names=2, conditional=0.5)
    others = [colony.storm()]
    if colony.shape.change_rings:
        others.append(_again_and_again(colony, 0.3, colony.change_ring))
    await _work(clients, others)
    colony.clear_up()
    await clients.look_at_everything()
    _judge(clients)


async def _race_and_heal(colony: SimulatedColony) -> None:
    await colony.start(3)
    await colony.proxies[0].colony.create_container(CONTAINER, "owner", {})
    replicators = Replicators(colony)
    await replicators.start_all()
    clients = Clients(colony, names=2, conditional=0.5)

    async def change_ring() -> None:
        if replicators.settled():
            await replicators.change_ring()

    others = [colony.storm(), _again_and_again(colony, 1.5, replicators.bounce)]
    if colony.shape.change_rings:
        others.append(_again_and_again(colony, 0.5, change_ring))
    if not colony.shape.kill_nodes:
        # A simulated node that starts again takes its devices for full.
        others.append(_again_and_again(colony, 0.5, replicators.empty_device))
    await _work(clients, others)
    colony.clear_up()
    for node in colony.nodes:
        await replicators.engines[node].stop()
        replicators.start(node)
    await replicators.until_whole(WHOLE_S)
    await clients.look_at_everything()
    await replicators.stop_all()
    _judge(clients)


async def _work(clients: Clients, others: list[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.ensure_future(one) for one in others]
    try:
        await asyncio.gather(*(clients.work(25) for _ in range(6)))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _again_and_again(
    colony: SimulatedColony, pause_s_max: float, act: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    while True:
        await asyncio.sleep(colony.rng.uniform(0.0, pause_s_max))
        await act()


def _judge(clients: Clients) -> None:
    assert clients.done > clients.failed, f"{clients.failed} requests failed and {clients.done} did not"
    assert clients.swapped, "no write on a condition ever succeeded"
    clients.check()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
def test_conditional_writes_are_linearizable(name: str, seed: int) -> None:
    simulate(seed, shapes()[name], _race)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", ["everything dies", "devices are emptied", "ring changes, all at once"])
def test_a_colony_becomes_whole_after_conditional_writes(name: str, seed: int) -> None:
    simulate(seed, shapes()[name], _race_and_heal)


async def _claim(colony: SimulatedColony) -> None:
    await colony.start(3)
    storm = asyncio.ensure_future(colony.storm())
    try:
        for number in range(5):
            name = f"bucket-{number}"
            claims = [
                proxy.colony.claim_bucket(name, f"{proxy.name}-{index}")
                for proxy in colony.proxies
                for index in range(3)
            ]
            told = await asyncio.gather(*claims, return_exceptions=True)
            owners = {one for one in told if isinstance(one, str)}
            assert all(isinstance(one, str | ColonnadeError) for one in told), told
            assert len(owners) == 1, f"{name} was given to {owners}"
            assert await colony.proxies[0].colony.bucket_account(name) in owners
    finally:
        storm.cancel()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_bucket_name_has_one_owner_however_many_claim_it(seed: int) -> None:
    simulate(seed, Shape((1, 1, 1), Weather(**LOSSY), skew_ms_max=200), _claim)
