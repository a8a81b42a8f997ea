"""`colonnade user` adds, shows, changes and removes users and keys."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from colonnade import users
from proxy.identity.directory import Directory
from proxy.operations.colony import Colony
from tests.unit.proxy.swift.fake_colony import FakeColony

KEY = b"c" * 32


class Bench:
    """The commands over a colony in memory."""

    def __init__(self) -> None:
        self.fake = FakeColony()

    def run(self, *arguments: str, stdin: str = "", status: int = 0) -> Result:
        """Run `colonnade user` with these arguments."""
        result = CliRunner().invoke(users.user, arguments, input=stdin)
        assert result.exit_code == status, result.output
        return result

    def json(self, *arguments: str) -> Any:
        """Return what a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def signs_in(self, user_id: str, password: str) -> bool:
        """Return whether the password is the user's."""
        directory = Directory(cast(Colony, self.fake), KEY)
        return asyncio.run(directory.authenticate(user_id, password)) is not None


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """A colony that the commands find in whatever folder they are told."""
    found = Bench()

    @asynccontextmanager
    async def open_fake(data: Path) -> AsyncIterator[Colony]:
        yield cast(Colony, found.fake)

    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path))
    monkeypatch.setattr(users, "open_colony", open_fake)
    monkeypatch.setattr(users, "open_folder", lambda data: SimpleNamespace(cluster_key=data))
    monkeypatch.setattr(users, "read_cluster_key", lambda path: KEY)
    return found


def test_a_user_is_added_with_a_password_drawn_for_it(bench: Bench) -> None:
    made = bench.json("add", "acct:ann", "--admin", "--name", "Ann", "--key")
    assert (made["user"], made["roles"], made["name"]) == ("acct:ann", ["admin"], "Ann")
    assert bench.signs_in("acct:ann", made["password"])
    assert made["access_key"]
    shown = bench.json("show", "acct:ann")
    assert shown["keys"] == [made["access_key"]]
    assert made["password"] not in json.dumps(shown)


def test_a_password_may_be_given_or_read(bench: Bench) -> None:
    bench.run("add", "acct:ann", "--password", "one")
    assert bench.signs_in("acct:ann", "one")
    bench.run("passwd", "acct:ann", "--password-stdin", stdin="two\n")
    assert bench.signs_in("acct:ann", "two")
    assert not bench.signs_in("acct:ann", "one")


def test_users_are_listed_in_a_table_or_as_json(bench: Bench) -> None:
    assert bench.run("list").output == "There are no users.\n"
    bench.run("add", "b:x", "--role", "service", "--role", "admin", "--password", "p")
    bench.run("add", "a:x", "--password", "p", "--expires", "2001-01-01")
    table = bench.run("list").output.splitlines()
    assert table[0].split() == ["USER", "ROLES", "CREATED", "STANDING", "NAME"]
    assert table[1].startswith("a:x")
    assert "expired" in table[1]
    assert "admin, service" in table[2]
    assert [one["user"] for one in bench.json("list", "--account", "b")] == ["b:x"]


def test_a_user_is_changed(bench: Bench) -> None:
    bench.run("add", "a:x", "--password", "p")
    changed = bench.json("set", "a:x", "--role", "admin", "--expires", "30d", "--disable")
    assert (changed["roles"], changed["standing"]) == (["admin"], "disabled")
    assert not bench.signs_in("a:x", "p")
    assert bench.json("set", "a:x", "--enable", "--expires", "never")["standing"] == "active"
    assert bench.signs_in("a:x", "p")
    assert "nothing to set" in bench.run("set", "a:x", status=2).output
    assert "neither" in bench.run("set", "a:x", "--expires", "someday", status=2).output


def test_keys_come_and_go(bench: Bench) -> None:
    bench.run("add", "a:x", "--password", "p")
    chosen = bench.json("key", "add", "a:x", "--id", "a:x", "--secret", "testing", "--description", "tests")
    assert chosen == {"user": "a:x", "access_key": "a:x", "secret_key": "testing"}
    drawn = bench.json("key", "add", "a:x")
    assert {one["access_key"] for one in bench.json("key", "list", "a:x")} == {"a:x", drawn["access_key"]}
    assert "testing" not in bench.run("key", "list").output
    bench.run("key", "remove", "a:x")
    assert [one["access_key"] for one in bench.json("key", "list")] == [drawn["access_key"]]


def test_a_removed_user_is_gone_with_its_keys(bench: Bench) -> None:
    bench.run("add", "a:x", "--password", "p", "--key")
    assert bench.run("remove", "a:x").output == "removed a:x\n"
    assert bench.json("list") == []
    assert bench.json("key", "list") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "a:nobody"),
        ("remove", "a:nobody"),
        ("passwd", "a:nobody", "--password", "p"),
        ("key", "add", "a:nobody"),
        ("key", "remove", "absent"),
        ("add", "no-colon", "--password", "p"),
    ],
)
def test_what_cannot_be_done_is_told_and_fails(bench: Bench, arguments: tuple[str, ...]) -> None:
    assert bench.run(*arguments, status=1).stderr.startswith("colonnade: ")
    assert "error" in json.loads(bench.run(*arguments, "--json", status=1).stderr)
