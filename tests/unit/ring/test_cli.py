"""`ringctl` as operators and scripts meet it: each command, its JSON, its exit codes, its complaints."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ring import loader
from ring.cli import main
from ring.cli_frame import Exit

DEVICES = [f"r1/z{zone}/h{zone}/d{number}" for zone in range(3) for number in range(2)]


class Ringctl:
    """Runs commands on one ring in one folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "colony.ring"
        self.runner = CliRunner(env={"COLONNADE_RING": str(self.path), "COLUMNS": "160"})

    def __call__(self, *words: str, code: Exit = Exit.OK) -> Result:
        """Run a command and hold it to its exit code."""
        result = self.runner.invoke(main, list(words))
        assert result.exit_code == int(code), result.output
        return result

    def json(self, *words: str, code: Exit = Exit.OK) -> Any:
        """Run a command with --json and return what it printed."""
        return json.loads(self(*words, "--json", code=code).stdout)


@pytest.fixture
def ringctl(tmp_path: Path) -> Ringctl:
    """A ring of six devices."""
    command = Ringctl(tmp_path)
    command("create", *DEVICES, "--part-power", "6", "--seed", "1")
    return command


def test_create_makes_a_signed_ring_and_its_key(tmp_path: Path) -> None:
    """And refuses to overwrite one."""
    ringctl = Ringctl(tmp_path)
    made = ringctl.json("create", *DEVICES, "--part-power", "6", "--replicas", "2", "--overload", "0.5")
    assert (made["version"], made["part_power"], made["replicas"], made["overload"]) == (1, 6, 2, 0.5)
    assert {entry.name for entry in tmp_path.iterdir()} >= {
        "colony.ring",
        "colony.ring.key",
        "colony.ring.pub",
    }
    assert loader.load(ringctl.path).replicas == 2
    assert "exists" in ringctl("create", *DEVICES, code=Exit.FAILED).stderr


def test_create_dry_run_writes_nothing(tmp_path: Path) -> None:
    """Not even a key."""
    ringctl = Ringctl(tmp_path)
    assert "Would make" in ringctl("create", *DEVICES, "--dry-run").stdout
    assert list(tmp_path.iterdir()) == []


def test_create_says_what_is_wrong(tmp_path: Path) -> None:
    """Too few devices, unreadable ones, unknown options."""
    ringctl = Ringctl(tmp_path)
    assert "3 replicas need 3 devices" in ringctl("create", "r/z/h/d", code=Exit.FAILED).stderr
    assert "write it as region/zone/host/name" in ringctl("create", "sdb1", code=Exit.FAILED).stderr
    ringctl("create", code=Exit.USAGE)
    ringctl("create", *DEVICES, "--part-power", "99", code=Exit.USAGE)
    ringctl("create", *DEVICES, "--nonsense", code=Exit.USAGE)


def test_an_unsigned_ring_is_made_and_read_only_when_asked_for(tmp_path: Path) -> None:
    """By --unsigned, each time."""
    ringctl = Ringctl(tmp_path)
    ringctl("create", *DEVICES, "--part-power", "6", "--unsigned")
    assert "unsigned" in ringctl("show", code=Exit.VERIFICATION_FAILED).stderr
    ringctl("show", "--unsigned")
    assert ringctl.json("verify", "--unsigned")["good"]


def test_edits_are_staged_and_a_rebalance_carries_them_out(ringctl: Ringctl) -> None:
    """Until then lookups do not change."""
    staged = ringctl.json("add", "r1/z3/h3/d0=2", "--node", "n3", "--address", "127.0.0.1:6200")["staged"]
    assert [(row["change"], row["id"], row["weight"], row["node"]) for row in staged] == [
        ("added", 6, 2.0, "n3")
    ]
    assert ringctl.json("show")["version"] == 1
    planned = ringctl.json("plan", "--bytes-per-partition", "1MiB")
    assert planned["dry_run"]
    assert planned["moved_bytes"] == planned["moves"] << 20
    assert planned["minimal"]
    done = ringctl.json("rebalance", "--comment", "grown")
    assert (done["version"], done["moves"]) == (2, planned["moves"])
    assert done["after"]["fullest"] < done["before"]["fullest"] + 1
    versions = ringctl.json("history")["versions"]
    assert [(row["version"], row["comment"], row["moves"]) for row in versions] == [
        (2, "grown", planned["moves"]),
        (1, "created", None),
    ]
    assert ringctl.json("show", "--version", "1")["version"] == 1
    assert len(ringctl.json("show")["devices"]) == 7


@pytest.mark.parametrize(
    "edit",
    [
        ["add", "r1/z4/h4/d0"],
        ["remove", "r1/z0/h0/d0"],
        ["set-weight", "r1/z1", "3"],
        ["drain", "2", "3"],
    ],
)
def test_every_edit_can_be_tried_staged_undone_or_done_at_once(ringctl: Ringctl, edit: list[str]) -> None:
    """--dry-run, plain, and --rebalance."""
    original = ringctl.path.read_bytes()
    assert ringctl.json(*edit, "--dry-run")["dry_run"]
    assert ringctl.json(*edit, "--rebalance", "--dry-run")["dry_run"]
    assert ringctl.path.read_bytes() == original
    assert "Staged" in ringctl(*edit).stdout
    assert "would move" in ringctl("plan").stdout
    done = ringctl("set-weight", "1", "1", "--rebalance") if edit[0] != "remove" else ringctl("rebalance")
    assert "The ring is at version 2" in done.stdout
    assert ringctl.json("verify")["good"]


def test_a_drained_device_gives_all_and_can_then_be_removed(ringctl: Ringctl) -> None:
    """The safe way out."""
    ringctl("drain", "r1/z0/h0/d0", "--rebalance")
    state = {row["id"]: row for row in ringctl.json("show")["devices"]}
    assert (state[0]["held"], state[0]["state"]) == (0, "draining")
    gone = ringctl.json("remove", "0", "--rebalance")
    assert gone["moves"] == 0
    assert gone["version"] == 3


def test_nothing_to_do_has_its_own_exit_code(ringctl: Ringctl) -> None:
    """So that scripts can tell it from success and failure."""
    assert "Nothing to do" in ringctl("plan", code=Exit.NOTHING_TO_DO).stdout
    assert ringctl.json("rebalance", code=Exit.NOTHING_TO_DO)["nothing_to_do"]
    ringctl("set-weight", "0", "1", code=Exit.NOTHING_TO_DO)
    assert loader.load(ringctl.path).version == 1


def test_errors_name_what_is_wrong_and_the_mend(ringctl: Ringctl) -> None:
    """On standard error, as words or as JSON."""
    assert "`ringctl show` lists" in ringctl("remove", "r9", code=Exit.FAILED).stderr
    assert "r1/z0/h0/d0 is device 0 too" in ringctl("add", "r1/z0/h0/d0", code=Exit.FAILED).stderr
    ringctl("set-weight", "0", "-1", code=Exit.USAGE)
    ringctl("plan", "--bytes-per-partition", "much", code=Exit.USAGE)
    ringctl("show", "--depth", "rack", code=Exit.USAGE)
    assert "is not kept" in ringctl("show", "--version", "7", code=Exit.FAILED).stderr
    plain = json.loads(ringctl("remove", "r9", "--json", code=Exit.FAILED).stderr)
    assert plain["kind"] == "TopologyError"
    missing = ringctl("show", "--ring", "nowhere.ring", code=Exit.FAILED)
    assert "nowhere.ring: no such ring" in missing.stderr
    Path(f"{ringctl.path}.key").unlink()
    assert "no signing key" in ringctl("drain", "0", code=Exit.FAILED).stderr


def test_a_ring_being_changed_is_busy(ringctl: Ringctl) -> None:
    """Two operators at once."""
    with loader.locked(ringctl.path):
        assert "another command" in ringctl("drain", "0", code=Exit.BUSY).stderr
        assert ringctl("show").stdout


def test_usage_files_give_the_bytes_of_a_plan(ringctl: Ringctl, tmp_path: Path) -> None:
    """As a list or by partition."""
    usage = tmp_path / "usage.json"
    ringctl("drain", "0")
    usage.write_text(json.dumps([10] * 64))
    by_list = ringctl.json("plan", "--usage", str(usage))
    assert by_list["moved_bytes"] == 10 * by_list["moves"]
    usage.write_text(json.dumps({str(partition): 5 for partition in range(64)}))
    assert ringctl.json("plan", "--usage", str(usage))["moved_bytes"] == 5 * by_list["moves"]
    for bad in ("{", '{"x": 1}', "[1" + ",1" * 64 + "]", "7"):
        usage.write_text(bad)
        assert str(usage) in ringctl("plan", "--usage", str(usage), code=Exit.FAILED).stderr


def test_rules_are_changed_by_a_rebalance(ringctl: Ringctl) -> None:
    """And kept from then on."""
    ringctl("drain", "0")
    ringctl("rebalance", "--overload", "0.7", "--scatter-width", "8")
    shown = ringctl.json("show")
    assert (shown["overload"], shown["scatter_width"]) == (0.7, 8)
    ringctl("drain", "1")
    ringctl("rebalance", "--scatter-width", "0")
    assert ringctl.json("show")["scatter_width"] is None


def test_show_draws_the_tree_with_a_bar_for_each_device(ringctl: Ringctl) -> None:
    """As deep as asked."""
    text = ringctl("show").stdout
    assert text.count("█") > 6
    assert all(f"z{zone}" in text for zone in range(3))
    assert "d1" in text
    assert "d1" not in ringctl("show", "--depth", "host").stdout
    ringctl("drain", "0")
    assert "Changes are staged" in ringctl("show").stdout


def test_locate_tells_homes_and_stand_ins(ringctl: Ringctl) -> None:
    """Of objects, containers and accounts; slashes belong to the object."""
    ring = loader.load(ringctl.path)
    found = ringctl.json("locate", "acc/cont/a/b", "--handoffs", "2")
    assert found["partition"] == ring.partition("acc", "cont", "a/b")
    assert [home["id"] for home in found["homes"]] == list(ring.homes(found["partition"]))
    assert len(found["handoffs"]) == 2
    assert ringctl.json("locate", "acc")["partition"] == ring.partition("acc")
    ringctl("remove", str(found["homes"][0]["id"]), "--rebalance")
    moved = ringctl.json("locate", "acc/cont/a/b")
    assert [home["id"] for home in moved["former_homes"]] == [home["id"] for home in found["homes"]]
    assert "former home" in ringctl("locate", "acc/cont/a/b").stdout
    for bad in ("", "/", "acc//x"):
        assert "account/container/object" in ringctl("locate", bad, code=Exit.FAILED).stderr


def test_verify_finds_damage_and_strangers(ringctl: Ringctl, tmp_path: Path) -> None:
    """With the exit code of its own."""
    assert ringctl.json("verify")["good"]
    assert "good" in ringctl("verify").stdout
    loader.create_key(tmp_path / "other")
    whole = ringctl.path.read_bytes()
    ringctl.path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "does not match" in ringctl("verify", code=Exit.VERIFICATION_FAILED).stderr
    ringctl.path.write_bytes(b"noise" * 100)
    assert "not a ring file" in ringctl("verify", code=Exit.VERIFICATION_FAILED).stderr
    ringctl.path.write_bytes(whole)
    public = loader.pin_path(ringctl.path)
    assert ringctl.json("verify", "--public-key", str(public))["good"]
    ringctl("verify", "--public-key", str(tmp_path / "other"), code=Exit.FAILED)


def test_verify_finds_a_table_that_does_not_suit_its_devices(ringctl: Ringctl) -> None:
    """A file can be whole and yet wrong."""
    ring = loader.load(ringctl.path)
    table = ring.table.copy()
    table[0] = [0, 0, 9]
    wrong = ring.successor(table, ring.topology, created_ms=1)
    loader.save(ringctl.path, wrong, loader.load_key(f"{ringctl.path}.key"))
    found = ringctl.json("verify", code=Exit.VERIFICATION_FAILED)
    checks = {row["check"]: row["good"] for row in found["checks"]}
    assert (checks["devices"], checks["replicas"], checks["history"]) == (False, False, True)


def test_export_and_import_carry_a_ring_elsewhere(ringctl: Ringctl, tmp_path: Path) -> None:
    """With table and salt the copy answers as the original does."""
    plain = tmp_path / "ring.json"
    assert ringctl.json("export", "--output", str(plain), "--with-table", "--with-salt")["bytes"]
    assert plain.stat().st_mode & 0o077 == 0
    assert "salt" not in json.loads(ringctl("export").stdout)
    copy = tmp_path / "copy.ring"
    ringctl("import", str(plain), "--ring", str(copy))
    original, copied = loader.load(ringctl.path), loader.load(copy)
    assert (original.table == copied.table).all()
    assert original.partition("a", "b", "c") == copied.partition("a", "b", "c")
    other = json.loads(plain.read_text())
    other["devices"][0]["weight"] = 3.0
    plain.write_text(json.dumps(other))
    assert ringctl.json("import", str(plain))["staged"][0]["change"] == "changed"
    assert "for new rings only" in ringctl("import", str(plain), "--replicas", "2", code=Exit.FAILED).stderr


def test_import_names_the_field_that_is_wrong(ringctl: Ringctl, tmp_path: Path) -> None:
    """Of a file edited by hand."""
    good = json.loads(ringctl("export").stdout)
    source = tmp_path / "ring.json"
    for change, words in (
        ({"format": "other"}, '"format" must be'),
        ({"format_version": 9}, "format_version 9"),
        ({"devices": "none"}, "devices: must be a list"),
        ({"devices": [{"id": 1}]}, r"devices[0]: field 'region' is missing"),
        ({"replicas": "three"}, "replicas: 'three'"),
        ({"salt": "xyz"}, "salt"),
        ({"table": "xyz"}, "table"),
    ):
        source.write_text(json.dumps({**good, **change}))
        result = ringctl.runner.invoke(main, ["import", str(source)])
        assert result.exit_code in {int(Exit.FAILED), int(Exit.VERIFICATION_FAILED)}
        assert words in result.stderr
        assert str(source) in result.stderr


def test_a_swift_builder_file_becomes_a_ring(tmp_path: Path) -> None:
    """With its part power, replicas and devices."""
    devices = [
        {
            "id": n,
            "region": 1,
            "zone": n,
            "ip": "127.0.0.1",
            "port": 6200 + n,
            "device": f"sd{n}",
            "weight": 10.0,
        }
        for n in range(4)
    ]
    builder = tmp_path / "object.builder"
    builder.write_bytes(pickle.dumps({"devs": devices, "part_power": 7, "replicas": 3.0, "overload": 0.0}))
    ringctl = Ringctl(tmp_path)
    made = ringctl.json("import", str(builder))
    assert (made["part_power"], made["replicas"], len(made["devices"])) == (7, 3, 4)
    assert ringctl.json("verify")["good"]


def test_every_command_has_help_and_json() -> None:
    """No command is left out."""
    for name, command in main.commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--ring"} <= options, name
        assert command.help, name
    assert "Exit codes" in CliRunner().invoke(main, ["--help"]).output
