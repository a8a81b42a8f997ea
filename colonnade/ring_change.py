"""Changes of the ring, from the node that signs it: staging a joining node's devices, publishing versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from colonnade.client import open_node
from colonnade.folder import Folder, FolderError
from colonnade.node_config import read_settings
from kit.cluster_key import read_cluster_key
from model.errors import BadRequest, ColonnadeError, Conflict, Unavailable
from objectd.client import NodeClient
from objectd.contract import Phase
from ring import loader
from ring.change import changed, next_device_ids
from ring.errors import RingError
from ring.ringfile import encode
from ring.signing import SigningKey
from ring.table import Ring
from ring.topology import Device

DEADLINE_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Joining:
    """What a node that joins brings along: its place in the tree, and name and weight of each device."""

    node: str
    region: str
    zone: str
    address: str
    devices: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Published:
    """A version that nodes have adopted, the newest of the file, and the nodes that were not reached."""

    version: int
    newest: int
    adopted: list[str]
    missed: list[str]


def stage_devices(folder: Folder, joining: Joining) -> dict[str, int]:
    """Note the devices of a node in the ring file, to be taken in later; return their ids by name.

    Asked twice for the same node, the answer is the same. Raises BadRequest, FolderError, RingError.
    """
    with loader.locked(folder.ring):
        ring = loader.load(folder.ring)
        topology = ring.meta.staged or ring.topology
        known = {device.name: device.id for device in topology if device.node == joining.node}
        if known:
            if known.keys() != {name for name, _ in joining.devices}:
                raise BadRequest(
                    f"the ring knows a node {joining.node!r} with other devices; choose another --name"
                )
            return known
        ids = next_device_ids(ring, len(joining.devices))
        devices = [
            Device(
                device_id,
                region=joining.region,
                zone=joining.zone,
                host=joining.node,
                name=name,
                weight=weight,
                node=joining.node,
                address=joining.address,
            )
            for device_id, (name, weight) in zip(ids, joining.devices, strict=True)
        ]
        loader.save(folder.ring, ring.staged(topology.with_devices(devices)), signing_key(folder))
        return {device.name: device.id for device in devices}


def take_in_staged(folder: Folder) -> Ring:
    """Take staged devices into a new version of the ring file, and return it (or the ring as it is)."""
    with loader.locked(folder.ring):
        ring = loader.load(folder.ring)
        if ring.meta.staged is None or ring.meta.staged == ring.topology:
            return ring
        change = changed(ring, ring.meta.staged, created_ms=loader.now_ms(), comment="nodes joined")
        loader.save(folder.ring, change.ring, signing_key(folder))
        return change.ring


async def publish(folder: Folder) -> Published:
    """Have every node adopt the version that follows the live one; its replicas then move, under load.

    A file that is further ahead is published version by version: the homes of a change are those of
    two neighbours. Raises Conflict while another change is under way, Unavailable where too few nodes
    answer, and BadRequest where the file has nothing new.
    """
    newest = loader.load(folder.ring)
    live = await live_version(folder)
    if live >= newest.version:
        raise BadRequest(f"version {live} is live; `ringctl rebalance` makes a newer one")
    ring = newest.at_version(live + 1)
    if ring is None:
        raise BadRequest(f"{folder.ring} does not keep version {live + 1}, which follows the live one")
    data = encode(ring, signing_key(folder))
    answers = await _adopt_everywhere(folder, ring, data)
    missed = sorted(name for name, error in answers.items() if error is not None)
    if 2 * len(missed) >= len(answers):
        raise Unavailable(f"ring version {ring.version}: no answer from {', '.join(missed)}; try again")
    return Published(ring.version, newest.version, sorted(set(answers) - set(missed)), missed)


async def live_version(folder: Folder) -> int:
    """Return the ring version adopted by the node here, 0 for none. Raises Conflict while it changes."""
    async with open_node(folder) as node:
        live = await node.ring_get(deadline_ms=DEADLINE_MS)
    if live is None:
        return 0
    if live.phase not in (Phase.INITIAL, Phase.SETTLED):
        raise Conflict(f"the change to ring version {live.version} is under way; see `colonnade status`")
    return live.version


async def _adopt_everywhere(folder: Folder, ring: Ring, data: bytes) -> Mapping[str, ColonnadeError | None]:
    before = ring.previous()
    devices = [*ring.devices.values(), *(before.devices.values() if before is not None else ())]
    addresses = {device.node: device.address for device in devices}
    here = read_settings(folder.config).node.name
    if here in addresses:
        addresses[here] = f"unix:{folder.objectd_socket}"
    key = read_cluster_key(folder.cluster_key)

    async def adopt(address: str) -> ColonnadeError | None:
        client = NodeClient.at(address, key, name=f"{here}/supervisor")
        try:
            await client.ring_adopt(data, Phase.WRITE_BOTH, deadline_ms=DEADLINE_MS)
        except ColonnadeError as error:
            return error
        finally:
            await client.close()
        return None

    results = await asyncio.gather(*(adopt(address) for address in addresses.values()))
    return dict(zip(addresses, results, strict=True))


def signing_key(folder: Folder) -> SigningKey:
    """Return the key that signs rings. Raises FolderError on a node that does not keep it."""
    try:
        return loader.load_key(folder.ring_key)
    except FileNotFoundError:
        raise FolderError(
            f"{folder.ring_key} is not here: rings are changed on the node that made the colony"
        ) from None
    except RingError as error:
        raise FolderError(str(error)) from error
