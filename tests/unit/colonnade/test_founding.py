"""A colony is founded whole: keys, ring and settings that agree with one another."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from colonnade.cli_run import up
from colonnade.folder import Folder, FolderError, is_running, make_folder, open_folder, take_lock
from colonnade.founding import Wishes, found_colony, read_credentials
from colonnade.node_config import read_settings
from colonnade.ring_change import Joining, stage_devices, take_in_staged
from kit.cluster_key import read_cluster_key
from model.errors import BadRequest
from ring import loader


def test_a_new_colony_has_settings_key_and_a_signed_ring(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    settings = read_settings(folder.config)
    ring = loader.load(folder.ring)
    assert [device.node for device in ring.devices.values()] == [settings.node.name] * 4
    assert {device.address for device in ring.devices.values()} == {settings.node.address}
    folders = sorted(path.name for path in folder.devices.iterdir())
    assert folders == [device.name for device in ring.devices.values()]
    assert settings.proxy.port != 0
    assert len(read_cluster_key(settings.cluster.key_file)) == 32
    credentials = read_credentials(folder)
    assert credentials is not None
    assert len(credentials.secret_key) >= 40


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    for path in (folder.cluster_key, folder.ring_key, folder.admin):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_three_nodes_share_key_ring_and_first_administrator(tmp_path: Path) -> None:
    folders = found_colony(tmp_path / "data", Wishes(nodes=3, devices=2, port=0))
    assert folders[0].further_nodes() == folders[1:]
    assert len({folder.cluster_key.read_bytes() for folder in folders}) == 1
    assert len({folder.ring.read_bytes() for folder in folders}) == 1
    assert len({folder.admin.read_bytes() for folder in folders}) == 1
    assert [folder.ring_key.exists() for folder in folders] == [True, False, False]
    ring = loader.load(folders[2].ring)
    for partition in range(ring.partition_count):
        assert len({ring.devices[device].node for device in ring.homes(partition)}) == 3


def test_too_few_devices_for_the_replicas_are_refused_with_a_mend(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="give --devices 3 or more"):
        found_colony(tmp_path / "data", Wishes(devices=2))
    assert not (tmp_path / "data").exists()


def test_a_founding_that_broke_off_is_done_anew(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    folder.config.unlink()
    with pytest.raises(FolderError, match="holds no colony"):
        open_folder(folder.root)
    assert found_colony(tmp_path / "data", Wishes(port=0)) == [folder]
    loader.load(folder.ring)


def test_one_supervisor_holds_the_lock(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert not is_running(folder)
    held = take_lock(folder)
    assert is_running(folder)
    with pytest.raises(FolderError, match=r"another supervisor \(pid \d+\) runs this node"):
        take_lock(folder)
    held.close()
    assert not is_running(folder)


def test_a_joining_node_is_allotted_the_same_ids_when_it_asks_again(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    joining = Joining("node-9", "r1", "z9", "tcp:127.0.0.1:1", [("d1", 1.0), ("d2", 1.0)])
    ids = stage_devices(folder, joining)
    assert ids == {"d1": 4, "d2": 5}
    assert stage_devices(folder, joining) == ids
    with pytest.raises(BadRequest, match="choose another --name"):
        stage_devices(folder, Joining("node-9", "r1", "z9", "tcp:127.0.0.1:1", [("d7", 1.0)]))
    assert loader.load(folder.ring).version == 1
    ring = take_in_staged(folder)
    assert ring.version == 2
    assert {device.node for device in ring.devices.values()} == {"node-1", "node-9"}
    assert take_in_staged(folder).version == 2


def test_only_the_node_that_made_the_colony_signs_rings(tmp_path: Path) -> None:
    second = found_colony(tmp_path / "data", Wishes(nodes=3, devices=1, port=0))[1]
    with pytest.raises(FolderError, match="on the node that made the colony"):
        stage_devices(Folder(second.root), Joining("n", "r1", "z", "tcp:127.0.0.1:1", [("d1", 1.0)]))


@pytest.mark.parametrize("option", [("--devices", "6"), ("--nodes", "2"), ("--part-power", "3")])
def test_a_later_start_refuses_what_only_a_first_start_can_follow(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    result = CliRunner().invoke(up, ["--data", str(folder.root), *option])
    assert result.exit_code == 2
    assert f"{option[0]} {option[1]} is for a first start" in " ".join(result.output.split())
