"""How listings scale: `python -m bench.listing --names 1000000`, against a colony that runs on this machine.

It loads a container of many names and one of few through the Swift API, going on where an earlier run left
off, then asks both for the same kinds of pages, in turn, and prints medians, server CPU and ratios.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time_ns
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.cpu import process_tree, read_cpu
from bench.listing_pages import Container, Place, asks, listed_in, places
from bench.load_async import drive
from bench.plan import Endpoint, Plan, Repeat, Request, Targets
from bench.proc_text import parse_rss_bytes
from bench.processes import StoreFailed
from bench.sigv4 import S3Keys
from bench.store import s3_endpoint, swift_endpoint
from bench.workload import Api, Operation

_CHUNK = 20_000
_ATTEMPTS = 5
_TIMEOUT_S = 120.0
_EXIT_FAILED = 1


@dataclass(frozen=True, slots=True)
class Colony:
    """A colony that runs on this machine: how to reach it, and its processes by role."""

    found: dict[str, Any]

    @classmethod
    def at(cls, data: Path) -> Colony:
        """Read where a colony serves from its data folder. Raises StoreFailed."""
        path = data / "run" / "endpoints.json"
        try:
            return cls(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise StoreFailed(f"{path}: no colony runs there ({error})") from error

    def endpoint(self, api: Api) -> Endpoint:
        """An API of the colony, with a fresh token. Raises StoreFailed."""
        found = self.found
        if api is Api.S3:
            return s3_endpoint(found["s3"], S3Keys(found["access_key"], found["secret_key"]))
        return swift_endpoint(found["swift"], user=found["swift_user"], key=found["swift_key"])

    @property
    def supervisor(self) -> int:
        """The process id from which all others descend."""
        return int(self.found["pids"]["supervisor"])

    def memory_mib(self) -> dict[str, float]:
        """Resident memory by role, summed over its processes."""
        roles = {
            pid: role for role, pids in self.found["pids"].items() if role != "supervisor" for pid in pids
        }
        mib: dict[str, float] = dict.fromkeys(roles.values(), 0.0)
        for stat in process_tree([self.supervisor]):
            if stat.pid in roles:
                text = Path(f"/proc/{stat.pid}/status").read_text(errors="replace")
                mib[roles[stat.pid]] += parse_rss_bytes(text) / 2**20
        return mib


@dataclass(frozen=True, slots=True)
class Row:
    """What one kind of page costs in one container: medians over the pages asked for."""

    api: str
    place: str
    container: str
    names: int
    median_ms: float
    server_cpu_ms: float


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def load(colony: Colony, container: Container, *, connections: int) -> None:
    """Bring a container to what it should hold. Raises StoreFailed."""
    endpoint = colony.endpoint(Api.SWIFT)
    _one(endpoint, "PUT", f"{endpoint.base_path}/{container.title}")
    left = container.names - container.deleted
    held = _held(endpoint, container)
    if held != left:
        # Chunks go one after the other, each until nothing of it failed: what is counted is a prefix of them.
        first = 0 if container.deleted else max(0, held // _CHUNK - 1) * _CHUNK
        _send_all(colony, container, Operation.PUT, range(first, container.names), connections)
        if container.deleted:
            _send_all(colony, container, Operation.DELETE, range(container.deleted), connections)
        held = _held(endpoint, container)
    if held != left:
        raise StoreFailed(f"{container.title} holds {held:,} names and should hold {left:,}: delete it")


def _held(endpoint: Endpoint, container: Container) -> int:
    headers, _ = _one(endpoint, "HEAD", f"{endpoint.base_path}/{container.title}")
    return int(headers["X-Container-Object-Count"] or 0)


def _one(endpoint: Endpoint, method: str, target: str) -> tuple[http.client.HTTPMessage, bytes]:
    """Send one request and return headers and body. Raises StoreFailed."""
    headers = dict(Targets(endpoint, now_ms=0).headers)
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise StoreFailed(f"{method} {target}: {error}") from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise StoreFailed(f"{method} {target}: answered {response.status}")
    return response.headers, body


def _send_all(
    colony: Colony, container: Container, operation: Operation, steps: range, connections: int
) -> None:
    words = "loading" if operation is Operation.PUT else "deleting"
    with _progress() as progress:
        task = progress.add_task(f"{words} {container.title}", total=steps.stop, completed=steps.start)
        for first in range(steps.start, steps.stop, _CHUNK):
            last = min(first + _CHUNK, steps.stop)
            _send_chunk(colony, container, operation, range(first, last), connections)
            progress.update(task, completed=last)


def _send_chunk(
    colony: Colony, container: Container, operation: Operation, steps: range, connections: int
) -> None:
    for _ in range(_ATTEMPTS):
        endpoint = colony.endpoint(Api.SWIFT)
        targets = Targets(endpoint, now_ms=0)
        name_at = container.scattered if operation is Operation.PUT else container.name
        requests = tuple(
            Request(operation, targets.item(operation.method, container.title, name_at(step)))
            for step in steps
        )
        plan = Plan(endpoint, requests, targets.headers, b"", Repeat.ONCE)
        found = drive(plan, connections=connections, duration_s=None)
        gone = sum(count for words, count in found.errors.items() if words == "DELETE answered 404")
        if found.requests + gone == len(requests):
            return
    raise StoreFailed(f"{container.title}: {dict(found.errors)}")


def measure(
    colony: Colony, containers: Sequence[Container], *, count: int, rounds: int, say: Callable[[str], None]
) -> list[Row]:
    """Measure every kind of page on all containers in turn, so that a slow spell falls on each of them.

    Raises StoreFailed where an answer is wrong.
    """
    rows = []
    for api in (Api.S3, Api.SWIFT):
        for place in places(api):
            say(f"{api.value}: {place.value}")
            plans = [_plan(colony.endpoint(api), one, place, count) for one in containers]
            latencies: list[list[float]] = [[] for _ in plans]
            costs: list[list[float]] = [[] for _ in plans]
            for _ in range(rounds):
                for index, plan in enumerate(plans):
                    before = read_cpu([colony.supervisor])
                    found = drive(plan, connections=1, duration_s=None)
                    after = read_cpu([colony.supervisor])
                    if found.errors or not found.requests:
                        raise StoreFailed(f"{api.value} {place.value}: {dict(found.errors)}")
                    latencies[index].append(found.latency.p50_ms)
                    costs[index].append((after.cpu_us - before.cpu_us) / 1000 / found.requests)
            rows += [
                Row(
                    api.value,
                    place.value,
                    one.title,
                    one.names - one.deleted,
                    statistics.median(latencies[index]),
                    statistics.median(costs[index]),
                )
                for index, one in enumerate(containers)
            ]
    return rows


def _plan(endpoint: Endpoint, container: Container, place: Place, count: int) -> Plan:
    """Return the listings of a place, the first of them checked. Raises StoreFailed."""
    targets = Targets(endpoint, now_ms=time_ns() // 1_000_000)
    wanted = asks(container, place, endpoint.api, count=count)
    requests = tuple(
        Request(Operation.LIST, targets.query("GET", container.title, dict(ask.query))) for ask in wanted
    )
    _, body = _one(endpoint, "GET", requests[0].target)
    listed = listed_in(endpoint.api, body)
    if listed != wanted[0].expected:
        raise StoreFailed(
            f"{endpoint.api.value} {place.value} of {container.title}: {len(listed)} names, "
            f"{listed[:1]} to {listed[-1:]}, where {len(wanted[0].expected)} were expected"
        )
    return Plan(endpoint, requests, targets.headers, b"", Repeat.ONCE)


def show(console: Console, rows: Sequence[Row], *, small: Container) -> None:
    """Print a line for each kind of page: each container's figures, and how many times the small one's."""
    table = Table(box=None, pad_edge=False)
    for name in ("api", "page", "container"):
        table.add_column(name, no_wrap=True)
    for name in ("names", "median ms", "ratio", "server CPU ms", "ratio"):
        table.add_column(name, justify="right")
    base = {(row.api, row.place): row for row in rows if row.container == small.title}
    for row in rows:
        of = base[row.api, row.place]
        times = f"{row.median_ms / of.median_ms:.2f}" if of.median_ms else ""
        cost = f"{row.server_cpu_ms / of.server_cpu_ms:.2f}" if of.server_cpu_ms else ""
        table.add_row(
            row.api,
            row.place,
            row.container,
            f"{row.names:,}",
            f"{row.median_ms:.2f}",
            times,
            f"{row.server_cpu_ms:.2f}",
            cost,
        )
    console.print(table)


def _tell_memory(console: Console, words: str, mib: dict[str, float]) -> None:
    console.print(f"memory {words}: " + ", ".join(f"{role} {size:,.0f} MiB" for role, size in mib.items()))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lambda: os.environ.get("COLONNADE_DATA", "data"),
    help="Data folder of a colony that runs here.  [default: $COLONNADE_DATA or data]",
)
@click.option("--names", type=click.IntRange(min=1_000), default=1_000_000, show_default=True)
@click.option("--beside", type=click.IntRange(min=1_000), default=10_000, show_default=True)
@click.option(
    "--deleted",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Measure a container of the smaller size too, after so many names before its first were deleted.",
)
@click.option(
    "--connections", type=click.IntRange(1, 256), default=32, show_default=True, help="For loading."
)
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Pages per round.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and no table.")
def main(*, data: Path, names: int, beside: int, deleted: int, as_json: bool, **options: int) -> None:
    """Load containers of many and of few names and compare what a page of 1,000 costs in each."""
    told = Console(stderr=True, highlight=False)
    try:
        small = Container(beside)
        containers = [small, Container(names)]
        if deleted:
            containers.append(Container(deleted + beside, deleted))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        colony = Colony.at(data)
        before = colony.memory_mib()
        for container in containers:
            load(colony, container, connections=options["connections"])
        loaded = colony.memory_mib()
        with told.status("") as status:
            rows = measure(
                colony, containers, count=options["count"], rounds=options["rounds"], say=status.update
            )
    except StoreFailed as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(_EXIT_FAILED)
    memory = {"before": before, "loaded": loaded, "measured": colony.memory_mib()}
    if as_json:
        click.echo(json.dumps({"rows": [asdict(row) for row in rows], "memory_mib": memory}, indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    show(console, rows, small=small)
    for words, mib in memory.items():
        _tell_memory(console, words, mib)


if __name__ == "__main__":
    main()
