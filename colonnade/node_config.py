"""What a new node's settings file says, and what the supervisor reads of an existing one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from colonnade.folder import Folder, FolderError
from kit.config import ConfigError
from kit.settings import Settings, load_settings
from ring.loader import write_durably

CONFIG_MODE: Final = 0o644

_TEXT: Final = """\
# Settings of one node. docs/configuration.md lists them all; what is left out has its default.
# `colonnade config check` tells whether this file is right, `colonnade restart` applies it.

[node]
name = {name}
region = {region}
zone = {zone}
address = {address}
join_address = {join_address}

[proxy]
bind = {bind}
port = {port}
workers = {workers}
"""


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node to be made. `devices` maps device ids to the names of their folders below DATA/devices."""

    name: str
    region: str
    zone: str
    bind: str
    port: int
    workers: int
    address: str
    join_address: str
    devices: Mapping[int, str]


def default_workers() -> int:
    """Return how many proxy workers a node has where nothing is said: one for each core it may use."""
    return max(1, len(os.sched_getaffinity(0)))


def write_config(folder: Folder, node: NewNode) -> None:
    """Write the settings of a new node, and make the folders of its devices."""
    for name in node.devices.values():
        (folder.devices / name).mkdir(mode=0o700, exist_ok=True)
    values = {
        "name": node.name,
        "region": node.region,
        "zone": node.zone,
        "address": node.address,
        "join_address": node.join_address,
        "bind": node.bind,
        "port": node.port,
        "workers": node.workers,
    }
    # JSON's texts and numbers are TOML's.
    text = _TEXT.format_map({key: json.dumps(value) for key, value in values.items()})
    write_durably(folder.config, text.encode(), CONFIG_MODE)


def read_settings(path: Path) -> Settings:
    """Return a node's settings. Raises FolderError naming file, key and mend."""
    try:
        return load_settings(path)
    except ConfigError as error:
        raise FolderError(str(error)) from error


def public_host(bind: str) -> str:
    """Return the host by which clients on this machine reach what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(bind, bind)  # noqa: S104  (compared)
