"""What has to be copied where, so that replicas come to the merge of them all. Pure.

The merge of entries (model.entry.merge) is the whole truth about a key; a device that lacks some
register of it is sent what it lacks: side registers alone where it has the base, else the entry with its
payload. Three rules go beyond the merge:

*Deleting a container needs consent.* Its tombstone holds only if no home lists a live object, which
each home judges for itself. Until a majority has taken it, it is not spread as a fact.

*What is older than the reclaim age and on no trusted home was deleted.* Tombstones are forgotten once
all homes have them; a device that comes from elsewhere (a stand-in, a home that is new to the
partition) may still hold what they deleted. Such an entry is dropped: were it acknowledged
and alive, a majority of the homes would have it.

*A repair never invents.* It copies registers with the stamps they have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from model.entry import Entry, Kind, Table, fingerprint, from_row, merge, only_sides
from model.stamp import ZERO, Stamp
from objectd.contract import RawEntry
from replicator.places import has_majority

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Payloads of one commit."""
CHUNK_ENTRIES: Final = 256
_CONSENT: Final = (Table.CONTAINER, Table.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Transfer:
    """An entry that devices lack.

    Where `payload_bytes` is not 0, the payload goes with it, read from one of `sources`. `ballot` is that
    under which devices take what they would refuse else.
    """

    entry: Entry
    targets: tuple[int, ...]
    payload_bytes: int = 0
    sources: tuple[int, ...] = ()
    ballot: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """An entry that a device must forget, as long as its newest stamp is still this one."""

    device: int
    key: bytes
    stamp: Stamp


@dataclass(slots=True)
class Plan:
    """What a comparison comes to. `consents` are container tombstones that are on a minority."""

    transfers: list[Transfer] = field(default_factory=list)
    consents: list[Entry] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one partition.

    `homes` are its home sets. `doubted` are devices whose word alone does not count for entries with
    stamps before `reclaimed`: nothing that old is believed that only they hold.
    """

    homes: Sequence[Sequence[int]]
    doubted: frozenset[int] = frozenset()
    reclaimed: Stamp = ZERO


def plan_keys(rows: Mapping[int, Mapping[bytes, RawEntry]], rules: Rules) -> Plan:
    """Plan for all keys that devices hold in one range: `rows` has every device compared, by key."""
    plan = Plan()
    keys = sorted(set().union(*(held.keys() for held in rows.values())))
    for key in keys:
        plan_key(plan, key, {device: held.get(key) for device, held in rows.items()}, rules)
    return plan


def plan_key(plan: Plan, key: bytes, held: Mapping[int, RawEntry | None], rules: Rules) -> None:
    """Add to a plan what one key needs; `held` has every device compared."""
    rows = {raw.row for raw in held.values() if raw is not None}
    if len(rows) <= 1 and None not in held.values():
        return
    entries = {device: from_row(key, raw.row) for device, raw in held.items() if raw is not None}
    merged: Entry | None = None
    for entry in entries.values():
        merged = merge(merged, entry)
    if merged is None:
        return
    if merged.newest < rules.reclaimed and rules.doubted and rules.doubted.issuperset(entries):
        plan.drops += [Drop(device, key, entry.newest) for device, entry in entries.items()]
        return
    if merged.kind is Kind.TOMBSTONE and merged.table in _CONSENT:
        holders = {device for device, entry in entries.items() if entry.stamp == merged.stamp}
        if not has_majority(rules.homes, holders):
            plan.consents.append(merged)
            return
    plan.transfers += transfers(merged, entries, held)


def transfers(
    merged: Entry, entries: Mapping[int, Entry], held: Mapping[int, RawEntry | None]
) -> Iterator[Transfer]:
    """Yield what devices lack of the merge of their entries; those absent from `entries` lack all."""
    wanted = fingerprint(merged)
    lacking_base: list[int] = []
    lacking_sides: list[int] = []
    sources: dict[int, int] = {}
    for device, raw in held.items():
        entry = entries.get(device)
        if entry is None or entry.stamp != merged.stamp:
            lacking_base.append(device)
            continue
        if raw is not None and raw.payload_bytes >= 0:
            sources[device] = raw.payload_bytes
        if fingerprint(entry) != wanted:
            lacking_sides.append(device)
    # A record without its bytes is worse than none: where every copy of them is lost, nothing is sent.
    if lacking_base and (sources or merged.kind is not Kind.DATA):
        payload_bytes = max(sources.values(), default=0)
        yield Transfer(merged, tuple(lacking_base), payload_bytes, tuple(sources))
    if lacking_sides:
        yield Transfer(only_sides(merged.key, merged.sides), tuple(lacking_sides))


def chunks(
    planned: Iterable[Transfer], *, bytes_max: int = CHUNK_BYTES, entries_max: int = CHUNK_ENTRIES
) -> Iterator[list[Transfer]]:
    """Yield transfers in groups that one commit takes; a payload above the limit comes alone."""
    chunk: list[Transfer] = []
    size = 0
    for transfer in planned:
        cost = transfer.payload_bytes + len(transfer.entry.value)
        if chunk and (size + cost > bytes_max or len(chunk) >= entries_max):
            yield chunk
            chunk, size = [], 0
        chunk.append(transfer)
        size += cost
    if chunk:
        yield chunk


def stamp_before(now_ms: int, age_s: int) -> Stamp:
    """Return the stamp that divides what is older than an age from what is not."""
    then_ms = max(0, now_ms - age_s * 1000)
    return Stamp((then_ms << 16).to_bytes(8, "big") + bytes(8))


def reached_majority(
    homes: Sequence[Sequence[int]], reached: Collection[int], filling: Collection[int]
) -> bool:
    """Say whether a comparison heard enough homes to know all that was acknowledged.

    A device that fills lacks what it acknowledged once: it counts for nothing.
    """
    return has_majority(homes, [device for device in reached if device not in filling])
