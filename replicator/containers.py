"""Tombstones of containers and accounts that did not reach a majority: settled by asking every home again.

A container is deleted when a majority of its homes took the tombstone while listing nothing live. A
proxy that dies half way leaves it on a minority; were it merged like any other entry, it would
delete a container that homes refused to delete, with acknowledged objects in it.
"""

from __future__ import annotations

import logging

from model.entry import Entry, Kind, from_row
from model.errors import Unavailable
from model.stamp import Stamp
from objectd.contract import Outcome
from replicator.keys import Keys, Looked
from replicator.places import has_majority

_log = logging.getLogger(__name__)


class Settlement:
    """Settles tombstones of containers and accounts."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def settle(self, tombstone: Entry) -> bool:
        """Have a majority accept the tombstone, or restore the container; say whether either was done."""
        try:
            looked = await self._keys.look_up(tombstone.key)
            newest = looked.merged
            if newest is None or newest.stamp != tombstone.stamp:
                return True
            if not looked.known:
                return False
            refusals: set[Outcome] = set()
            if not has_majority(looked.homes, looked.holders(newest.stamp)):
                refusals = await self._keys.write(newest, if_empty=True)
            elif await self.lists_live_rows(newest.digest):
                refusals = {Outcome.NOT_EMPTY}
            if Outcome.NOT_EMPTY in refusals:
                return await self.restore(looked)
            await self._keys.agree(tombstone.key)
            await self._keys.confirm(newest.key, newest.newest)
        except Unavailable as error:
            _log.info("container not settled", extra={"reason": str(error)})
            return False
        return True

    async def lists_live_rows(self, digest: bytes) -> bool:
        """Say whether a majority of the homes of an index that reads ask list a live row."""
        peers = self._keys.peers
        homes = peers.epoch.read_homes(digest)
        counts: dict[int, int] = {}
        for node, owned in peers.by_node(homes).items():
            (groups,) = await peers.client(node).groups([(digest, owned)], epoch=peers.epoch.number)
            counts.update({device: group.count for device, group in groups})
        return has_majority((homes,), [device for device, count in counts.items() if count])

    async def restore(self, looked: Looked) -> bool:
        """Write a container anew as the homes had it that did not delete it; say whether there was one."""
        live: Entry | None = None
        for raw in looked.held.values():
            entry = None if raw is None else from_row(looked.key, raw.row)
            if entry is not None and entry.kind is Kind.DATA and (live is None or entry.stamp > live.stamp):
                live = entry
        if live is None:
            return False
        stamp = self._keys.stamp_after(looked.merged)
        after = Stamp((int.from_bytes(stamp, "big") + 1).to_bytes(len(stamp), "big"))
        sides = {name: (after, value) for name, (_, value) in live.sides.items()}
        await self._keys.write(Entry(live.key, stamp, Kind.DATA, live.size, live.value, sides))
        _log.warning("container restored: its deletion was refused by homes that list objects")
        return True
