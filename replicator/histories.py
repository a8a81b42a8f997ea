"""What else there is of an object beside one version: whether an older one would show once that is gone."""

from __future__ import annotations

from model.containers import Versioning, registers, versioning_of
from model.entry import Entry, from_row, is_listed, row_kind
from model.names import ObjectPath, object_key
from model.versions import order_stamp
from replicator.compare import Comparer
from replicator.keys import Keys, container_key
from replicator.peers import Peers


class Histories:
    """Looks at all versions of an object, on every home."""

    def __init__(self, peers: Peers, comparer: Comparer, keys: Keys) -> None:
        self._peers = peers
        self._comparer = comparer
        self._keys = keys

    async def hides_others(self, path: ObjectPath, entry: Entry) -> bool:
        """Say whether a version is the current one and hides an older one; yes where it cannot be known."""
        container = container_key(self._peers.epoch.digest(path.account, path.container))
        held = (await self._keys.look_up(container)).merged
        if held is None or versioning_of(registers(held.sides)) is Versioning.OFF:
            return False
        stands = order_stamp(entry)
        is_above = False
        first = object_key(entry.digest)
        home_sets = self._peers.epoch.home_sets(entry.digest)
        for device in dict.fromkeys(home for homes in home_sets for home in homes):
            if device not in self._peers.around.live:
                return True
            async for page in self._comparer.pages(device, first, first + b"\xff" * 17):
                for raw in page:
                    if raw.key == entry.key or not is_listed(row_kind(raw.row)):
                        continue
                    if order_stamp(from_row(raw.key, raw.row)) > stands:
                        return False
                    is_above = True
        return is_above
