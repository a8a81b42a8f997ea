"""Whatever the faults, clients see each key as if one copy of it changed one operation at a time.

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

SEEDS = int(os.environ.get("COLONNADE_SIMULATION_SEEDS", "4"))
FIRST = int(os.environ.get("COLONNADE_SIMULATION_FIRST", "1"))
SKEW_MS_MAX = 4 * 60_000

LOSSY = {"lose_request": 0.02, "lose_reply": 0.03, "late_request": 0.02}


def shapes() -> dict[str, Shape]:
    """Return the scenarios by name; each call makes new ones, since the weather is changed by a run."""
    return {
        "one node, slow": Shape((4,), Weather(slow=0.1)),
        "one node, devices fail": Shape((4,), Weather(slow=0.1), harm_devices=True, kill_proxies=True),
        "three nodes, clocks apart": Shape((1, 1, 1), Weather(slow=0.1), skew_ms_max=SKEW_MS_MAX),
        "three nodes, lossy": Shape((1, 1, 1), Weather(**LOSSY), skew_ms_max=200),
        "three nodes, kills": Shape((1, 1, 1), kill_nodes=True, kill_proxies=True, skew_ms_max=20),
        "five devices, all at once": Shape(
            (2, 2, 1), Weather(**LOSSY), kill_nodes=True, harm_devices=True, kill_proxies=True, skew_ms_max=50
        ),
        "ring changes": Shape((2, 2, 1), Weather(slow=0.1), change_rings=True),
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


async def _readers_and_writers(colony: SimulatedColony) -> None:
    await colony.start(3)
    await colony.proxies[0].colony.create_container(CONTAINER, "owner", {})
    clients = Clients(colony)
    others = [asyncio.ensure_future(colony.storm())]
    if colony.shape.change_rings:
        others.append(asyncio.ensure_future(_change_rings(colony)))
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
    await clients.look_at_everything()
    assert clients.done > clients.failed, f"{clients.failed} requests failed and {clients.done} did not"
    clients.check()


async def _change_rings(colony: SimulatedColony) -> None:
    while True:
        await asyncio.sleep(colony.rng.uniform(0.0, 0.3))
        await colony.change_ring()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("name", shapes())
def test_every_key_and_row_is_linearizable(name: str, seed: int) -> None:
    simulate(seed, shapes()[name], _readers_and_writers)
