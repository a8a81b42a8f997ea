"""The supervisor's control operations, served on its socket by the node protocol, and their client.

Who holds the cluster key may call them: the commands of this machine over the unix socket, and nodes
that join over TCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

from colonnade.folder import Folder, FolderError
from kit.cluster_key import read_cluster_key
from kit.rpc_client import RpcClient
from model.errors import NodeUnreachable

DEADLINE_MS: Final = 10_000
RESTART_DEADLINE_MS: Final = 10 * 60 * 1000


class Control(StrEnum):
    """The operations; the value is what stands on the wire."""

    STATUS = "supervisor.status"
    """[] → {node, pid, started_ms, state, processes: [row…], endpoints: {…}}"""
    RESTART = "supervisor.restart"
    """[role or name or ""] → [names]"""
    STOP = "supervisor.stop"
    """[] → nil, before the node stops"""
    ALLOT = "colony.allot"
    """[node, region, zone, host, address, [[device name, weight]…]] → [device ids]: stages the devices"""
    ENTER = "colony.enter"
    """[] → ring version: takes staged devices into a new version of the ring and publishes it"""


@asynccontextmanager
async def control_of(address: str, cluster_key: bytes) -> AsyncIterator[RpcClient]:
    """Yield a client of the supervisor at an address; raises FolderError where nobody answers."""
    client = RpcClient(address, cluster_key, name="colonnade")
    try:
        try:
            await client.wait_connected(2_000)
        except NodeUnreachable as error:
            raise FolderError(f"no supervisor answers: {error}") from error
        yield client
    finally:
        await client.close()


async def ask_supervisor(folder: Folder, op: Control, *args: object, deadline_ms: int = DEADLINE_MS) -> Any:
    """Call the supervisor that runs a node. Raises FolderError where none does."""
    if not folder.control_socket.exists():
        raise FolderError(
            f"no colony runs at {folder.root}; start it with `colonnade up --data {folder.root}`"
        )
    async with control_of(f"unix:{folder.control_socket}", read_cluster_key(folder.cluster_key)) as client:
        return (await client.call(op, list(args), deadline_ms=deadline_ms)).head
