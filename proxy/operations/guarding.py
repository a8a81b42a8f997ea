"""Writing updates whose guards must live: homes that missed a container's making are mended, not believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from model.entry import Kind
from objectd.contract import Origin, Outcome
from proxy.operations.nodes import Nodes
from proxy.operations.read import find
from proxy.operations.write import PATIENCE_MS, Heard, Update, Written, write


async def write_guarded(nodes: Nodes, updates: Sequence[Update]) -> list[Written]:
    """Write updates; where homes refuse for want of a container that lives, mend them and try again.

    A home may have missed the container's making. Only what a majority says of it counts.
    """
    heard = [Heard() for _ in updates]
    written = await write(nodes, updates, heard=heard)
    if all(one.durable for one in written):
        return written
    give_up = asyncio.get_running_loop().time() + PATIENCE_MS / 1000
    while True:
        refused = [
            update.guard
            for update, one in zip(updates, written, strict=True)
            if update.guard is not None and not one.durable and Outcome.NO_CONTAINER in one.refusals
        ]
        if not refused or asyncio.get_running_loop().time() > give_up:
            return written
        container = await find(nodes, refused[0])
        if container is None or container.entry.kind is not Kind.DATA:
            return written
        await write(nodes, (Update(container.entry, origin=Origin.REPAIR),))
        written = await write(nodes, updates, heard=heard)
