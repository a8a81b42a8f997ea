"""Measures the placement of partitions: how long building and rebalancing take, and how near they come to the
least moves.

    python -m bench.placement                      both sizes of docs/decisions/0006-placement.md
    python -m bench.placement --hosts 7            1,008 devices only
    python -m bench.placement --durability         also the chance of loss when 1% of the devices die together

The colony is 3 regions of 4 zones of `--hosts` hosts of 12 devices, weights 1 to 4, 2^20 partitions, 3
replicas.
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import click
import numpy as np
from rich.console import Console
from rich.table import Table as TextTable

from ring.history import Table
from ring.loader import new_ring
from ring.meta import PlacementRules
from ring.placement import place
from ring.rebalance import rebalance
from ring.report import health
from ring.topology import Device, Topology

PART_POWER = 20
REPLICAS = 3
SEED = 20
TRIALS = 400

Timings = dict[str, float]


def colony(hosts: int) -> Topology:
    """Return 3 regions of 4 zones of `hosts` hosts of 12 devices, weighing 1 to 4 in turn."""
    places = [(r, z, h, d) for r in range(3) for z in range(4) for h in range(hosts) for d in range(12)]
    return Topology.of(
        Device(number, f"r{r}", f"z{z}", f"h{h}", f"d{d}", 1.0 + number % 4)
        for number, (r, z, h, d) in enumerate(places)
    )


def changes(topology: Topology) -> dict[str, Topology]:
    """Return the changes measured, by name."""
    new = Device(len(topology), "r0", "z0", "h0", "new", 2.0)
    halved = [d for d in topology if (d.region, d.zone, d.host) == ("r1", "z2", "h3")]
    return {
        "nothing": topology,
        "+1 device": topology.with_devices([new]),
        "-1 device": topology.without([17]),
        "minus a zone": topology.without(d.id for d in topology if (d.region, d.zone) == ("r0", "z1")),
        "halve one host": topology.with_devices(replace(d, weight=d.weight / 2) for d in halved),
        "+1 region": topology.with_devices(
            Device(len(topology) + n, "r9", f"z{n % 4}", f"h{n // 4 % 7}", f"n{n}", 2.5)
            for n in range(len(topology) // 3)
        ),
    }


def loss_chance(table: Table, device_count: int, dead_share: float) -> float:
    """Return the share of trials in which some partition loses all replicas with a share of the devices."""
    chance = np.random.default_rng(SEED)
    dead = np.zeros(int(table.max()) + 1, dtype=bool)
    lost = 0
    for _ in range(TRIALS):
        dead[:] = False
        dead[chance.choice(device_count, round(device_count * dead_share), replace=False)] = True
        alive = np.flatnonzero(dead[table[:, 0]])
        for column in range(1, table.shape[1]):
            alive = alive[dead[table[alive, column]]]
        lost += bool(len(alive))
    return lost / TRIALS


@contextmanager
def timed(name: str, timings: Timings) -> Iterator[None]:
    """Take the time of a block, in seconds."""
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start


@click.command()
@click.option("--hosts", type=click.IntRange(1), multiple=True, default=(7, 70), help="Hosts in a zone.")
@click.option("--overload", type=click.FloatRange(0), default=0.1, show_default=True)
@click.option("--durability", is_flag=True, help="Also the chance of loss, with and without scatter width.")
def main(hosts: tuple[int, ...], overload: float, durability: bool) -> None:
    """Measure placement."""
    console = Console(highlight=False)
    for count in hosts:
        topology = colony(count)
        table = _measure_changes(console, topology, PlacementRules(overload, None, SEED))
        _measure_lookups(console, topology)
        if durability:
            _measure_durability(console, topology, table, overload)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"Peak memory {peak_mib:,.0f} MiB.")


def _measure_changes(console: Console, topology: Topology, rules: PlacementRules) -> Table:
    timings: Timings = {}
    with timed("build", timings):
        table = place(
            topology, part_power=PART_POWER, replicas=REPLICAS, overload=rules.overload, seed=rules.seed
        )
    state = health(table, topology, rules)
    console.print(
        f"[bold]{len(topology):,} devices[/bold]: build {timings['build']:.2f} s, "
        f"fullest {state.fullest:.4f}, replicas not in 3 regions {state.undispersed['region']:.2%}"
    )
    rows = TextTable("change", "s", "moves", "least", "ratio", "fullest", "not in 3 regions")
    for name, changed in changes(topology).items():
        with timed(name, timings):
            done = rebalance(table, changed, rules=rules)
        after = health(done.table, changed, rules)
        moves, least = done.certificate.moves, done.certificate.deficits
        rows.add_row(
            name,
            f"{timings[name]:.2f}",
            f"{moves:,}",
            f"{least:,}",
            f"{moves / least:.4f}" if least else "–",
            f"{after.fullest:.4f}",
            f"{after.undispersed['region']:.2%}",
        )
    console.print(rows)
    return table


def _measure_lookups(console: Console, topology: Topology) -> None:
    ring = new_ring(topology, part_power=16)
    calls: dict[str, Callable[[], object]] = {
        "homes": lambda: ring.homes(4711),
        "partition": lambda: ring.partition("AUTH_test", "container", "a/name/of/usual/length"),
        "first stand-in": lambda: next(ring.handoffs(4711)),
    }
    for name, call in calls.items():
        call()
        count = 20_000
        start = time.perf_counter()
        for _ in range(count):
            call()
        console.print(f"{name}: {(time.perf_counter() - start) / count * 1e6:.2f} µs")


def _measure_durability(console: Console, topology: Topology, table: Table, overload: float) -> None:
    for width in (None, 43, 14):
        used = table
        if width is not None:
            used = place(
                topology,
                part_power=PART_POWER,
                replicas=REPLICAS,
                overload=overload,
                scatter_width=width,
                seed=SEED,
            )
        chance = loss_chance(used, len(topology), 0.01)
        console.print(
            f"scatter width {width or 'unbounded'}: {chance:.1%} of {TRIALS} deaths of 1% lose something"
        )


if __name__ == "__main__":
    main()
