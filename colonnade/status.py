"""Gathers what `colonnade status` shows of supervisors, nodes, devices and ring, and says who is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from colonnade.client import open_node
from colonnade.control import Control, ask_supervisor
from colonnade.folder import Folder, FolderError, is_running
from colonnade.node_config import read_settings
from kit.cluster_key import read_cluster_key
from model.errors import ColonnadeError, NodeUnreachable, Unavailable
from objectd.client import NodeClient
from objectd.contract import DeviceStatus, Health, NodeStatus, Phase, split_epoch
from replicator.client import ReplicatorClient
from ring import loader
from ring.ringfile import decode
from ring.table import Ring

DEADLINE_MS: Final = 2_000
_PHASE_WORDS: Final = {
    Phase.INITIAL: "settled",
    Phase.WRITE_BOTH: "changing: writes go to old and new homes, reads to the old",
    Phase.READ_NEW: "changing: writes go to old and new homes, reads to the new",
    Phase.SETTLED: "settled",
}


async def gather_status(folder: Folder) -> dict[str, Any]:
    """Return the state of the colony as the node of a folder sees it, in plain values.

    Raises FolderError where no node runs there.
    """
    here = [one for one in (folder, *folder.further_nodes()) if is_running(one)]
    if folder not in here:
        raise FolderError(
            f"no colony runs at {folder.root}; start it with `colonnade up --data {folder.root}`"
        )
    supervisors = await asyncio.gather(*(_supervisor(one) for one in here))
    replicators = [found for one in here if (found := await _replicator(one)) is not None]
    ring, phase = await _ring(folder)
    nodes = await _nodes(folder, ring) if ring is not None else []
    problems = _problems(nodes, supervisors) + _losses(replicators)
    return {
        "data": str(folder.root),
        "healthy": not problems,
        "problems": problems,
        "ring": None if ring is None else _ring_words(ring, phase),
        "nodes": nodes,
        "replicators": replicators,
        "supervisors": supervisors,
        "gathered_ms": time.time_ns() // 1_000_000,
    }


async def _supervisor(folder: Folder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await ask_supervisor(folder, Control.STATUS, deadline_ms=DEADLINE_MS)
    except (ColonnadeError, FolderError) as error:
        return {"data": str(folder.root), "state": "not answering", "reason": str(error), "processes": []}
    endpoints = found.pop("endpoints")
    return {"data": str(folder.root), "s3": endpoints["s3"], "swift": endpoints["swift"], **found}


async def _replicator(folder: Folder) -> dict[str, Any] | None:
    """Return what a node's replicator says of itself (see replicator.report), None where it is silent."""
    run = read_settings(folder.config).node.run
    client = ReplicatorClient.at(run, read_cluster_key(folder.cluster_key), name="colonnade status")
    try:
        return await client.status(deadline_ms=DEADLINE_MS)
    except Unavailable:
        return None
    finally:
        await client.close()


async def _ring(folder: Folder) -> tuple[Ring | None, Phase]:
    """Return the ring that the node here has adopted, else that of its file."""
    trust = loader.pinned_trust(folder.ring)
    try:
        async with open_node(folder) as node:
            reply = await node.ring_get(deadline_ms=DEADLINE_MS)
    except Unavailable:
        reply = None
    if reply is not None:
        return decode(reply.data, trust=trust), reply.phase
    try:
        return loader.load(folder.ring), Phase.INITIAL
    except OSError:
        return None, Phase.INITIAL


def _ring_words(ring: Ring, phase: Phase) -> dict[str, Any]:
    return {
        "version": ring.version,
        "phase": phase.name.lower(),
        "phase_words": _PHASE_WORDS[phase],
        "partitions": ring.partition_count,
        "replicas": ring.replicas,
        "devices": len(ring.devices),
    }


async def _nodes(folder: Folder, ring: Ring) -> list[dict[str, Any]]:
    """Return a row for each node of the ring, each asked at its own address."""
    here = read_settings(folder.config).node.name
    addresses = {device.node: device.address for device in ring.devices.values()}
    addresses[here] = f"unix:{folder.objectd_socket}"
    key = read_cluster_key(folder.cluster_key)
    found = await asyncio.gather(*(_node(name, addresses[name], key, ring) for name in sorted(addresses)))
    return list(found)


async def _node(name: str, address: str, key: bytes, ring: Ring) -> dict[str, Any]:
    expected = {device.id: device.name for device in ring.devices.values() if device.node == name}
    client = NodeClient.at(address, key, name="colonnade status")
    try:
        status = await client.status(deadline_ms=DEADLINE_MS)
    except Unavailable as error:
        reason = "down" if isinstance(error, NodeUnreachable) else str(error)
        devices: list[dict[str, Any]] = [
            {"id": device, "name": word, "node": name, "health": "unreachable"}
            for device, word in expected.items()
        ]
        return {"name": name, "address": address, "up": False, "reason": reason, "devices": devices}
    finally:
        await client.close()
    return _node_row(status, name, address, expected)


def _node_row(status: NodeStatus, name: str, address: str, expected: dict[int, str]) -> dict[str, Any]:
    devices = [
        _device_row(one, name, expected.get(one.device_id, ""), filling=one.device_id in status.filling)
        for one in status.devices
    ]
    served = {one.device_id for one in status.devices}
    devices += [
        {"id": device, "name": word, "node": name, "health": "absent"}
        for device, word in expected.items()
        if device not in served
    ]
    version, phase = split_epoch(status.epoch)
    return {
        "name": name,
        "address": address,
        "up": True,
        "ready": status.ready,
        "ring_version": version,
        "ring_phase": phase.name.lower(),
        "started_ms": status.started_ms,
        "repairs_waiting": status.repairs_waiting,
        "devices": sorted(devices, key=lambda row: int(row["id"])),
    }


def _device_row(status: DeviceStatus, node: str, name: str, *, filling: bool) -> dict[str, Any]:
    return {
        "id": status.device_id,
        "name": name,
        "node": node,
        "path": status.path,
        "health": {Health.OK: "ok", Health.READ_ONLY: "read-only", Health.FAILED: "failed"}[status.health],
        "filling": filling,
        "reason": status.reason,
        "capacity_bytes": status.capacity_bytes,
        "free_bytes": status.free_bytes,
        "live_bytes": status.live_bytes,
        "dead_bytes": status.dead_bytes,
        "entry_count": status.entry_count,
        "quarantined_count": status.quarantined_count,
        "oldest_verified_ms": status.oldest_verified_ms,
    }


def _losses(replicators: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{found['lost']} records that {found['node']} leads have no good copy left"
        for found in replicators
        if found.get("lost")
    ]


def _problems(nodes: Sequence[dict[str, Any]], supervisors: Sequence[dict[str, Any]]) -> list[str]:
    found = [f"node {node['name']} is {node['reason']}" for node in nodes if not node["up"]]
    for node in nodes:
        for device in node["devices"]:
            if node["up"] and device["health"] != "ok":
                reason = device.get("reason") or "see the log of objectd"
                found.append(f"device {device['id']} of {node['name']} is {device['health']}: {reason}")
            if count := device.get("quarantined_count"):
                found.append(f"device {device['id']} of {node['name']} has {count} quarantined records")
    versions = {(node["ring_version"], node["ring_phase"]) for node in nodes if node["up"]}
    if len(versions) > 1:
        found.append("nodes are at different ring versions or phases")
    for supervisor in supervisors:
        if supervisor["state"] == "not answering":
            found.append(f"the supervisor of {supervisor['data']} does not answer: {supervisor['reason']}")
        found += [
            f"{row['name']} of {supervisor['data']} is {row['state']}"
            for row in supervisor["processes"]
            if row["state"] not in ("running", "restarting")
        ]
    return found
