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
CERTIFICATE_SETTING: Final = "tls/certificate.pem"
KEY_SETTING: Final = "tls/key.pem"
"""Where a self-signed certificate and its key lie in a data folder."""

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

_DOMAINS: Final = """\
s3_domains = {domains}
"""

_TLS: Final = """\

[tls]
port = {tls_port}
certificate = {certificate}
key = {key}
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
    domains: tuple[str, ...] = ()
    """Domains whose first label is a bucket."""
    tls_port: int | None = None
    """Port of HTTPS by a self-signed certificate, which lies in the folder already; None for none."""


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
        "domains": node.domains,
        "tls_port": node.tls_port,
        "certificate": CERTIFICATE_SETTING,
        "key": KEY_SETTING,
    }
    text = _TEXT + (_DOMAINS if node.domains else "") + (_TLS if node.tls_port is not None else "")
    # JSON's texts, numbers and lists are TOML's.
    text = text.format_map({key: json.dumps(value) for key, value in values.items()})
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
