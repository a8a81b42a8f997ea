"""The first start of a colony: keys, ring, first credentials and settings of its nodes, on one machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from colonnade.certificate import write_self_signed
from colonnade.endpoints import ADMIN_USER, Credentials
from colonnade.folder import Folder, FolderError, make_folder, read_json, write_secret
from colonnade.node_config import NewNode, default_workers, write_config
from kit.cluster_key import new_cluster_key
from proxy.identity.sealing import random_access_key, random_secret
from ring import loader
from ring.change import suggest_part_power
from ring.table import Ring
from ring.topology import Device

REPLICAS: Final = 3
REGION: Final = "r1"
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever starts a colony asks for; `port` is that of the first node, the others take free ones."""

    devices: int = 4
    nodes: int = 1
    host: str = LOOPBACK
    port: int = 8080
    workers: int = 0
    """Proxy workers of each node; 0 for one per core."""
    part_power: int = 0
    """0 to choose it by the number of devices."""
    domains: tuple[str, ...] = ()
    """Domains under which a first label is a bucket."""
    tls_port: int | None = None
    """Port of HTTPS by a self-signed certificate; 0 for any, None for no HTTPS."""


def found_colony(root: Path, wishes: Wishes) -> list[Folder]:
    """Make the data folders of a new colony and return them, the first node's first. Raises FolderError.

    The settings of the first node are written last: a crash before that leaves no colony, and the
    next start makes it anew.
    """
    _check(wishes)
    first = make_folder(root)
    folders = [first] + [make_folder(first.further_node(n).root) for n in range(2, wishes.nodes + 1)]
    cluster_key = new_cluster_key()
    nodes = [_new_node(number, wishes) for number in range(1, wishes.nodes + 1)]
    ring = _first_ring(nodes, wishes)
    key = loader.load_key(first.ring_key) if first.ring_key.exists() else loader.create_key(first.ring_key)
    loader.save(first.ring, ring, key)
    credentials = Credentials(random_access_key(), random_secret(), ADMIN_USER, random_secret())
    for folder, node in reversed(list(zip(folders, nodes, strict=True))):
        write_secret(folder.cluster_key, cluster_key)
        write_secret(folder.admin, json.dumps(credentials.plain()).encode())
        if folder is not first:
            copy_ring(first, folder)
        if wishes.tls_port is not None:
            write_self_signed(folder, (*wishes.domains, wishes.host))
        write_config(folder, node)
    return folders


def copy_ring(source: Folder, target: Folder) -> None:
    """Copy a ring file and the pin of its signer into another node's folder."""
    pin = loader.pin_path(source.ring)
    loader.write_durably(loader.pin_path(target.ring), pin.read_bytes(), 0o644)
    loader.install(target.ring, source.ring.read_bytes())


def read_credentials(folder: Folder) -> Credentials | None:
    """Return the first administrator's credentials, where this node keeps them. Raises FolderError."""
    plain = read_json(folder.admin)
    return None if plain is None else Credentials.of(plain)


def free_port(host: str) -> int:
    """Return a port that nobody listens on just now."""
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _check(wishes: Wishes) -> None:
    if wishes.devices * wishes.nodes < REPLICAS:
        raise FolderError(
            f"{wishes.devices} devices on {wishes.nodes} nodes cannot hold {REPLICAS} replicas; "
            f"give --devices {-(-REPLICAS // wishes.nodes)} or more"
        )


def _new_node(number: int, wishes: Wishes) -> NewNode:
    first_id = (number - 1) * wishes.devices
    return NewNode(
        name=f"node-{number}",
        region=REGION,
        zone=f"z{number}",
        bind=wishes.host,
        # Chosen once and kept: a colony that is started again has the same endpoints.
        port=wishes.port if wishes.port and number == 1 else free_port(wishes.host),
        workers=_workers(wishes),
        address=f"tcp:{LOOPBACK}:{free_port(LOOPBACK)}",
        join_address=f"tcp:{LOOPBACK}:{free_port(LOOPBACK)}",
        devices={first_id + index: f"d{index + 1}" for index in range(wishes.devices)},
        domains=wishes.domains,
        tls_port=_tls_port(number, wishes),
    )


def _tls_port(number: int, wishes: Wishes) -> int | None:
    if wishes.tls_port is None:
        return None
    return wishes.tls_port if wishes.tls_port and number == 1 else free_port(wishes.host)


def _workers(wishes: Wishes) -> int:
    if wishes.workers or wishes.nodes == 1:
        return wishes.workers
    return max(1, default_workers() // wishes.nodes)


def _first_ring(nodes: Sequence[NewNode], wishes: Wishes) -> Ring:
    devices = [
        Device(
            device_id,
            region=node.region,
            zone=node.zone,
            host=node.name,
            name=name,
            weight=1.0,
            node=node.name,
            address=node.address,
        )
        for node in nodes
        for device_id, name in node.devices.items()
    ]
    part_power = wishes.part_power or suggest_part_power(len(devices), REPLICAS)
    return loader.new_ring(devices, part_power=part_power, replicas=REPLICAS)
