"""Writing an object and its row together, and what is told where homes refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from model.entry import KEY_HEAD_BYTES, Entry, Kind, is_listed
from model.errors import DeviceFull, NoSuchContainer, NotEnoughReplicas
from model.names import ObjectPath
from model.objects import pack_names
from model.stamp import Stamp, just_after
from objectd.contract import Outcome
from proxy.operations.conditional import Glance, Judge
from proxy.operations.nodes import Nodes
from proxy.operations.stamping import write_stamped, write_stamped_if
from proxy.operations.write import Update, Written, write


async def write_object(
    nodes: Nodes, path: ObjectPath, build: Callable[[Stamp], Sequence[Update]], *, looked_up: bool = False
) -> Stamp:
    """Write updates under a new stamp, and once more where a clock ahead of ours hides them.

    See proxy.operations.stamping. `looked_up` says that the newest stamp was observed beforehand.
    Raises NoSuchContainer, DeviceFull, NotEnoughReplicas.
    """
    stamp, updates, written = await write_stamped(nodes, build, looked_up=looked_up)
    if not all(one.durable for one in written):
        await _refuse(nodes, path, stamp, updates, written)
    return stamp


async def write_object_if(
    nodes: Nodes,
    path: ObjectPath,
    key: bytes,
    judge: Judge,
    build: Callable[[Stamp], Sequence[Update]],
    *,
    glance: Glance | None = None,
) -> Stamp | None:
    """Write updates where the judge of what is there allows it; return their stamp, None for nothing done.

    Exactly one of those that race takes effect. `key` is that of the version which the judge looks at, or
    the null one where that is the current one. Raises what the judge raises, Contended where others kept
    coming first, and as `write_object`.
    """
    also = key if len(key) > KEY_HEAD_BYTES else None
    done = await write_stamped_if(nodes, key[1:KEY_HEAD_BYTES], judge, build, also=also, glance=glance)
    if done is None:
        return None
    stamp, updates, written = done
    if not all(one.durable for one in written):
        await _refuse(nodes, path, stamp, updates, written)
    return stamp


async def _refuse(
    nodes: Nodes, path: ObjectPath, stamp: Stamp, updates: Sequence[Update], written: Sequence[Written]
) -> NoReturn:
    refusals = {refusal for one in written if not one.durable for refusal in one.refusals}
    if Outcome.NO_CONTAINER in refusals:
        await _withdraw(nodes, path, stamp, updates)
        raise NoSuchContainer(path.container)
    if Outcome.FULL in refusals:
        raise DeviceFull("too many of the devices that should hold this object are full")
    raise NotEnoughReplicas("the write did not reach a majority of its replicas")


async def _withdraw(nodes: Nodes, path: ObjectPath, stamp: Stamp, updates: Sequence[Update]) -> None:
    """Hide what was written although its container had gone, and nothing that came after it."""
    names = pack_names(path)
    after = just_after(stamp)
    tombstones = [
        Update(Entry(one.entry.key, after, Kind.TOMBSTONE, 0, names))
        for one in updates
        if is_listed(one.entry.kind)
    ]
    await write(nodes, tombstones, patience_ms=0)
