"""`colonnade keys` adds, lists, rotates, shuts off, removes, and copies master keys."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from colonnade import keys
from proxy.operations.colony import Colony
from tests.unit.proxy.s3.memory_colony import MemoryColony


class Bench:
    """The commands over a colony in memory."""

    def __init__(self) -> None:
        self.colony = MemoryColony(0)

    def run(self, *arguments: str, stdin: str = "", status: int = 0) -> Result:
        """Run `colonnade keys` with these arguments."""
        result = CliRunner().invoke(keys.keys, arguments, input=stdin)
        assert result.exit_code == status, result.output
        return result

    def json(self, *arguments: str) -> Any:
        """Return what a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """A colony that the commands find in whatever folder they are told."""
    found = Bench()

    @asynccontextmanager
    async def open_fake(data: Path) -> AsyncIterator[Colony]:
        yield cast(Colony, found.colony)

    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path))
    monkeypatch.setattr(keys, "open_colony", open_fake)
    monkeypatch.setattr(keys, "open_folder", lambda data: SimpleNamespace(cluster_key=data))
    monkeypatch.setattr(keys, "read_cluster_key", lambda path: b"c" * 32)
    return found


def test_keys_are_added_and_listed_in_a_table_or_as_json(bench: Bench) -> None:
    assert bench.run("list").output == "There are no keys.\n"
    made = bench.json("add", "testkey-1", "--description", "of the tests")
    bench.run("add", "testkey-2")
    assert (made["key"], made["standing"]) == ("testkey-1", "enabled")
    assert [one["key"] for one in bench.json("list")] == ["testkey-1", "testkey-2"]
    table = bench.run("list").output
    assert "testkey-1" in table
    assert "of the tests" in table
    assert "exists" in bench.run("add", "testkey-1", status=1).output


def test_a_rotation_shows_the_version_in_use(bench: Bench) -> None:
    first = bench.json("add", "k")
    second = bench.json("rotate", "k")
    shown = bench.json("show", "k")
    assert shown["version"] == second["version"] != first["version"]
    assert {one["version"] for one in shown["versions"]} == {first["version"], second["version"]}
    rows = bench.run("show", "k").output
    assert rows.count("in use") == rows.count("for reading") == 1


def test_a_key_is_removed_only_when_it_is_disabled_and_one_is_sure(bench: Bench) -> None:
    bench.run("add", "k")
    bench.run("remove", "k", "--yes", status=1)
    assert bench.json("disable", "k")["standing"] == "disabled"
    bench.run("remove", "k", stdin="n\n", status=1)
    assert bench.json("enable", "k")["standing"] == "enabled"
    bench.run("disable", "k")
    assert bench.json("remove", "k", "--yes") == {"removed": "k"}
    assert bench.json("list") == []
    assert "has no such key" in bench.run("show", "k", status=1).output


def test_keys_come_back_from_a_copy(bench: Bench, tmp_path: Path) -> None:
    bench.run("add", "k")
    bench.run("rotate", "k")
    before = bench.json("show", "k")
    copy = tmp_path / "keys.json"
    assert bench.json("export", str(copy)) == {"file": str(copy), "keys": 1}
    assert copy.stat().st_mode & 0o777 == 0o600
    bench.run("disable", "k")
    bench.run("remove", "k", "--yes")
    bench.run("import", str(copy))
    assert bench.json("show", "k") == before
    # Nothing that is there is replaced.
    bench.run("disable", "k")
    bench.run("import", str(copy))
    assert bench.json("show", "k")["standing"] == "disabled"


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{}]}']
)
def test_what_is_no_copy_is_refused(bench: Bench, tmp_path: Path, content: str) -> None:
    copy = tmp_path / "keys.json"
    copy.write_text(content)
    assert "copy" in bench.run("import", str(copy), status=1).output
