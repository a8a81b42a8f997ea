"""The read handlers: lookups on several devices, and the payload from one whose copy is good.

`read` is the hot path of every GET and HEAD: answered without a task where the bytes are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import Kind, is_listed
from model.errors import Absent, CorruptRecord, DeviceFailed, NoSuchObject
from model.names import object_key
from model.stamp import Stamp
from objectd.contract import INLINE_BYTES_MAX, ToldVersions, VersionsWanted
from objectd.decide import after_keys, suffix_of
from objectd.service_state import NodeState
from objectd.store import Buffer, Held, Store

BAD_COPY: Final = -1
"""Stands for the payload's length where a device's copy is bad."""
_ATTEMPTS_MAX: Final = 4
VERSIONS_MAX: Final = 2_000
"""Entries of one object in one reply, at most about: behind removed versions the next call goes on."""
QUARANTINED_MAX: Final = 100_000
_FIRST_VERSIONS: Final = 4


class _Wanted(NamedTuple):
    """A span of the payload that belongs to a base."""

    stamp: Stamp
    offset: int
    length: int


class Reads:
    """Handles `read` and `payload`."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def read(self, call: Call) -> Reply | asyncio.Future[Reply]:
        """Look a key up on the first devices that work; add the newest payload where it is wanted."""
        epoch, key, devices, ask, offset, length = call.args
        self._state.check_epoch(epoch)
        found, held = self._look_up(key, devices, ask)
        planned = _plan(found, held, offset, length)
        if isinstance(planned, Reply):
            return planned
        return self._inline(call, found, held, planned)

    def _look_up(
        self, key: bytes, devices: Sequence[int], ask: int
    ) -> tuple[list[tuple[int, bytes | None, int]], list[tuple[int, Held]]]:
        """Return (device, row, payload bytes) of devices that work, and (index in that, what is held)."""
        stores = self._state.readable
        found: list[tuple[int, bytes | None, int]] = []
        held: list[tuple[int, Held]] = []
        for device in devices:
            if len(found) >= ask:
                break
            store = stores.get(device)
            if store is None:
                continue
            try:
                one = store.get(key)
            except (DeviceFailed, CorruptRecord):
                continue
            if one is None:
                found.append((device, None, 0))
                continue
            first = held[0] if held else None
            # Devices in step hold the same entry: its row is encoded once.
            row = found[first[0]][1] if first and first[1].entry == one.entry else one.entry.to_row()
            held.append((len(found), one))
            found.append((device, row, one.payload_bytes))
        return found, held

    def _inline(
        self, call: Call, found: list[Any], held: list[tuple[int, Held]], wanted: _Wanted
    ) -> Reply | asyncio.Future[Reply]:
        """Answer with a short payload from the first device asked whose copy is good and in memory."""
        for at, one in held:
            if one.entry.stamp != wanted.stamp:
                continue
            device = found[at][0]
            try:
                payload = self._state.stores[device].read_now(one, wanted.offset, wanted.length)
            except (CorruptRecord, DeviceFailed):
                continue
            except Absent:
                break
            if payload is None:
                break
            self._state.metrics.devices[device].read_bytes += len(payload)
            if device != found[0][0]:
                self._mark_bad_before(found, held, at, wanted.stamp)
            return Reply((found, device, None), payload)
        return asyncio.ensure_future(self._read_slowly(call))

    def _mark_bad_before(
        self, found: list[Any], held: list[tuple[int, Held]], good: int, stamp: Stamp
    ) -> None:
        for at, one in held:
            if at < good and one.entry.stamp == stamp:
                found[at] = (found[at][0], found[at][1], BAD_COPY)

    async def _read_slowly(self, call: Call) -> Reply:
        """Read where a disk has to be waited for, or where the devices asked first hold bad copies."""
        _, key, devices, ask, offset, length = call.args
        for _ in range(_ATTEMPTS_MAX):
            found, held = self._look_up(key, devices, ask)
            planned = _plan(found, held, offset, length)
            if isinstance(planned, Reply):
                return planned
            try:
                device, payload = await self._first_good(key, devices, found, planned)
            except Absent:
                # Overwritten since it was looked up: look again.
                continue
            return Reply((found, device, None), payload)
        return Reply((found, None, None))

    async def _first_good(
        self, key: bytes, devices: Sequence[int], found: list[Any], wanted: _Wanted
    ) -> tuple[int | None, Buffer]:
        """Return a device and its bytes of the newest base; bad copies are marked in `found`.

        Raises Absent where the base was overwritten meanwhile.
        """
        for device in devices:
            store = self._state.stores.get(device)
            if store is None:
                continue
            try:
                one = store.get(key)
                if one is None or one.entry.stamp != wanted.stamp:
                    continue
                pieces = [piece async for piece in store.read(one, wanted.offset, wanted.length)]
            except (CorruptRecord, DeviceFailed):
                _mark_bad(found, device)
                continue
            payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._state.metrics.devices[device].read_bytes += len(payload)
            if not any(device == known for known, _, _ in found):
                found.append((device, one.entry.to_row(), one.payload_bytes))
            return device, payload
        return None, b""

    def versions(self, call: Call) -> Reply:
        """Tell the entries that decide which version of an object is the current one."""
        epoch, digest, devices, ask, after, down_to = call.args
        self._state.check_epoch(epoch)
        told: list[ToldVersions] = []
        for device in devices:
            if len(told) >= ask:
                break
            store = self._state.readable.get(device)
            if store is None:
                continue
            try:
                told.append(_tell_versions(store, digest, VersionsWanted(after, down_to)))
            except (DeviceFailed, CorruptRecord):
                continue
        return Reply(told)

    async def payload(self, call: Call) -> Reply:
        """Stream one device's own copy of a payload; its length in bytes goes before it."""
        epoch, device, key, stamp, offset, length = call.args
        self._state.check_epoch(epoch)
        store = self._state.store(device)
        held = store.get(key)
        if held is None or held.entry.stamp != stamp or held.entry.kind is not Kind.DATA:
            raise NoSuchObject(f"device {device} holds another version")
        span_bytes = max(0, held.payload_bytes - offset)
        if 0 <= length < span_bytes:
            span_bytes = length
        pieces = store.read(held, offset, span_bytes)
        # The first piece is read before anything is promised: bad copies and overwrites show here.
        piece = await anext(pieces, None) if span_bytes else None
        await call.begin(span_bytes)
        figures = self._state.metrics.devices[device]
        while piece is not None:
            figures.read_bytes += len(piece)
            await call.send(piece)
            piece = await anext(pieces, None)
        return Reply(span_bytes)


def _tell_versions(store: Store, digest: bytes, wanted: VersionsWanted) -> ToldVersions:
    first = object_key(digest)
    start, end = first if wanted.after is None else first + wanted.after + b"\0", after_keys(first)
    # Scans leave out what was lost to damage, yet no reader may go back in time.
    lost = [key for key in store.quarantined(QUARANTINED_MAX) if start <= key < end]
    told: list[tuple[bytes, bytes, int]] = []
    chunk = _FIRST_VERSIONS
    while True:
        rows = store.rows(start, end, chunk)
        exhausted = len(rows) < chunk
        keys = [key for key, _ in rows]
        if lost:
            keys = sorted({*keys, *(key for key in lost if exhausted or key < keys[-1])})
        for key in keys:
            if key < start or (held := store.get(key)) is None:
                continue
            suffix = suffix_of(key)
            told.append((suffix, held.entry.to_row(), held.payload_bytes))
            if suffix and suffix >= wanted.down_to and is_listed(held.entry.kind):
                return ToldVersions(store.device_id, told, is_all=False)
        if exhausted or len(told) >= VERSIONS_MAX:
            return ToldVersions(store.device_id, told, is_all=exhausted)
        start, chunk = keys[-1] + b"\0", 4 * chunk


def _plan(found: list[Any], held: Sequence[tuple[int, Held]], offset: int, length: int) -> Reply | _Wanted:
    """Return which bytes go with the reply, or the reply itself where none do."""
    newest: Held | None = None
    source = 0
    for at, one in held:
        if newest is None or one.entry.stamp > newest.entry.stamp:
            newest, source = one, at
    if length == 0 or newest is None or newest.entry.kind is not Kind.DATA or newest.payload_bytes <= 0:
        return Reply((found, None, None))
    span_bytes = newest.payload_bytes - offset
    if 0 <= length < span_bytes:
        span_bytes = length
    if span_bytes > INLINE_BYTES_MAX:
        return Reply((found, found[source][0], newest.entry.stamp))
    if span_bytes <= 0:
        return Reply((found, found[source][0], None))
    return _Wanted(newest.entry.stamp, offset, span_bytes)


def _mark_bad(found: list[Any], device: int) -> None:
    for at, (known, row, _) in enumerate(found):
        if known == device:
            found[at] = (device, row, BAD_COPY)
