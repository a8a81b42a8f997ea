"""Settings: what a file says is what a daemon gets, and each mistake is named with its mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config import ConfigError
from kit.settings import Settings, load_settings


def load(folder: Path, text: str) -> Settings:
    path = folder / "colonnade.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_an_empty_file_gives_the_defaults_with_paths_in_the_data_folder(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.proxy.port == 8080
    assert settings.proxy.inline_bytes_max == 1048576
    assert settings.replicator.tombstone_age_s == 604800
    assert Path(settings.node.data) == tmp_path
    assert Path(settings.node.run) == tmp_path / "run"
    assert Path(settings.cluster.key_file) == tmp_path / "cluster.key"
    assert settings.objectd.devices == ()


def test_what_the_file_says_is_taken(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [node]
        data = "/srv/colony"
        run = "/run/colony"
        [objectd]
        devices = ["devices/d1", "/mnt/d2"]
        compaction_dead_ratio = 1
        [logging]
        level = "debug"
        requests = false
        """,
    )
    assert settings.node.run == "/run/colony"
    assert settings.objectd.devices == ("/srv/colony/devices/d1", "/mnt/d2")
    assert settings.objectd.compaction_dead_ratio == 1.0
    assert settings.logging.level == "debug"
    assert settings.logging.requests is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[proxi]", ["proxi: no such setting", "did you mean proxy?"]),
        ("[proxy]\nprot = 1", ["proxy.prot: no such setting", "did you mean port?", "section [proxy]"]),
        ("proxy = 1", ["proxy: is a table", "[proxy]"]),
        ('[proxy]\nport = "80"', ["proxy.port: '80' is not a whole number"]),
        ("[proxy]\nport = true", ["proxy.port: True is not a whole number"]),
        ("[proxy]\nport = 70000", ["proxy.port: 70000 is too large", "65535"]),
        ("[proxy]\nheader_timeout_ms = 0", ["too small", "the least is 1 ms"]),
        ("[proxy]\nheader_timeout_ms = 1.5", ["write a whole number of ms"]),
        ('[objectd]\ndevices = "d1"', ["objectd.devices", "a list of texts in quotes"]),
        ("[objectd]\ndevices = [1]", ["objectd.devices", "a list of texts in quotes"]),
        ("[node]\nname = 1", ["node.name: 1 is not a text in quotes"]),
        ('[logging]\nlevel = "warn"', ["logging.level", "did you mean warning?"]),
        ('[logging]\nrequests = "yes"', ["true or false"]),
        ('[node]\naddress = "localhost"', ["node.address", "tcp:127.0.0.1:6000"]),
        ("[proxy", ["is not TOML"]),
    ],
)
def test_a_mistake_is_named_with_file_key_and_mend(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    for word in ["colonnade.toml", *words]:
        assert word in str(caught.value)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.toml")
