"""Manifests of many parts: their list goes into the payload at a write, and comes back at a read."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from model.manifests import (
    NUMBERS,
    number_runs,
    pack_parts,
    parts_lie_in_payload,
    too_large_for_record,
    unpack_parts,
)
from model.objects import Part
from model.stamp import Stamp
from proxy.operations.nodes import Nodes
from proxy.operations.read import Found, read_payload
from proxy.operations.types import BodySource, HeldBody, NewObject, StoredObject

CACHED_MAX: Final = 8
"""Lists kept in memory: readers of ranges come again, and to decode 10,000 parts takes some time."""


def as_stored(new: NewObject, body: BodySource) -> tuple[NewObject, BodySource]:
    """Return what is stored for a new object, its parts list as the payload where it is large."""
    if not too_large_for_record(new.parts):
        return new, body
    extra = {**new.extra, NUMBERS: number_runs(part.number for part in new.parts)}
    return replace(new, parts=(), extra=extra, checksums=()), HeldBody(pack_parts(new.parts))


class Manifests:
    """Fetches the parts lists that lie in payloads, and remembers the last few."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._cached: OrderedDict[tuple[bytes, Stamp], tuple[Part, ...]] = OrderedDict()

    async def with_parts(self, stored: StoredObject, found: Found) -> StoredObject:
        """Return an object with the parts in its record, wherever they lie. Raises NotEnoughReplicas."""
        if not parts_lie_in_payload(stored.record):
            return stored
        of = found.entry.key, stored.stamp
        parts = self._cached.get(of)
        if parts is None:
            payload_bytes = max(found.holders.values(), default=0)
            payload = b"".join([chunk async for chunk in read_payload(self._nodes, found, 0, payload_bytes)])
            parts = self._cached[of] = unpack_parts(payload)
            if len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)
        else:
            self._cached.move_to_end(of)
        return replace(stored, record=replace(stored.record, parts=parts))
