"""The commands that bring a changed ring file to the nodes: `colonnade ring push`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from colonnade.cli_frame import data_option, emit, json_option, told_errors
from colonnade.folder import open_folder
from colonnade.ring_change import publish


@click.group()
def ring() -> None:
    """Bring the ring that `ringctl` made to the nodes.

    Change DATA/colony.ring by `ringctl`, on the node that made the colony; then push it.
    """


@ring.command()
@data_option
@json_option
def push(data: Path, as_json: bool) -> None:
    """Have every node adopt the version in DATA/colony.ring; replicas then move, under load."""
    with told_errors(as_json=as_json):
        done = asyncio.run(publish(open_folder(data)))
        if as_json:
            emit(
                {
                    "version": done.version,
                    "newest": done.newest,
                    "adopted": done.adopted,
                    "missed": done.missed,
                }
            )
            return
        click.echo(f"Ring version {done.version} is adopted by {', '.join(done.adopted)}.")
        if done.missed:
            click.echo(f"Not reached: {', '.join(done.missed)}; they adopt it when they are back.")
        if done.newest > done.version:
            click.echo(f"Push again when it has settled: the file is at version {done.newest}.")
        click.echo("`colonnade status --watch` shows how far the replicas have moved.")
