"""The client of a replicator's own socket, for `colonnade status`."""

from __future__ import annotations

from typing import Any, Final

from kit.rpc_client import RpcClient

SOCKET: Final = "replicator.sock"
OP_STATUS: Final = "status"
OP_SYNC: Final = "sync"
DEADLINE_MS: Final = 5_000


class ReplicatorClient:
    """Asks the replicator of one node. Methods raise what `kit.rpc_client.RpcClient` raises."""

    def __init__(self, rpc: RpcClient) -> None:
        self.rpc = rpc

    @classmethod
    def at(cls, run_folder: str, cluster_key: bytes, *, name: str) -> ReplicatorClient:
        """Return the client of the replicator whose socket is in a node's `run` folder."""
        return cls(RpcClient(f"unix:{run_folder}/{SOCKET}", cluster_key, name=name))

    async def status(self, *, deadline_ms: int = DEADLINE_MS) -> dict[str, Any]:
        """Return what the replicator says of itself: the map that replicator.report documents."""
        found: dict[str, Any] = (await self.rpc.call(OP_STATUS, (), deadline_ms=deadline_ms)).head
        return found

    async def sync(self, *, deadline_ms: int = DEADLINE_MS) -> None:
        """Begin a round of comparison at once."""
        await self.rpc.call(OP_SYNC, (), deadline_ms=deadline_ms)

    async def close(self) -> None:
        """End the connection."""
        await self.rpc.close()
