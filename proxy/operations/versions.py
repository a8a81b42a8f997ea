"""Finding the current version of an object: what a majority of homes tell of it, made to agree.

Each home tells the null version and its other versions, the newest first, down to its first live one.
Merged key by key they decide which version is current; whatever decided it and is not yet on a majority (the
version itself, the removal of a newer one) is brought there before anybody is told. So no later reader
sees an older state, as `find` sees to for a single key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.entry import Entry, Kind, fingerprint, from_row, is_listed, merge, row_stamp
from model.errors import NodeUnreachable, NotEnoughReplicas, StaleRing, Unavailable
from model.names import object_key
from model.stamp import ZERO, Stamp
from model.versions import current_of, order_stamp
from objectd.contract import ToldVersions, VersionsWanted
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import ReadQuorum
from proxy.operations.read import Found, Overtaken, find, patiently


async def find_current(nodes: Nodes, digest: bytes, *, payload: bool = False) -> Found | None:
    """Return the entry of the current version, which may be a delete marker, or None where there is none.

    Raises NotEnoughReplicas where no majority of homes answers for a while.
    """

    async def attempt() -> Found | None:
        return await _Lookup(nodes, digest).current(payload=payload)

    try:
        return await attempt()
    except (StaleNode, NotEnoughReplicas, Overtaken) as error:
        return await patiently(nodes, attempt, error)


async def observe_versions(nodes: Nodes, digest: bytes) -> None:
    """Take note of the newest stamp of any version, so that the next stamp is newer than all of them.

    Raises NotEnoughReplicas as `find_current` does.
    """

    async def attempt() -> None:
        await _Lookup(nodes, digest).observe()

    try:
        await attempt()
    except (StaleNode, NotEnoughReplicas) as error:
        await patiently(nodes, attempt, error)


@dataclass(slots=True)
class _Told:
    """What one device has told so far: rows and payload bytes by suffix, in order, up to `last`."""

    rows: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    last: bytes = b""
    is_all: bool = False

    def add(self, told: ToldVersions) -> None:
        for suffix, row, payload_bytes in told.entries:
            self.rows[suffix] = (row, payload_bytes)
            self.last = suffix
        self.is_all = told.is_all


class _Lookup:
    """One try at an object."""

    __slots__ = ("_failed", "_stale", "_told", "digest", "epoch", "nodes", "quorum")

    def __init__(self, nodes: Nodes, digest: bytes) -> None:
        self.nodes = nodes
        self.epoch = nodes.epoch
        self.digest = digest
        self.quorum = ReadQuorum(nodes.read_sets(digest))
        self._told: dict[int, _Told] = {}
        self._failed: set[int] = set()
        self._stale: StaleNode | None = None

    async def observe(self) -> None:
        """Observe the newest stamps that a majority tells of."""
        await self._ask_majority()
        self._observe(self._merged())

    async def current(self, *, payload: bool) -> Found | None:
        """Return the current version, agreed. Raises Overtaken, NotEnoughReplicas, StaleNode."""
        await self._ask_majority()
        while True:
            merged = self._merged()
            first = _first_live(merged)
            short = [device for device, told in self._told.items() if _ends_before(told, first)]
            if not short:
                break
            await self._ask_on(short, first)
        self._observe(merged)
        deciding = {suffix: one for suffix, one in merged.items() if self._decides(suffix, one, first)}
        await self._agree(deciding)
        entry = current_of(deciding.values())
        if entry is None:
            return None
        if not payload or entry.kind is not Kind.DATA or not entry.size:
            return Found(entry, self._holders(entry))
        found = await find(self.nodes, entry.key, payload=True)
        if found is None or found.entry.stamp != entry.stamp:
            raise Overtaken
        return found

    # Asking.

    async def _ask_majority(self) -> None:
        quorum = self.quorum
        asked: Sequence[int] = quorum.homes
        while True:
            two_sets = len(quorum.home_sets) > 1
            count = len(asked) if two_sets else quorum.lacking(self._told)
            await self._ask(asked, count, VersionsWanted())
            if quorum.lacking(self._told) <= 0:
                return
            if self._stale is not None:
                raise self._stale
            asked = tuple(quorum.unasked([*self._told, *self._failed]))
            if not asked:
                raise NotEnoughReplicas(f"{len(self._told)} of {len(quorum.homes)} replicas answer")

    async def _ask_on(self, devices: Sequence[int], first: Entry | None) -> None:
        """Have devices that stopped short tell as far as to the version that is current by now."""
        down_to = b"" if first is None else first.suffix
        wanted = {device: VersionsWanted(self._told[device].last, down_to) for device in devices}
        await asyncio.gather(*(self._ask((device,), 1, one) for device, one in wanted.items()))
        if self._stale is not None:
            raise self._stale
        if any(device in self._failed for device in devices):
            raise NotEnoughReplicas("a replica fell silent while it told of versions")

    async def _ask(self, devices: Sequence[int], count: int, wanted: VersionsWanted) -> None:
        calls: list[tuple[str, Sequence[int], asyncio.Future[Any]]] = []
        for node, owned in self.nodes.homes_by_node(devices).items():
            if count <= 0:
                break
            ask = min(len(owned), count)
            try:
                call = self.nodes.client(node).submit_versions(
                    self.digest, owned, wanted, ask=ask, epoch=self.epoch.number
                )
            except Unavailable as error:
                self._node_failed(node, owned, error)
                continue
            calls.append((node, owned, call))
            count -= ask
        for node, asked, call in calls:
            try:
                reply = await call
            except StaleRing as error:
                self._stale = StaleNode(node, error)
                self._failed.update(asked)
            except Unavailable as error:
                self._node_failed(node, asked, error)
            else:
                answered = {fields[0]: ToldVersions(*fields) for fields in reply.head}
                for device, told in answered.items():
                    self._told.setdefault(device, _Told()).add(told)
                if len(answered) < len(asked):
                    self._failed.update(device for device in asked if device not in answered)

    def _node_failed(self, node: str, owned: Sequence[int], error: Unavailable) -> None:
        if isinstance(error, NodeUnreachable):
            self.nodes.note_down(node)
        self._failed.update(owned)

    # Judging.

    def _merged(self) -> dict[bytes, Entry]:
        """Return the merge of what was told, by suffix in order."""
        merged: dict[bytes, Entry] = {}
        rows: dict[bytes, bytes] = {}
        head = object_key(self.digest)
        for told in self._told.values():
            for suffix, (row, _) in told.rows.items():
                if rows.get(suffix) == row:
                    continue
                rows[suffix] = row
                merged[suffix] = merge(merged.get(suffix), from_row(head + suffix, row))
        return dict(sorted(merged.items()))

    def _decides(self, suffix: bytes, entry: Entry, first: Entry | None) -> bool:
        """Say whether an entry has a part in which version is current."""
        if entry.kind is Kind.EMPTY:
            return False
        if suffix:
            return first is None or suffix <= first.suffix
        # Of the null version what matters is whether it, or one that it replaced, is newer than the rest.
        return first is None or any(
            row_stamp(told.rows[b""][0]) > order_stamp(first)
            for told in self._told.values()
            if b"" in told.rows
        )

    async def _agree(self, deciding: Mapping[bytes, Entry]) -> None:
        """Bring what decides to a majority, where it is not there yet. Raises Overtaken where it changes."""
        for suffix, entry in deciding.items():
            if self.quorum.lacking(self._having(suffix, entry)) <= 0:
                continue
            found = await find(self.nodes, entry.key)
            if found is None or fingerprint(found.entry) != fingerprint(entry):
                raise Overtaken

    def _having(self, suffix: bytes, entry: Entry) -> list[int]:
        """Return the devices that hold all of an entry."""
        wanted = fingerprint(entry)
        same: dict[bytes, bool] = {}
        having = []
        for device, told in self._told.items():
            held = told.rows.get(suffix)
            if held is None:
                continue
            if held[0] not in same:
                same[held[0]] = fingerprint(from_row(entry.key, held[0])) == wanted
            if same[held[0]]:
                having.append(device)
        return having

    def _holders(self, entry: Entry) -> dict[int, int]:
        holders = {}
        for device, told in self._told.items():
            row, payload_bytes = told.rows.get(entry.suffix, (b"", -1))
            if payload_bytes >= 0 and row_stamp(row) == entry.stamp:
                holders[device] = payload_bytes
        return holders

    def _observe(self, merged: Mapping[bytes, Entry]) -> None:
        newest: Stamp = max((entry.newest for entry in merged.values()), default=ZERO)
        self.nodes.clock.observe(newest)


def _first_live(merged: Mapping[bytes, Entry]) -> Entry | None:
    """Return the newest live version but for the null one."""
    return next((entry for suffix, entry in merged.items() if suffix and is_listed(entry.kind)), None)


def _ends_before(told: _Told, first: Entry | None) -> bool:
    return not told.is_all and (first is None or told.last < first.suffix)
