"""The commands `colonnade user …`: users and S3 keys, changed in the colony itself."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from colonnade.cli_frame import data_option, emit, json_option, told_errors
from colonnade.client import open_colony
from colonnade.folder import open_folder
from kit.cluster_key import read_cluster_key
from proxy.dates import parse_iso
from proxy.identity.directory import Directory, KeyRow
from proxy.identity.sealing import random_secret
from proxy.identity.users import ADMIN, MEMBER, ROLES, S3Key, User

Result = TypeVar("Result")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


class _Moment(click.ParamType[int]):
    """A moment, or a time from now; seconds since the epoch, 0 for `never`."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        if text == "never":
            return 0
        if text[:-1].isdigit() and text[-1:] in _UNITS_S:
            return int(time.time()) + int(text[:-1]) * _UNITS_S[text[-1]]
        moment_ms = parse_iso(text.upper())
        if moment_ms is None:
            self.fail(f"{value!r} is neither `never`, nor like 30d or 12h, nor an ISO date", param, ctx)
        return moment_ms // 1000


_MOMENT = _Moment()


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every command is told: where the colony is, and how to print."""

    data: Path
    as_json: bool

    def run(self, work: Callable[[Directory], Awaitable[Result]]) -> Result:
        """Return what comes of work on the colony's directory; errors end the command."""
        with told_errors(as_json=self.as_json):
            return asyncio.run(self._connected(work))

    async def _connected(self, work: Callable[[Directory], Awaitable[Result]]) -> Result:
        key = read_cluster_key(open_folder(self.data).cluster_key)
        async with open_colony(self.data) as colony:
            return await work(Directory(colony, key))


@click.group()
def user() -> None:
    """Users and their S3 keys. A user is named ACCOUNT:NAME."""


@user.command("add")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@click.option("--password", help="Drawn at random where neither this nor --password-stdin is given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    help=f"One of {', '.join(ROLES)}, or a group for ACLs; repeatable.  [default: {MEMBER}]",
)
@click.option("--admin", is_flag=True, help=f"The same as --role {ADMIN}: owns the account.")
@click.option("--name", "display_name", default="", help="Shown as the owner of buckets.")
@click.option("--email", default="", help="By which ACLs may name the user; one user's only.")
@click.option(
    "--expires", "expires_s", type=_MOMENT, default="never", help="30d, 12h, an ISO date, or never."
)
@click.option("--key", "with_key", is_flag=True, help="Make an S3 key too.")
@data_option
@json_option
def add(
    user_id: str,
    password: str | None,
    password_stdin: bool,
    roles: tuple[str, ...],
    admin: bool,
    data: Path,
    as_json: bool,
    with_key: bool,
    **details: Any,
) -> None:
    """Add a user."""
    chosen = _chosen_password(password, password_stdin) or random_secret()
    wanted = (*roles, *([ADMIN] if admin else [])) or (MEMBER,)

    async def work(directory: Directory) -> tuple[User, S3Key | None]:
        made = await directory.add_user(user_id, chosen, roles=wanted, **details)
        return made, await directory.add_key(user_id) if with_key else None

    made, key = _Frame(data, as_json).run(work)
    shown = {**_plain_user(made), "password": chosen}
    if key is not None:
        shown |= {"access_key": key.id, "secret_key": key.secret}
    _show(shown, as_json=as_json, notice="The password is shown only now." if password is None else "")


@user.command("list")
@click.option("--account", default="", help="Only the users of this account.")
@data_option
@json_option
def list_users(account: str, data: Path, as_json: bool) -> None:
    """List the users."""
    found = _Frame(data, as_json).run(lambda directory: directory.users(account))
    if as_json:
        emit([_plain_user(one) for one in found])
        return
    rows = [
        (one.id, ", ".join(sorted(one.roles)), _moment(one.created_s), _standing(one), one.display_name)
        for one in found
    ]
    _print_table(("USER", "ROLES", "CREATED", "STANDING", "NAME"), rows, nothing="There are no users.")


@user.command("show")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@data_option
@json_option
def show(user_id: str, data: Path, as_json: bool) -> None:
    """Show one user and its S3 keys."""

    async def work(directory: Directory) -> tuple[User, list[KeyRow]]:
        return await directory.find_user(user_id), await directory.keys(user_id)

    found, keys = _Frame(data, as_json).run(work)
    plain = _plain_user(found)
    plain["keys"] = [row.id for row in keys] if as_json else ", ".join(row.id for row in keys) or "none"
    _show(plain, as_json=as_json)


@user.command("remove")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@data_option
@json_option
def remove(user_id: str, data: Path, as_json: bool) -> None:
    """Remove a user and its S3 keys; what it stored stays."""
    _Frame(data, as_json).run(lambda directory: directory.remove_user(user_id))
    _say(f"removed {user_id}", {"removed": user_id}, as_json=as_json)


@user.command("passwd")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@click.option("--password", help="Drawn at random where neither this nor --password-stdin is given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
@json_option
def passwd(user_id: str, password: str | None, password_stdin: bool, data: Path, as_json: bool) -> None:
    """Set a user's password; its tokens end."""
    chosen = _chosen_password(password, password_stdin) or random_secret()
    _Frame(data, as_json).run(lambda directory: directory.set_password(user_id, chosen))
    _show({"user": user_id, "password": chosen}, as_json=as_json)


@user.command("set")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@click.option("--role", "roles", multiple=True, help="All roles from now on; repeatable.")
@click.option("--expires", type=_MOMENT, help="30d, 12h, an ISO date, or never.")
@click.option("--email", help="By which ACLs may name the user; empty for none.")
@click.option("--disable", "standing", flag_value="disabled", help="Shut the user out, tokens and keys too.")
@click.option("--enable", "standing", flag_value="enabled", help="Let the user in again.")
@data_option
@json_option
def set_user(
    user_id: str,
    roles: tuple[str, ...],
    expires: int | None,
    email: str | None,
    standing: str | None,
    data: Path,
    as_json: bool,
) -> None:
    """Change a user's roles, expiry, e-mail address or standing."""
    if not roles and expires is None and email is None and standing is None:
        raise click.UsageError("nothing to set: name --role, --expires, --email, --disable or --enable")

    async def work(directory: Directory) -> User:
        if roles:
            await directory.set_roles(user_id, roles)
        if expires is not None:
            await directory.set_expiry(user_id, expires)
        if email is not None:
            await directory.set_email(user_id, email)
        if standing == "disabled":
            await directory.disable_user(user_id)
        if standing == "enabled":
            await directory.enable_user(user_id)
        return await directory.find_user(user_id)

    _show(_plain_user(_Frame(data, as_json).run(work)), as_json=as_json)


@user.group("key")
def key() -> None:
    """S3 access keys of users."""


@key.command("add")
@click.argument("user_id", metavar="ACCOUNT:NAME")
@click.option("--id", "key_id", default="", help="The access key, any text without spaces or slashes.")
@click.option("--secret", default="", help="The secret key.  [both are drawn at random by default]")
@click.option("--expires", type=_MOMENT, default="never", help="30d, 12h, an ISO date, or never.")
@click.option("--description", default="", help="What the key is for.")
@data_option
@json_option
def add_key(
    user_id: str, key_id: str, secret: str, expires: int, description: str, data: Path, as_json: bool
) -> None:
    """Add an S3 key to a user."""
    made = _Frame(data, as_json).run(
        lambda directory: directory.add_key(
            user_id, key_id=key_id, secret=secret, expires_s=expires, description=description
        )
    )
    shown = {"user": user_id, "access_key": made.id, "secret_key": made.secret}
    _show(shown, as_json=as_json, notice="" if secret else "The secret is shown only now.")


@key.command("list")
@click.argument("user_id", metavar="[ACCOUNT:NAME]", default="")
@data_option
@json_option
def list_keys(user_id: str, data: Path, as_json: bool) -> None:
    """List the S3 keys, of one user or of all."""
    found = _Frame(data, as_json).run(lambda directory: directory.keys(user_id))
    if as_json:
        emit([_plain_key(row) for row in found])
        return
    rows = [
        (row.id, row.user_id, _moment(row.created_s), _moment(row.expires_s), row.description)
        for row in found
    ]
    _print_table(
        ("ACCESS KEY", "USER", "CREATED", "EXPIRES", "DESCRIPTION"), rows, nothing="There are no keys."
    )


@key.command("remove")
@click.argument("key_id", metavar="ACCESS_KEY")
@data_option
@json_option
def remove_key(key_id: str, data: Path, as_json: bool) -> None:
    """Remove an S3 key; it stops working within two seconds."""
    _Frame(data, as_json).run(lambda directory: directory.remove_key(key_id))
    _say(f"removed {key_id}", {"removed": key_id}, as_json=as_json)


def _chosen_password(password: str | None, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return password or ""


def _plain_user(found: User) -> dict[str, Any]:
    return {
        "user": found.id,
        "roles": sorted(found.roles),
        "name": found.display_name,
        "email": found.email,
        "created": _moment(found.created_s),
        "expires": _moment(found.expires_s),
        "standing": _standing(found),
    }


def _plain_key(row: KeyRow) -> dict[str, str]:
    return {
        "access_key": row.id,
        "user": row.user_id,
        "created": _moment(row.created_s),
        "expires": _moment(row.expires_s),
        "description": row.description,
    }


def _standing(found: User) -> str:
    if found.disabled:
        return "disabled"
    return "active" if found.may_sign_in(time.time()) else "expired"


def _moment(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment_s else "never"


def _show(plain: dict[str, Any], *, as_json: bool, notice: str = "") -> None:
    if as_json:
        emit(plain)
        return
    width = max(map(len, plain))
    for name, value in plain.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        if text:
            click.echo(f"{name.replace('_', ' '):<{width}}  {text}")
    if notice:
        click.echo(notice, err=True)


def _say(text: str, plain: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        emit(plain)
    else:
        click.echo(text)


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    if not rows:
        click.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)
