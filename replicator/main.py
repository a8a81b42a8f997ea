"""The daemon: `python -m replicator --config FILE`, one for each node.

It reaches its own node by the unix socket and the others by the addresses in the ring. It keeps no
state of its own: killed at any moment, the next one finds by the digests what is left to do.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

from kit.admin import AdminServer
from kit.clock import HybridClock, random_writer_id
from kit.cluster_key import read_cluster_key
from kit.config import ConfigError
from kit.daemon import Arguments, parse_arguments
from kit.lifecycle import Lifecycle, run_daemon
from kit.rpc import Reply
from kit.rpc_server import Call, RpcServer
from kit.settings import Settings, load_settings
from kit.telemetry import configure_logging
from model.errors import Unavailable
from objectd.client import NodeClient
from objectd.contract import Notice, RingReply
from replicator.client import OP_STATUS, OP_SYNC, SOCKET
from replicator.engine import Engine
from replicator.engine import Settings as EngineSettings
from replicator.figures import Figures
from replicator.peers import Peers
from ring import loader
from ring.ringfile import decode

RETRY_S: Final = 0.1
SOCKET_MODE: Final = 0o600


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon until it is told to stop; returns the exit status."""
    said = parse_arguments("replicator", arguments, description=__doc__)
    try:
        settings = load_settings(said.config)
        configure_logging("replicator", settings.node.name, settings.logging.level)
        return run_daemon(lambda lifecycle: serve(said, settings, lifecycle), ready_fd=said.ready_fd)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"replicator: {error}\n")
        return 1


async def serve(said: Arguments, settings: Settings, lifecycle: Lifecycle) -> None:
    """Work until the lifecycle drains. Raises ConfigError, OSError."""
    cluster_key = read_cluster_key(settings.cluster.key_file)
    peers = await _connect(settings, cluster_key, lifecycle)
    if peers is None:
        return
    engine = Engine(peers, engine_settings(settings))
    server = RpcServer(_handlers(engine), cluster_key, name=settings.node.name)
    figures = Figures(settings.node.name, engine)
    admin = AdminServer(figures.render, {})
    try:
        socket = Path(settings.node.run) / SOCKET
        await server.listen(f"unix:{socket}")
        os.chmod(socket, SOCKET_MODE)
        admin_address = await admin.listen(said.admin)
        await peers.look_around()
        engine.start()
        lifecycle.ready(admin="http://" + admin_address.removeprefix("tcp:"))
        await lifecycle.draining.wait()
    finally:
        await engine.stop()
        await admin.close()
        await server.close()
        await peers.close()


def engine_settings(settings: Settings) -> EngineSettings:
    """Return what the engine must know of the node's settings."""
    ours = settings.replicator
    return EngineSettings(
        interval_s=ours.interval_ms / 1000,
        bandwidth_bytes_per_s=ours.bandwidth_bytes_per_s,
        tranquility=ours.tranquility,
        tombstone_age_s=ours.tombstone_age_s,
        lifecycle_day_s=ours.lifecycle_day_s,
    )


async def _connect(settings: Settings, cluster_key: bytes, lifecycle: Lifecycle) -> Peers | None:
    """Return the peers once this node serves and has a ring; None where it is told to stop before."""
    local = f"unix:{settings.node.run}/objectd.sock"
    trust = loader.pinned_trust(settings.ring.file)
    made: list[Peers] = []

    def told(op: str, args: Any) -> None:
        if op in (Notice.DEVICE, Notice.RING) and made:
            made[0].stirred()

    def connect(node: str, address: str) -> NodeClient:
        name = f"{settings.node.name}/replicator"
        return NodeClient.at(address or local, cluster_key, name=name, on_push=told)

    first = connect(settings.node.name, "")
    try:
        reply = await _first_ring(first, lifecycle)
    finally:
        await first.close()
    if reply is None:
        return None
    clock = HybridClock(random_writer_id())
    peers = Peers(
        reply, settings.node.name, clock, connect=connect, decode=lambda data: decode(data, trust=trust)
    )
    made.append(peers)
    return peers


async def _first_ring(client: NodeClient, lifecycle: Lifecycle) -> RingReply | None:
    while not lifecycle.draining.is_set():
        try:
            reply = await client.ring_get()
        except Unavailable:
            reply = None
        if reply is not None:
            return reply
        await asyncio.sleep(RETRY_S)
    return None


def _handlers(engine: Engine) -> dict[str, Any]:
    def status(call: Call) -> Reply:
        return Reply(engine.status())

    def sync(call: Call) -> Reply:
        engine.workers["watch"].wake()
        engine.workers["sync"].wake()
        return Reply()

    return {OP_STATUS: status, OP_SYNC: sync}
