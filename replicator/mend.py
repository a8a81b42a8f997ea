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

    async def _mend(self, key: bytes, bad: Collection[int]) -> bool:
        """Bring one key to all of its homes; what cannot be done now, comparison finds again."""
        try:
            if key[0] in (Table.CONTAINER, Table.ACCOUNT):
                merged = (await self._keys.look_up(key)).merged
                if merged is not None and merged.kind is Kind.TOMBSTONE:
                    # Deletions of containers are spread by those who ask every home: see containers.py.
                    return False
            await self._keys.agree(key, lacking=tuple(bad))
        except (Unavailable, CorruptRecord) as error:
            _log.info("key not mended", extra={"key": key.hex(), "reason": str(error)})
            return False
        return True
