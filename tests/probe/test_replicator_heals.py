"""Real nodes and replicators: what was away, emptied or moved is whole again without a command."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from colonnade.client import open_colony
from colonnade.folder import Folder
from kit.cluster_key import read_cluster_key
from model.errors import NoSuchObject, Unavailable
from model.names import ContainerPath
from proxy.operations.types import HeldBody, NewObject
from replicator.client import ReplicatorClient
from tests.support.colony import Colony
from tests.support.in_step import wait_in_step

CONTAINER = ContainerPath("AUTH_probe", "box")
HEAL_S = 60.0


async def put(folder: Path, bodies: dict[str, bytes]) -> None:
    async with open_colony(folder) as colony:
        await colony.create_container(CONTAINER, "owner", {})
        for name, body in bodies.items():
            await colony.put_object(CONTAINER.object(name), NewObject(), HeldBody(body))


async def delete(folder: Path, names: list[str]) -> None:
    async with open_colony(folder) as colony:
        for name in names:
            await colony.delete_object(CONTAINER.object(name))


async def read(folder: Path, names: list[str]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    async with open_colony(folder) as colony:
        for name in names:
            try:
                opened = await colony.open_object(CONTAINER.object(name))
            except NoSuchObject:
                found[name] = None
                continue
            size = opened.stored.record.size
            data = opened.data
            pieces = [data] if data is not None else [piece async for piece in opened.read(0, size)]
            found[name] = b"".join(bytes(piece) for piece in pieces)
    return found


async def until_settled(folder: Path, epoch: int) -> None:
    """Wait until the replicator tells that a ring epoch has come."""
    node = Folder(folder)
    client = ReplicatorClient.at(str(node.run), read_cluster_key(node.cluster_key), name="probe")
    try:
        async with asyncio.timeout(HEAL_S):
            while True:
                try:
                    if (await client.status())["epoch"] >= epoch:
                        return
                except Unavailable:
                    pass
                await asyncio.sleep(0.1)
    finally:
        await client.close()


def bodies(word: str, count: int) -> dict[str, bytes]:
    return {f"{word}-{number}": os.urandom(700) for number in range(count)}


def test_a_node_that_was_away_is_in_step_and_stand_ins_are_empty(tmp_path: Path) -> None:
    kept = bodies("kept", 40)
    with Colony(tmp_path / "colony", nodes=3, devices=1, workers=1) as colony:
        asyncio.run(put(colony.data, {**kept, **bodies("gone", 20)}))
        colony.stop_node(3)
        changed = {**bodies("kept", 20), **bodies("new", 20), "large": os.urandom(3_000_000)}
        asyncio.run(put(colony.data, changed))
        asyncio.run(delete(colony.data, [f"gone-{number}" for number in range(20)]))
        colony.start_node(3)
        differences, _ = wait_in_step(colony.data, seconds=HEAL_S)
        assert not differences
        expected: dict[str, bytes | None] = {**kept, **changed, **{f"gone-{n}": None for n in range(20)}}
        assert asyncio.run(read(colony.data, list(expected))) == expected


def test_an_emptied_device_is_filled_and_a_moved_ring_settles(tmp_path: Path) -> None:
    kept = bodies("kept", 60)
    with Colony(tmp_path / "colony", devices=4, workers=1) as colony:
        asyncio.run(put(colony.data, kept))
        folder = Folder(colony.data)
        shutil.rmtree(folder.devices / "d2")
        (folder.devices / "d2").mkdir()
        differences, _ = wait_in_step(colony.data, seconds=HEAL_S)
        assert not differences
        command = [sys.executable, "-c", "from ring.cli import main; main()", "set-weight"]
        keys = ["--ring", str(folder.ring), "--key", str(folder.ring_key)]
        subprocess.run([*command, "1", "0.5", "--rebalance", *keys], check=True, capture_output=True)
        colony.command("ring", "push")
        asyncio.run(until_settled(colony.data, 11))
        differences, _ = wait_in_step(colony.data, seconds=HEAL_S)
        assert not differences
        assert asyncio.run(read(colony.data, list(kept))) == kept
