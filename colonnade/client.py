"""The colony as commands of this machine use it: through a node's own socket, with its key and ring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from colonnade.folder import Folder, FolderError, open_folder
from colonnade.node_config import read_settings
from kit.cluster_key import read_cluster_key
from kit.rpc_client import RpcClient
from model.errors import Unavailable
from objectd.client import NodeClient
from proxy.connect import Entrance, connect_colony
from proxy.operations.colony import Colony
from ring import loader
from ring.ringfile import decode

PATIENCE_MS: Final = 5_000


@asynccontextmanager
async def open_colony(data_dir: Path, *, patience_ms: int = PATIENCE_MS) -> AsyncIterator[Colony]:
    """Yield every operation on the colony of a data folder.

    Raises FolderError where the folder holds no colony, or none runs there.
    """
    folder = open_folder(data_dir)
    settings = read_settings(folder.config)
    trust = loader.pinned_trust(folder.ring)
    entrance = Entrance(
        node=settings.node.name,
        address=f"unix:{folder.objectd_socket}",
        cluster_key=read_cluster_key(folder.cluster_key),
        name="colonnade",
        decode=lambda data: decode(data, trust=trust),
    )
    if not folder.objectd_socket.exists():
        raise _not_running(folder)
    try:
        colony = await connect_colony(entrance, patience_ms=patience_ms)
    except Unavailable as error:
        raise _not_running(folder) from error
    try:
        yield colony
    finally:
        await colony.close()


@asynccontextmanager
async def open_node(folder: Folder) -> AsyncIterator[NodeClient]:
    """Yield a client of a node's objectd on this machine. Its calls raise Unavailable where it is down."""
    rpc = RpcClient(f"unix:{folder.objectd_socket}", read_cluster_key(folder.cluster_key), name="colonnade")
    node = NodeClient(rpc)
    try:
        yield node
    finally:
        await node.close()


def _not_running(folder: Folder) -> FolderError:
    return FolderError(f"no colony runs at {folder.root}; start it with `colonnade up --data {folder.root}`")
