"""The commands that ask or tell a running colony: status, restart, stop, env, config, version."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import platform
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from colonnade.cli_frame import Exit, data_option, emit, json_option, told_errors
from colonnade.control import RESTART_DEADLINE_MS, Control, ask_supervisor
from colonnade.endpoints import environment_lines
from colonnade.folder import Folder, FolderError, is_running, open_folder, read_json
from colonnade.node_config import read_settings
from colonnade.status import gather_status
from colonnade.status_view import render_status
from kit.cluster_key import read_cluster_key
from kit.config import describe
from kit.settings import Settings, with_absolute_paths
from ring import loader

_PIPED_COLUMNS: Final = 250
_WATCH_S: Final = 2.0
_STOP_WAIT_S: Final = 120.0


@click.command()
@data_option
@json_option
@click.option(
    "--watch",
    is_flag=True,
    help="Show it anew every two seconds, until Ctrl-C; with --json, one line each time.",
)
def status(data: Path, as_json: bool, watch: bool) -> None:
    """Tell how the colony is: devices, nodes, ring, what is out of step, processes.

    Exits with 1 where a device or a node is not well.
    """
    with told_errors(as_json=as_json):
        folder = open_folder(data)
        if watch:
            _watch(folder, as_json=as_json)
            return
        found = asyncio.run(gather_status(folder))
        if as_json:
            emit(found)
        else:
            # Into a pipe or a file goes what a script looks for: no line may break in its middle.
            width = None if sys.stdout.isatty() else _PIPED_COLUMNS
            Console(highlight=False, width=width).print(render_status(found))
        if not found["healthy"]:
            raise SystemExit(int(Exit.FAILED))


def _watch(folder: Folder, *, as_json: bool) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
    stop = threading.Event()
    # Else asyncio would cancel what is being gathered, and a call that ends at that moment swallows it.
    before = signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    try:
        while not stop.is_set():
            found = asyncio.run(gather_status(folder))
            if as_json:
                click.echo(json.dumps(found, ensure_ascii=False))
            else:
                console.clear()
                console.print(render_status(found))
            stop.wait(_WATCH_S)
    finally:
        signal.signal(signal.SIGINT, before)


@click.command()
@click.argument("role", default="")
@data_option
@json_option
def restart(role: str, data: Path, as_json: bool) -> None:
    """Replace processes by new ones, one after the other, without losing a request.

    ROLE is objectd, proxy, replicator or the name of one process (`proxy-1`); all without it. Nodes
    that live in the same data folder are taken in turn.
    """
    with told_errors(as_json=as_json):
        first = open_folder(data)
        done: dict[str, list[str]] = {}
        for folder in running_nodes(first):
            done[str(folder.root)] = asyncio.run(_restart(folder, role, as_json=as_json))
        if as_json:
            emit({"restarted": done})
            return
        for root, names in done.items():
            click.echo(f"Replaced {', '.join(names)} of {root}.")


def running_nodes(first: Folder) -> list[Folder]:
    """Return the nodes of a data folder that run. Raises FolderError where none does."""
    running = [folder for folder in (first, *first.further_nodes()) if is_running(folder)]
    if not running:
        raise FolderError(f"no colony runs at {first.root}; start it with `colonnade up --data {first.root}`")
    return running


async def _restart(folder: Folder, role: str, *, as_json: bool) -> list[str]:
    rows: list[dict[str, Any]] = (await ask_supervisor(folder, Control.STATUS))["processes"]
    names = [row["name"] for row in rows if role in ("", row["role"], row["name"])]
    if not names:
        known = sorted({row["role"] for row in rows} | {row["name"] for row in rows})
        raise click.BadParameter(f"{role!r} is none of: {', '.join(known)}", param_hint="ROLE")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=f"replacing {name}")
            await ask_supervisor(folder, Control.RESTART, name, deadline_ms=RESTART_DEADLINE_MS)
            progress.advance(task)
    return names


@click.command()
@data_option
@json_option
def stop(data: Path, as_json: bool) -> None:
    """Stop the nodes of a data folder cleanly, and wait until they have."""
    with told_errors(as_json=as_json):
        first = open_folder(data)
        running = running_nodes(first)
        # The further nodes first: what starts them again belongs to the first one's terminal.
        for folder in reversed(running):
            asyncio.run(_stop_one(folder))
        if as_json:
            emit({"stopped": [str(folder.root) for folder in running]})
        else:
            click.echo(f"Stopped: {', '.join(str(folder.root) for folder in running)}.")


async def _stop_one(folder: Folder) -> None:
    await ask_supervisor(folder, Control.STOP)
    give_up = time.monotonic() + _STOP_WAIT_S
    while is_running(folder):
        if time.monotonic() > give_up:
            raise FolderError(f"{folder.root} has not stopped within {_STOP_WAIT_S:g} s; see {folder.log}")
        await asyncio.sleep(0.05)


@click.command()
@data_option
@json_option
def env(data: Path, as_json: bool) -> None:
    """Print shell lines that let aws, swift and rclone (remote "colonnade:") speak to this colony.

    Use it as: eval "$(colonnade env)". It prints the first administrator's secrets.
    """
    with told_errors(as_json=as_json):
        folder = open_folder(data)
        endpoints = read_json(folder.endpoints) if is_running(folder) else None
        if endpoints is None:
            raise FolderError(
                f"no colony runs at {folder.root}; start it with `colonnade up --data {folder.root}`"
            )
        if as_json:
            emit(endpoints)
        else:
            click.echo("\n".join(environment_lines(endpoints)))


@click.group()
def config() -> None:
    """Show or check the settings of a node."""


@config.command("show")
@data_option
@json_option
def config_show(data: Path, as_json: bool) -> None:
    """Print every setting in effect, those of the file and those left at their defaults."""
    with told_errors(as_json=as_json):
        folder = open_folder(data)
        settings = read_settings(folder.config)
        defaults = with_absolute_paths(Settings(), folder.root)
        if as_json:
            emit(asdict(settings))
            return
        for section, _, declared in describe(Settings):
            click.echo(f"[{section}]")
            for one in declared:
                name = one.key.partition(".")[2]
                value = getattr(getattr(settings, section), name)
                mark = "" if value == getattr(getattr(defaults, section), name) else "   # set"
                click.echo(f"{name} = {json.dumps(value)}{mark}")
            click.echo("")


@config.command("check")
@data_option
@json_option
def config_check(data: Path, as_json: bool) -> None:
    """Say whether the settings, the cluster key and the ring of a node can be used."""
    with told_errors(as_json=as_json):
        folder = open_folder(data)
        settings = read_settings(folder.config)
        read_cluster_key(settings.cluster.key_file)
        ring = loader.load(settings.ring.file)
        if not any(device.node == settings.node.name for device in ring.devices.values()):
            raise FolderError(
                f"{settings.ring.file}: has no device of node {settings.node.name!r}; "
                f"mend node.name in {folder.config}, or let the node join"
            )
        if as_json:
            emit({"ok": True, "config": str(folder.config), "ring_version": ring.version})
        else:
            click.echo(f"{folder.config} is good; the ring is at version {ring.version}.")


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Tell which Colonnade this is."""
    found = {"colonnade": importlib.metadata.version("colonnade"), "python": platform.python_version()}
    if as_json:
        emit(found)
    else:
        click.echo(f"colonnade {found['colonnade']} (Python {found['python']})")
