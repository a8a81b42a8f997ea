"""Single keys: what their homes hold, bringing it to a majority, and writing under a new stamp."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.entry import Entry, Kind, Table, fingerprint, from_row, make_key, merge, row_stamp
from model.errors import NotEnoughReplicas, Unavailable
from model.stamp import ZERO, Stamp
from objectd.contract import CommitWrite, Confirmation, Found, Origin, Outcome, RawEntry
from replicator.mover import HELD, Mover
from replicator.peers import CALL_DEADLINE_MS, Peers
from replicator.places import has_majority
from replicator.plan import transfers
from replicator.promised import Settler

AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Looked:
    """What the homes of a key that answered hold; a row of None means nothing."""

    key: bytes
    homes: tuple[tuple[int, ...], ...]
    held: Mapping[int, RawEntry | None]
    merged: Entry | None

    @property
    def devices(self) -> tuple[int, ...]:
        """All homes, whether they answered or not."""
        return tuple(dict.fromkeys(device for homes in self.homes for device in homes))

    def holders(self, stamp: Stamp) -> list[int]:
        """Return the homes whose base has a stamp."""
        return [
            device for device, raw in self.held.items() if raw is not None and row_stamp(raw.row) == stamp
        ]

    @property
    def known(self) -> bool:
        """Whether a majority of each home set answered."""
        return has_majority(self.homes, self.held)


class Keys:
    """Reads and mends single keys."""

    def __init__(self, peers: Peers, mover: Mover) -> None:
        self.peers = peers
        self.mover = mover
        self.settler = Settler(peers, mover)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def look_up(self, key: bytes) -> Looked:
        """Return what all homes of a key that answer hold of it. Devices that fill do not answer."""
        homes = self.peers.epoch.home_sets(key[1:17])
        devices = dict.fromkeys(device for of in homes for device in of)
        live = [device for device in devices if device in self.peers.around.live]
        async with self._slots:
            answers = await asyncio.gather(
                *(self._read(node, key, owned) for node, owned in self.peers.by_node(live).items())
            )
        held: dict[int, RawEntry | None] = {}
        merged: Entry | None = None
        for found in (one for answer in answers for one in answer):
            if found.row is None:
                held[found.device] = None
                continue
            held[found.device] = RawEntry(key, found.row, found.payload_bytes)
            merged = merge(merged, from_row(key, found.row))
        return Looked(key, homes, held, merged)

    async def _read(self, node: str, key: bytes, devices: Sequence[int]) -> list[Found]:
        try:
            reply = await self.peers.client(node).read(
                key, devices, ask=len(devices), epoch=self.peers.epoch.number, want_payload=False
            )
        except Unavailable:
            return []
        return reply.found

    async def agree(self, key: bytes, *, lacking: Sequence[int] = ()) -> Looked:
        """Bring what homes hold of a key to all that answer, and return what was found.

        `lacking` are devices whose copy is bad, whatever they say. Raises NotEnoughReplicas unless in
        the end a majority of each home set has all of it.
        """
        looked = await self.look_up(key)
        if not looked.known:
            raise NotEnoughReplicas(f"{len(looked.held)} homes of {key.hex()} answer")
        merged = looked.merged
        if merged is None:
            return looked
        held = {device: raw for device, raw in looked.held.items() if device not in lacking}
        held.update(dict.fromkeys(device for device in lacking if device in looked.devices))
        held.update(self._silent(looked))
        entries = {device: from_row(key, raw.row) for device, raw in held.items() if raw is not None}
        planned = list(transfers(merged, entries, held))
        wanted = fingerprint(merged)
        short = {one for one in held if one not in entries or fingerprint(entries[one]) != wanted}
        delivery = await self.mover.run(planned)
        if Outcome.PROMISED in delivery.refused.get(key, ()) and await self.settler.settle(key):
            # What was found is settled now, on a majority or overtaken: see how it stands.
            looked = await self.look_up(key)
            held, merged = dict(looked.held), looked.merged
            if merged is None:
                return looked
            wanted = fingerprint(merged)
            short = {
                one
                for one, raw in held.items()
                if raw is None or fingerprint(from_row(key, raw.row)) != wanted
            }
        holders = (held.keys() - short) | delivery.held.get(key, set())
        if not has_majority(looked.homes, holders):
            raise NotEnoughReplicas(f"{len(holders)} homes of {key.hex()} take what was found")
        return looked

    def _silent(self, looked: Looked) -> dict[int, RawEntry | None]:
        """Return the homes that fill: they say nothing, and are sent what was found."""
        filling = self.peers.around.filling
        return {device: None for device in looked.devices if device in filling and device not in looked.held}

    async def write(
        self, entry: Entry, *, guard: bytes | None = None, if_empty: bool = False
    ) -> set[Outcome]:
        """Write an entry, without payload, to all of its homes; return the reasons of those that refused.

        With a guard or a condition it is judged as a client's write is. Raises NotEnoughReplicas where no
        majority of each home set took it and none refused for cause.
        """
        homes = self.peers.epoch.home_sets(entry.digest)
        judged = guard is not None or if_empty
        # Only homes that reads ask know whether a container lives: others may not have it yet.
        judges = frozenset(self.peers.epoch.read_homes(entry.digest)) if judged else frozenset()
        devices = dict.fromkeys(device for of in homes for device in of)
        row = entry.to_row()
        calls = []
        for device in devices:
            judge = device in judges
            write = CommitWrite(entry.key, row, (device,), 0, origin=Origin.REPAIR)
            if judge:
                write = write._replace(guard=guard, if_empty=if_empty, origin=Origin.CLIENT)
            calls.append(self._write(self.peers.epoch.node_of(device), write))
        outcomes = [one for answer in await asyncio.gather(*calls) for one in answer]
        taken = {device for device, outcome in outcomes if outcome in HELD}
        refusals = {outcome for _, outcome in outcomes if outcome not in HELD}
        if has_majority(homes, taken):
            return set()
        if Outcome.PROMISED in refusals and await self.settler.write(entry):
            return set()
        if refusals & {Outcome.NO_CONTAINER, Outcome.NOT_EMPTY}:
            return refusals
        raise NotEnoughReplicas(f"{len(taken)} homes of {entry.key.hex()} took a write")

    async def _write(self, node: str, write: CommitWrite) -> list[tuple[int, Outcome]]:
        try:
            (outcomes,) = await self.peers.client(node).commit(
                [write], epoch=self.peers.epoch.number, deadline_ms=CALL_DEADLINE_MS
            )
        except Unavailable:
            return []
        return [(device, outcome) for device, outcome, _ in outcomes]

    async def confirm(self, key: bytes, stamp: Stamp, *, also: Sequence[int] = ()) -> None:
        """Tell the homes of a key, and other devices, that the whole write it belongs to is done."""
        homes = self.peers.epoch.home_sets(key[1:17])
        devices = dict.fromkeys([*(device for of in homes for device in of), *also])
        for node, owned in self.peers.by_node(devices).items():
            try:
                await self.peers.client(node).confirm([Confirmation(key, stamp, owned)])
            except Unavailable:
                # That node's own replicator finds it pending, and confirms it.
                continue

    def stamp_after(self, *entries: Entry | None) -> Stamp:
        """Return a new stamp, later than everything in some entries."""
        newest = max((entry.newest for entry in entries if entry is not None), default=ZERO)
        self.peers.clock.observe(newest)
        return self.peers.clock.next()


def is_live(entry: Entry | None) -> bool:
    """Say whether an entry is there as data, not deleted."""
    return entry is not None and entry.kind is Kind.DATA


def container_key(digest: bytes) -> bytes:
    """Return the key of the container whose index has a placement digest."""
    return make_key(Table.CONTAINER, digest)


def account_key(digest: bytes) -> bytes:
    """Return the key of the account whose index has a placement digest."""
    return make_key(Table.ACCOUNT, digest)
