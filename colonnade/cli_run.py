"""The commands that run a colony and stay: `colonnade up` and `colonnade node`."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from colonnade.cli_frame import data_option, told_errors
from colonnade.endpoints import banner
from colonnade.folder import Folder, open_folder
from colonnade.founding import LOOPBACK, Wishes, found_colony
from colonnade.joining import JoinWishes, enter_step, make_joining_node
from colonnade.journal import Echo
from colonnade.node import Node, Prepare
from colonnade.node_config import read_settings
from colonnade.nodes import run_nodes
from colonnade.process import Launch, die_with, exit_words, start_process
from colonnade.slot import StartFailed, last_words
from ring import loader

DEFAULT_PORT: Final = 8080

Serving = Callable[[Mapping[str, Any]], None]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_PORT = click.IntRange(0, 65535)


def _bind_to(ctx: click.Context, param: click.Parameter, parent_pid: int | None) -> None:
    if parent_pid is not None:
        die_with(parent_pid)()


# For whoever starts a colony and must not leave it behind when killed: tests and benches.
_DIE_WITH = click.option("--die-with", type=int, hidden=True, expose_value=False, callback=_bind_to)


@click.command()
@data_option
@click.option(
    "--devices", type=click.IntRange(1, 256), default=4, show_default=True, help="Devices of each node."
)
@click.option(
    "--nodes", type=click.IntRange(1, 16), default=1, show_default=True, help="Nodes, all on this machine."
)
@click.option("--port", type=_PORT, help=f"Port of both APIs, 0 for any.  [default: {DEFAULT_PORT}]")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option(
    "--workers", type=click.IntRange(0, 256), default=0, help="Proxy workers.  [default: one per core]"
)
@click.option(
    "--part-power", type=click.IntRange(1, 24), help="2^N partitions, for ever.  [default: by devices]"
)
@click.option(
    "--tls-port", type=_PORT, help="Serve HTTPS there too, 0 for any, by a self-signed certificate."
)
@click.option("--domain", "domains", multiple=True, help="Serve buckets as BUCKET.DOMAIN too; repeatable.")
@click.option("--quiet", is_flag=True, help="Print nothing while it runs.")
@_DIE_WITH
def up(data: Path, port: int | None, part_power: int | None, quiet: bool, **options: Any) -> None:
    """Start the colony of a data folder, making it at the first time, and keep it running.

    Devices, nodes and partitions are chosen when the colony is made; later starts keep them. Ctrl-C
    stops it cleanly, a second one at once. SIGHUP replaces every process without losing a request.
    """
    with told_errors():
        first_start = not Folder(data.resolve()).config.exists()
        if first_start:
            wishes = Wishes(
                port=DEFAULT_PORT if port is None else port, part_power=part_power or 0, **options
            )
            folders = found_colony(data, wishes)
        else:
            first = open_folder(data)
            folders = [first, *first.further_nodes()]
            _refuse_changes(folders)
        serving = _teller(first_start=first_start, quiet=quiet)
        echo = Echo.NONE if quiet else Echo.TERMINAL
        if len(folders) > 1:
            asyncio.run(run_nodes(folders, echo=echo, serving=serving))
            return
        _run(folders[0], first_admin_step(folders[0]), echo, serving, port=port)


def _refuse_changes(folders: Sequence[Folder]) -> None:
    """Refuse options that only a first start can follow, rather than pass over what was asked for."""
    ctx = click.get_current_context()
    settings = read_settings(folders[0].config)
    # Any port, as 0 asks for, is the one that was chosen at the first start.
    any_tls = ctx.params["tls_port"] == 0 and settings.tls.certificate
    has: dict[str, object] = {
        "tls_port": (0 if any_tls else settings.tls.port) if settings.tls.certificate else "none",
        "domains": settings.proxy.s3_domains,
        "devices": sum(path.is_dir() for path in folders[0].devices.iterdir()),
        "nodes": len(folders),
        "part_power": loader.load(folders[0].ring).part_power,
    }
    for name, there in has.items():
        asked = ctx.params[name]
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and asked != there:
            option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
            raise click.UsageError(
                f"{option} {asked} is for a first start, and the colony in {folders[0].root} has {there}; "
                f"{_INSTEAD[name]}, or name another folder with --data"
            )


_OPTIONS: Final = {"domains": "--domain"}
_INSTEAD: Final = {
    "tls_port": "set tls.port, tls.certificate and tls.key in its settings",
    "domains": "set proxy.s3_domains in its settings",
    "devices": "add devices as docs/operations.md says",
    "nodes": "add nodes with `colonnade node --join`",
    "part_power": "it is for ever",
}


@click.command()
@data_option
@click.option("--join", metavar="ADDRESS", help="Join the colony whose node answers there, tcp:HOST:PORT.")
@click.option("--cluster-key", type=_FILE, help="The colony's cluster.key; only to join.")
@click.option("--devices", type=click.IntRange(1, 256), default=4, show_default=True, help="Only to join.")
@click.option("--name", default="", help="Name of the node.  [default: that of its folder]; only to join.")
@click.option("--zone", default="", help="What fails together with it.  [default: its name]; only to join.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on; only to join.")
@click.option("--port", type=_PORT, default=0, help="Port of both APIs, 0 for any; only to join.")
@click.option("--workers", type=click.IntRange(0, 256), default=0, help="Proxy workers; only to join.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--quiet", is_flag=True, help="Print nothing while it runs.")
@_DIE_WITH
def node(
    data: Path, join: str | None, cluster_key: Path | None, ready_fd: int | None, quiet: bool, **options: Any
) -> None:
    """Run one node of a colony; with --join, add it to a colony first.

    The node that joins needs a copy of the colony's cluster.key. `colonnade up` prints the address to join.
    """
    with told_errors():
        if join is not None and not Folder(data.resolve()).config.exists():
            if cluster_key is None:
                raise click.UsageError("--join needs --cluster-key, a copy of DATA/cluster.key of the colony")
            asyncio.run(make_joining_node(data, JoinWishes(join, cluster_key, **options)))
        folder = open_folder(data)
        prepare = first_admin_step(folder) if join is None else enter_step(folder, join)
        serving = _teller(first_start=False, quiet=quiet)

        def ready(endpoints: Mapping[str, Any]) -> None:
            if ready_fd is not None:
                os.write(ready_fd, b"{}\n")
                os.close(ready_fd)
            serving(endpoints)

        _run(folder, prepare, Echo.NONE if quiet else Echo.TERMINAL, ready)


def _run(
    folder: Folder, prepare: Prepare | None, echo: Echo, serving: Serving, *, port: int | None = None
) -> None:
    settings = read_settings(folder.config)
    if port:
        # For this run; at the first start it is what the settings say already.
        settings = replace(settings, proxy=replace(settings.proxy, port=port))

    async def run() -> None:
        await Node(folder, settings, echo=echo).run(prepare=prepare, serving=serving)

    asyncio.run(run())


def first_admin_step(folder: Folder) -> Prepare | None:
    """Return what makes the first administrator, on the node that made the colony and until it is done."""
    done = folder.admin.with_suffix(".done")
    if not folder.ring_key.exists() or done.exists():
        return None

    async def prepare() -> None:
        log = folder.log / "first-admin.log"
        command = (sys.executable, "-m", "colonnade.first_admin", "--data", str(folder.root))
        process = start_process(Launch(command, log=log))
        status = await process.exited
        if status != 0:
            raise StartFailed(f"the first administrator was not made ({exit_words(status)}){last_words(log)}")
        done.touch()

    return prepare


def _teller(*, first_start: bool, quiet: bool) -> Serving:
    def tell(endpoints: Mapping[str, Any]) -> None:
        if not quiet:
            click.echo(banner(endpoints, first_start=first_start, command=_own_command()))

    return tell


def _own_command() -> str:
    """Return how this command is called again from where the caller stands."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m colonnade"
    if shutil.which(called.name) == str(called.resolve()):
        return called.name
    return shlex.quote(str(called))
