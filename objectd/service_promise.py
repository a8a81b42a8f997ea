"""The handler of `prepare`: devices promise a ballot to a conditional write, and tell what they hold.

The promise is durable before anything is told, and what is told is what the device holds after it: so
whatever is older than the ballot and comes later is refused, and whatever came before is told.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import Kind, Table, make_key, row_kind, row_stamp
from model.errors import CorruptRecord, DeviceFailed
from model.promises import promise_entry, promise_key
from model.stamp import ZERO, Stamp
from objectd.contract import RawEntry
from objectd.decide import after_keys
from objectd.service_state import NodeState
from objectd.store import Origin, Outcome, Store, Write

STEP_ROWS: Final = 16
"""Versions read at once, until one is live."""
VERSIONS_MAX: Final = 1_000
_GRANTED: Final = (Outcome.STORED, Outcome.KNOWN)


class Promises:
    """Handles `prepare`."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._under_way: dict[tuple[int, bytes], list[Stamp]] = {}

    async def prepare(self, call: Call) -> Reply:
        """Answer for each device that may be asked what it holds: whether it promised, and what it holds.

        One that fills has forgotten what it promised: it does not vote.
        """
        epoch, digest, ballot, devices, also = call.args
        self._state.check_epoch(epoch)
        readable = [device for device in devices if device in self._state.readable]
        answers = await asyncio.gather(*(self._promise(one, digest, Stamp(ballot), also) for one in readable))
        # What was adopted meanwhile may have other homes, of which none has promised.
        self._state.check_epoch(epoch)
        return Reply([answer for answer in answers if answer is not None])

    async def _promise(
        self, device: int, digest: bytes, ballot: Stamp, also: bytes | None
    ) -> tuple[object, ...] | None:
        """Return [device, granted, newest stamp known, promise before, entries], or None where it fails."""
        store = self._state.readable[device]
        waiting = self._under_way.setdefault((device, digest), [])
        try:
            held = store.get(promise_key(digest))
            # Those under way may be durable before this one: each counts as given before.
            before = max([ZERO if held is None else held.entry.stamp, *waiting])
            waiting.append(ballot)
            self._state.ballots.note(device, digest, ballot)
            write = Write(promise_entry(digest, ballot), origin=Origin.REPAIR)
            (written,) = await store.commit([write])
            if written.outcome is Outcome.SUPERSEDED:
                return (device, False, written.newest, before, [])
            if written.outcome not in _GRANTED or self._state.readable.get(device) is not store:
                return None
            entries = _entries(store, digest, also)
        except (DeviceFailed, CorruptRecord):
            return None
        finally:
            if ballot in waiting:
                waiting.remove(ballot)
            if not waiting:
                self._under_way.pop((device, digest), None)
        newest = max((row_stamp(row) for _, row, _ in entries), default=ZERO)
        if newest >= ballot:
            return (device, False, newest, before, [])
        return (device, True, ballot, ZERO if before == ballot else before, entries)


def _entries(store: Store, digest: bytes, also: bytes | None) -> list[RawEntry]:
    """Return the null version, the others from the newest to the first that is live, and the key `also`."""
    found = _deciding(store, digest)
    if also is not None and not any(one.key == also for one in found):
        held = store.get(also)
        if held is not None:
            found.append(RawEntry(also, held.entry.to_row(), held.payload_bytes))
    return found


def _deciding(store: Store, digest: bytes) -> list[RawEntry]:
    found: list[RawEntry] = []
    key = make_key(Table.OBJECT, digest)
    held = store.get(key)
    if held is not None:
        found.append(RawEntry(key, held.entry.to_row(), held.payload_bytes))
    end = after_keys(key)
    while len(found) < VERSIONS_MAX:
        rows = store.rows(key + b"\0", end, STEP_ROWS)
        for key, row in rows:
            one = store.get(key)
            if one is not None:
                found.append(RawEntry(key, row, one.payload_bytes))
            if row_kind(row) in (Kind.DATA, Kind.MARKER):
                return found
        if len(rows) < STEP_ROWS:
            break
    return found
