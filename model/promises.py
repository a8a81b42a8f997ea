"""Promises: what a replica swears to a conditional write, what it then refuses, what a proposer may do. Pure.

A conditional write takes a stamp c, its *ballot*, and has a majority of the homes *promise* it: from then
on they take nothing of that object that is older than c, unless under that very ballot. What they
answer tells the proposer the state that it alone can change now. A promise is an entry like any other, a
tombstone in a table of its own under the object's digest: durable, merged to the newest, brought in step
and reclaimed as all tombstones are. A home forgets it once it holds the object in a newer base.

A proposer that dies leaves promises, and maybe its write, on some homes. Whoever is refused by such a
promise takes a higher ballot and settles what is there by `decide`. docs/decisions/0009-conditional-writes.md
argues each rule; tests/unit/model/test_promises_exhaustively.py tries all orders of a small world.

Sources: Lamport, "Paxos Made Simple", 2001; Rystsov, "CASPaxos: Replicated State Machines without
logs", 2018.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from model.entry import Entry, Kind, Table, fingerprint, make_key, merge
from model.stamp import STAMP_BYTES, ZERO, Stamp, just_after

WAS: Final = "was"
"""The side register of a base that was written anew by another than its writer: the stamps it had before."""
WAS_MARK: Final = b"\xa3was"
"""What the row of such an entry contains; a row without it has no such register."""


def promise_key(digest: bytes) -> bytes:
    """Return the key of the promise for all versions of an object."""
    return make_key(Table.PROMISE, digest)


def promise_entry(digest: bytes, ballot: Stamp) -> Entry:
    """Return the entry by which a home promises a ballot."""
    return Entry(promise_key(digest), ballot, Kind.TOMBSTONE)


def refuses(entry: Entry, ours: Entry | None, promise: Stamp | None, ballot: Stamp | None) -> bool:
    """Say whether a home that holds `ours` and has promised `promise` must refuse to take an entry.

    Under a ballot it takes what is new only by the very promise: one that it forgot, or never gave,
    counts for nothing; and only while it holds nothing newer than the ballot, which was not judged.
    Else it takes no register that is older than the promise. What the home holds already is no matter
    of promises: do not ask.
    """
    if ballot is not None:
        return promise != ballot or (ours is not None and ours.newest > ballot)
    if promise is None:
        return False
    if entry.kind is not Kind.EMPTY and entry.stamp < promise and (ours is None or entry.stamp > ours.stamp):
        return True
    held = {} if ours is None else ours.sides
    return any(
        register[0] < promise and held.get(name) != register and (ours is None or register[0] > ours.stamp)
        for name, register in entry.sides.items()
    )


def is_spent(promise: Stamp, base: Entry | None) -> bool:
    """Say whether a home needs a promise no more: the base it holds refuses all that the promise would.

    `base` is that of the null version. Versions have keys of their own, and do not hide one another.
    """
    return base is not None and base.kind is not Kind.EMPTY and base.stamp >= promise


# Writing anew what another began.


def stamps_of(entry: Entry) -> frozenset[Stamp]:
    """Return every stamp that the base of an entry was written under."""
    register = entry.sides.get(WAS)
    if register is None:
        return frozenset((entry.stamp,))
    packed = register[1]
    return frozenset(
        (entry.stamp, *(Stamp(packed[at : at + STAMP_BYTES]) for at in range(0, len(packed), STAMP_BYTES)))
    )


def anew(entry: Entry, stamp: Stamp) -> Entry:
    """Return an entry with all it has under a new stamp, and the stamps it was known by."""
    after = just_after(stamp)
    sides = {name: (after, value) for name, (_, value) in entry.sides.items() if name != WAS}
    sides[WAS] = (after, b"".join(sorted(stamps_of(entry))))
    return Entry(entry.key, stamp, entry.kind, entry.size, entry.value, sides)


# What the answers to a ballot amount to.


@dataclass(frozen=True, slots=True)
class Promised:
    """What a home that promised answers.

    `previous` is the newest promise it had given before, and `held` all that it holds of the object:
    the null version, and other versions from the newest down to the first that is not deleted.
    """

    previous: Stamp
    held: Mapping[bytes, Entry]


class Next(Enum):
    """What a proposer has to do under a ballot that a majority of every home set promised."""

    SETTLED = "settled"
    """The state is on a majority, and nothing older than the ballot can change it any more."""
    FINISH = "finish"
    """Bring the entry to a majority as it is, under the ballot."""
    ANEW = "anew"
    """Write the entry anew, with the ballot for its stamp: a home that is silent may hold a newer one."""
    WAIT = "wait"
    """Nothing is safe before more homes answer."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step of a proposer; `entry` is to be brought to a majority, `state` is what is settled."""

    step: Next
    entry: Entry | None = None
    state: tuple[Entry, ...] = ()


def decide(
    write_sets: Sequence[Sequence[int]],
    read_sets: Sequence[Sequence[int]],
    replies: Mapping[int, Promised],
    null_key: bytes,
    *,
    also: bytes | None = None,
) -> Decision:
    """Return what a proposer does next, given the answers of all homes that promised its ballot.

    They are a majority of every write set. Keys are taken in order, the null version and then the
    others from the newest on, until one that is live: older versions do not matter, but for that of the
    key `also`, which the homes were asked to tell of.
    """
    everybody = all(home in replies for homes in write_sets for home in homes)
    before = max((one.previous for one in replies.values()), default=ZERO)
    state: list[Entry] = []
    keys = sorted({null_key, *(key for one in replies.values() for key in one.held)})
    live = False
    for key in keys:
        if live and key != also:
            continue
        held = {device: one.held[key] for device, one in replies.items() if key in one.held}
        merged = _merged(held.values())
        if merged is None:
            continue
        wanted = fingerprint(merged)
        holders = [device for device, entry in held.items() if fingerprint(entry) == wanted]
        if not _is_on_majorities(holders, read_sets):
            return Decision(
                _step_for(merged, everybody=everybody, before=before, alone=len(keys) == 1), merged
            )
        state.append(merged)
        live = live or (key != null_key and merged.kind in (Kind.DATA, Kind.MARKER))
    return Decision(Next.SETTLED, state=tuple(state))


def _step_for(merged: Entry, *, everybody: bool, before: Stamp, alone: bool) -> Next:
    # A newer base on a silent home would be that of a ballot which some home here has promised.
    if everybody or before <= merged.newest:
        return Next.FINISH
    if merged.kind is Kind.EMPTY:
        return Next.FINISH
    # A version keeps its stamp, which is its id.
    return Next.ANEW if alone and not merged.suffix else Next.WAIT


def _merged(entries: Iterable[Entry]) -> Entry | None:
    merged: Entry | None = None
    for entry in entries:
        merged = merge(merged, entry)
    return merged


def _is_on_majorities(holders: Collection[int], sets: Sequence[Sequence[int]]) -> bool:
    return all(sum(1 for home in homes if home in holders) >= len(homes) // 2 + 1 for homes in sets)
