"""Mends single keys that a node knows to be lacking: repair hints, and records set aside by a checksum."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from model.entry import Kind, Table
from model.errors import CorruptRecord, Unavailable
from replicator.keys import Keys
from replicator.peers import Peers
from replicator.places import has_majority
from replicator.plan import Drop

HINTS_PER_STEP: Final = 2_000

_log = logging.getLogger(__name__)


class Mender:
    """Takes hints and quarantined keys of this node, and brings good copies."""

    def __init__(self, peers: Peers, keys: Keys) -> None:
        self._peers = peers
        self._keys = keys
        self.mended_count = 0
        self.waiting_count = 0
        self.lost_count = 0

    async def step(self) -> bool:
        """Mend what is known now; say whether there was so much that more may wait."""
        peers = self._peers
        hints = await peers.local.repairs(limit=HINTS_PER_STEP)
        lacking = {hint.key: set(hint.devices) for hint in hints}
        bad: dict[bytes, set[int]] = {}
        for device in peers.local_devices():
            try:
                keys = await peers.local.quarantined(device, limit=HINTS_PER_STEP)
            except Unavailable:
                continue
            for key in keys:
                bad.setdefault(key, set()).add(device)
        wanted = lacking.keys() | bad.keys()
        self.waiting_count = len(wanted)
        done = await asyncio.gather(*(self._mend(key, bad.get(key, ())) for key in wanted))
        self.mended_count += sum(done)
        self.lost_count = sum(not one for key, one in zip(wanted, done, strict=True) if key in bad)
        self.waiting_count = self.lost_count
        return len(hints) >= HINTS_PER_STEP

    async def _give_up(self, key: bytes, bad: Collection[int]) -> bool:
        """Forget a write whose only bytes are lost and that never was acknowledged; say whether it was one.

        Had it been acknowledged, or returned to a reader, a majority of the homes would hold it; and it is
        pending still, so nobody has called it finished. Left in place it would make the object unreadable.
        """
        looked = await self._keys.look_up(key)
        newest = looked.merged
        if newest is None or newest.kind is not Kind.DATA or len(looked.held) < len(looked.devices):
            return False
        holders = looked.holders(newest.stamp)
        if not set(holders) <= set(bad) or any(has_majority((of,), holders) for of in looked.homes):
            return False
        peers = self._peers
        for device in holders:
            pending = await peers.of_device(device).pending(device, 0, epoch=peers.epoch.number)
            if not any(one.key == key for one in pending):
                _log.error("the last copy of a record is lost", extra={"key": key.hex(), "device": device})
                return False
        _log.warning("gave up a write that nobody acknowledged", extra={"key": key.hex()})
        drops = [Drop(device, key, newest.newest) for device in holders]
        return await self._keys.mover.forget(drops) == len(drops)

    async def _mend(self, key: bytes, bad: Collection[int]) -> bool:
        """Bring one key to all of its homes; what cannot be done now, comparison finds again."""
        try:
            if key[0] in (Table.CONTAINER, Table.ACCOUNT):
                merged = (await self._keys.look_up(key)).merged
                if merged is not None and merged.kind is Kind.TOMBSTONE:
                    # Deletions of containers are spread by those who ask every home: see containers.py.
                    return False
            if bad and await self._give_up(key, bad):
                return True
            await self._keys.agree(key, lacking=tuple(bad))
        except (Unavailable, CorruptRecord) as error:
            _log.info("key not mended", extra={"key": key.hex(), "reason": str(error)})
            return False
        return True
