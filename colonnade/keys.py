"""The commands `colonnade keys …`: master keys of encrypted objects, kept in the colony itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Table

from colonnade.cli_frame import data_option, emit, json_option, told_errors
from colonnade.client import open_colony
from colonnade.folder import open_folder
from kit.cluster_key import read_cluster_key
from model.errors import BadRequest
from proxy.encryption.local_keys import LocalKeys
from proxy.encryption.master_keys import KeyVersion, MasterKey, Standing
from proxy.encryption.sealed import OWN_KEY

Result = TypeVar("Result")

_COPY_FORMAT: Final = 1
_SECRET_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every command is told: where the colony is, and how to print."""

    data: Path
    as_json: bool

    def run(self, work: Callable[[LocalKeys], Awaitable[Result]]) -> Result:
        """Return what comes of work on the colony's master keys; errors end the command."""
        with told_errors(as_json=self.as_json):
            return asyncio.run(self._connected(work))

    async def _connected(self, work: Callable[[LocalKeys], Awaitable[Result]]) -> Result:
        cluster_key = read_cluster_key(open_folder(self.data).cluster_key)
        async with open_colony(self.data) as colony:
            return await work(LocalKeys(colony, cluster_key))


@click.group()
def keys() -> None:
    """Master keys of server-side encryption.

    Clients name them by id with aws:kms; `sse-s3` is the colony's own, for AES256. What is encrypted
    under a key that is lost cannot be read by anybody: keep the cluster key, and copies by `export`.
    """


@keys.command("list")
@data_option
@json_option
def list_keys(data: Path, as_json: bool) -> None:
    """List the master keys."""
    found = _Frame(data, as_json).run(lambda manager: manager.keys())
    if as_json:
        emit([_plain(one) for one in found])
        return
    rows = [
        (one.id, str(one.standing), _moment(one.created_s), _moment(one.rotated_s), one.description)
        for one in found
    ]
    _print_table(("KEY", "STANDING", "CREATED", "ROTATED", "DESCRIPTION"), rows, "There are no keys.")


@keys.command("show")
@click.argument("key_id", metavar="KEY")
@data_option
@json_option
def show(key_id: str, data: Path, as_json: bool) -> None:
    """Show a key and its versions; the one in use encrypts, the others only read."""

    async def work(manager: LocalKeys) -> tuple[MasterKey, list[KeyVersion]]:
        return await manager.find(key_id), await manager.versions(key_id)

    key, versions = _Frame(data, as_json).run(work)
    if as_json:
        plain = [{"version": one.version, "created": _moment(one.created_s)} for one in versions]
        emit({**_plain(key), "versions": plain})
        return
    _show(key)
    rows = [
        (one.version, _moment(one.created_s), "in use" if one.version == key.version else "for reading")
        for one in versions
    ]
    _print_table(("VERSION", "CREATED", ""), rows, "No version is left: what the key encrypted is lost.")


@keys.command("add")
@click.argument("key_id", metavar="KEY")
@click.option("--description", default="", help="What the key is for.")
@data_option
@json_option
def add(key_id: str, description: str, data: Path, as_json: bool) -> None:
    """Add a master key that clients may name."""
    _tell(
        _Frame(data, as_json).run(lambda manager: manager.add(key_id, description=description)),
        as_json=as_json,
    )


@keys.command("rotate")
@click.argument("key_id", metavar="KEY", default=OWN_KEY)
@data_option
@json_option
def rotate(key_id: str, data: Path, as_json: bool) -> None:
    """Encrypt under a new version of a key from now on.  [default: sse-s3]

    Proxies follow within two seconds. Older versions stay, for what was encrypted under them.
    """
    _tell(_Frame(data, as_json).run(lambda manager: manager.rotate(key_id)), as_json=as_json)


@keys.command("disable")
@click.argument("key_id", metavar="KEY")
@data_option
@json_option
def disable(key_id: str, data: Path, as_json: bool) -> None:
    """Shut a key off: nothing is written or read by it, within two seconds, until it is enabled."""
    _tell(
        _Frame(data, as_json).run(lambda manager: manager.set_standing(key_id, Standing.DISABLED)),
        as_json=as_json,
    )


@keys.command("enable")
@click.argument("key_id", metavar="KEY")
@data_option
@json_option
def enable(key_id: str, data: Path, as_json: bool) -> None:
    """Let a disabled key be used again."""
    _tell(
        _Frame(data, as_json).run(lambda manager: manager.set_standing(key_id, Standing.ENABLED)),
        as_json=as_json,
    )


@keys.command("remove")
@click.argument("key_id", metavar="KEY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@json_option
def remove(key_id: str, yes: bool, data: Path, as_json: bool) -> None:
    """Remove a disabled key: all that it encrypted is lost for good."""
    if not yes:
        click.confirm(f"All that {key_id} encrypted will be lost for good. Remove it?", abort=True, err=True)
    _Frame(data, as_json).run(lambda manager: manager.remove(key_id))
    if as_json:
        emit({"removed": key_id})
    else:
        click.echo(f"removed {key_id}")


@keys.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@json_option
def export(file: Path, data: Path, as_json: bool) -> None:
    """Write a copy of all keys to a file; only with the cluster key can anybody use it."""

    async def work(manager: LocalKeys) -> list[dict[str, Any]]:
        return [_copy(key, await manager.versions(key.id)) for key in await manager.keys()]

    copies = _Frame(data, as_json).run(work)
    with told_errors(as_json=as_json):
        _write(file, json.dumps({"version": _COPY_FORMAT, "keys": copies}, indent=1).encode())
    told = {"file": str(file), "keys": len(copies)}
    if as_json:
        emit(told)
    else:
        click.echo(f"{len(copies)} keys in {file}; keep it apart from the cluster key")


@keys.command("import")
@click.argument("file", type=click.File("rb"))
@data_option
@json_option
def import_keys(file: Any, data: Path, as_json: bool) -> None:
    """Put keys back from a copy, as far as the colony lacks them; nothing is replaced."""
    with told_errors(as_json=as_json):
        restored = _read_copies(file.read())

    async def work(manager: LocalKeys) -> None:
        for key, versions in restored:
            await manager.restore(key, versions)

    _Frame(data, as_json).run(work)
    if as_json:
        emit([_plain(key) for key, _ in restored])
    else:
        click.echo(f"{len(restored)} keys are there")


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _SECRET_MODE)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _copy(key: MasterKey, versions: Sequence[KeyVersion]) -> dict[str, Any]:
    return {
        "id": key.id,
        "version": key.version,
        "created_s": key.created_s,
        "rotated_s": key.rotated_s,
        "standing": str(key.standing),
        "description": key.description,
        "versions": [
            {"version": one.version, "created_s": one.created_s, "sealed": b64encode(one.sealed).decode()}
            for one in versions
        ],
    }


def _read_copies(content: bytes) -> list[tuple[MasterKey, list[KeyVersion]]]:
    try:
        plain = json.loads(content)
        if plain["version"] != _COPY_FORMAT:
            raise BadRequest(f"the copy is of form {plain['version']}, which is unknown here")
        return [(_read_key(one), _read_versions(one)) for one in plain["keys"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"this is no copy of master keys: {error!r}") from error


def _read_key(plain: dict[str, Any]) -> MasterKey:
    return MasterKey(
        str(plain["id"]),
        str(plain["version"]),
        int(plain["created_s"]),
        int(plain["rotated_s"]),
        Standing(plain["standing"]),
        str(plain["description"]),
    )


def _read_versions(plain: dict[str, Any]) -> list[KeyVersion]:
    return [
        KeyVersion(
            str(plain["id"]),
            str(one["version"]),
            int(one["created_s"]),
            b64decode(one["sealed"], validate=True),
        )
        for one in plain["versions"]
    ]


def _plain(key: MasterKey) -> dict[str, Any]:
    return {
        "key": key.id,
        "standing": str(key.standing),
        "version": key.version,
        "created": _moment(key.created_s),
        "rotated": _moment(key.rotated_s),
        "description": key.description,
    }


def _tell(key: MasterKey, *, as_json: bool) -> None:
    if as_json:
        emit(_plain(key))
    else:
        _show(key)


def _show(key: MasterKey) -> None:
    plain = _plain(key)
    width = max(map(len, plain))
    for name, value in plain.items():
        if value:
            click.echo(f"{name:<{width}}  {value}")


def _moment(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        click.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(file=sys.stdout, highlight=False, markup=False).print(table)
