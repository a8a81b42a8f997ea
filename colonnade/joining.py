"""How a node joins a colony: it is allotted device ids and the ring, runs its objectd, then is taken in.

The node that made the colony holds the key that signs rings. Its supervisor answers at its join
address whoever holds the cluster key.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from colonnade.control import Control, control_of
from colonnade.folder import Folder, FolderError, make_folder
from colonnade.founding import LOOPBACK, REGION, free_port
from colonnade.node_config import NewNode, write_config
from colonnade.ring_change import Joining, live_version, publish, stage_devices, take_in_staged
from kit.clock import monotonic_ms
from kit.cluster_key import read_cluster_key
from kit.rpc import Reply
from kit.rpc_server import Call, Handler
from model.errors import BadRequest, Conflict
from ring import loader
from ring.errors import RingError

ALLOT_DEADLINE_MS: Final = 30_000
ENTER_DEADLINE_MS: Final = 120_000
ENTER_PATIENCE_MS: Final = 60 * 60 * 1000
_ASK_AGAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class JoinWishes:
    """What whoever starts a joining node asks for; empty texts and zeros are chosen for them."""

    join: str
    cluster_key: Path
    devices: int = 4
    name: str = ""
    zone: str = ""
    host: str = LOOPBACK
    port: int = 0
    workers: int = 0


async def make_joining_node(root: Path, wishes: JoinWishes) -> Folder:
    """Make the data folder of a node that will join, with all it needs to start.

    Raises FolderError where the colony does not answer, BadRequest where it refuses.
    """
    folder = make_folder(root)
    key = read_cluster_key(wishes.cluster_key)
    name = wishes.name or folder.root.name
    names = [f"d{number}" for number in range(1, wishes.devices + 1)]
    address = f"tcp:{wishes.host}:{free_port(wishes.host)}"
    place = [name, REGION, wishes.zone or name, address]
    async with control_of(wishes.join, key) as control:
        asked = [*place, [[device, 1.0] for device in names]]
        reply = await control.call(Control.ALLOT, asked, deadline_ms=ALLOT_DEADLINE_MS)
    ids, ring, pin = reply.head
    if wishes.cluster_key.resolve() != folder.cluster_key:
        shutil.copyfile(wishes.cluster_key, folder.cluster_key)
        folder.cluster_key.chmod(0o600)
    # Believed because it came from a node that proved the cluster key.
    loader.write_durably(loader.pin_path(folder.ring), pin, 0o644)
    loader.install(folder.ring, ring)
    node = NewNode(
        name=name,
        region=REGION,
        zone=wishes.zone or name,
        bind=wishes.host,
        port=wishes.port or free_port(wishes.host),
        workers=wishes.workers,
        address=address,
        join_address="",
        devices={ids[device]: device for device in names},
    )
    write_config(folder, node)
    return folder


def enter_step(folder: Folder, join: str) -> Callable[[], Awaitable[None]]:
    """Return what asks the colony to take this node in, once its objectd serves.

    While another change of the ring is under way it waits and asks again; Conflict after a long time.
    """

    async def enter() -> None:
        give_up_ms = monotonic_ms() + ENTER_PATIENCE_MS
        async with control_of(join, read_cluster_key(folder.cluster_key)) as control:
            while True:
                try:
                    await control.call(Control.ENTER, [], deadline_ms=ENTER_DEADLINE_MS)
                    return
                except Conflict:
                    if monotonic_ms() > give_up_ms:
                        raise
                await asyncio.sleep(_ASK_AGAIN_S)

    return enter


def joining_handlers(folder: Folder) -> dict[str, Handler]:
    """Return the operations by which the node of a folder lets others join."""

    def allot(call: Call) -> Reply:
        node, region, zone, address, devices = call.args
        ids = _refusing(
            stage_devices,
            folder,
            Joining(node, region, zone, address, [(name, weight) for name, weight in devices]),
        )
        return Reply([ids, folder.ring.read_bytes(), loader.pin_path(folder.ring).read_bytes()])

    async def enter(call: Call) -> Reply:
        live = await live_version(folder)
        ring = _refusing(take_in_staged, folder)
        if ring.version > live:
            await publish(folder)
        return Reply(ring.version)

    return {str(Control.ALLOT): allot, str(Control.ENTER): enter}


def _refusing(act: Callable[..., Any], *arguments: object) -> Any:
    try:
        return act(*arguments)
    except (RingError, FolderError) as error:
        raise BadRequest(str(error)) from error
