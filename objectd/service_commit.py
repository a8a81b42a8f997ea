"""The commit handler: many writes to many devices of a node, answered once.

The hot path of every PUT. Writes of one call are grouped by device into one `Store.commit` each;
futures are joined by callbacks, without a task. The answer goes out as soon as every write has the
devices it needs, or has heard from all; what fails after that becomes a repair hint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, Final

from kit.rpc import Reply
from kit.rpc_server import Call
from model.entry import KEY_HEAD_BYTES, Table, from_row
from model.errors import BadRequest, ColonnadeError
from model.promises import WAS_MARK, stamps_of
from model.stamp import ZERO, Stamp
from objectd.contract import Notice
from objectd.service_stage import Stagings
from objectd.service_state import NodeState
from objectd.store import Buffer, Origin, Outcome, Store, Write, Written

_FAILED: Final = Written(Outcome.FAILED, ZERO)
_ORIGINS: Final = {int(origin): origin for origin in (Origin.CLIENT, Origin.REPAIR)}
_POSITIVE_MAX: Final = Outcome.KNOWN
_SETTINGS_TABLES: Final = (Table.CONTAINER, Table.ACCOUNT)
_UNTAKEN: Final = (Outcome.FULL, Outcome.FAILED)

_log = logging.getLogger(__name__)


class Commits:
    """Handles `commit`."""

    def __init__(self, state: NodeState, stagings: Stagings) -> None:
        self._state = state
        self._stagings = stagings

    def commit(self, call: Call) -> Reply | asyncio.Future[Reply]:
        """Merge the call's writes into the devices they name."""
        epoch, writes, confirmations = call.args
        if confirmations:
            self.confirm_all(confirmations)
        self._state.check_epoch(epoch)
        joined = _Round(self._state, writes)
        lanes = self._lanes(writes, call.body, joined)
        stores = self._state.stores
        for device, (indexes, batch) in lanes.items():
            joined.start(device, stores[device], indexes, batch)
        answer = joined.answer()
        settings = [write[0] for write in writes if write[0][0] in _SETTINGS_TABLES]
        if settings:
            self._tell_of_settings(settings, answer)
        return answer

    def _tell_of_settings(self, keys: list[bytes], answer: Reply | asyncio.Future[Reply]) -> None:
        """Have clients forget containers that change, before the one who changed them hears of it."""

        def tell(_: object) -> None:
            self._state.push(Notice.SETTINGS, keys)

        if isinstance(answer, asyncio.Future):
            answer.add_done_callback(tell)
        else:
            tell(answer)

    def confirm_all(self, confirmations: Sequence[Any]) -> None:
        """Tell each device which whole writes are done."""
        lanes: dict[int, list[Any]] = {}
        for key, stamp, devices in confirmations:
            for device in devices:
                lanes.setdefault(device, []).append((key, stamp))
        for device, keys in lanes.items():
            store = self._state.stores.get(device)
            if store is not None:
                store.confirm(keys)

    def _lanes(
        self, writes: Sequence[Any], body: Buffer, joined: _Round
    ) -> dict[int, tuple[list[int], list[Write]]]:
        """Return for each device the indexes of its writes, and the writes."""
        stores, readable = self._state.stores, self._state.readable
        # All is decoded before the first staging is taken: what is malformed leaves nothing behind.
        decoded = [_decode(write, body) for write in writes]
        lanes: dict[int, tuple[list[int], list[Write]]] = {}
        for index, shared in enumerate(decoded):
            devices, staged = writes[index][2], writes[index][6]
            attests = (
                (shared.guard is not None or shared.if_empty) and shared.origin is Origin.CLIENT
            ) or shared.ballot is not None
            for device in devices:
                if device not in stores or (attests and device not in readable):
                    # What may lack entries cannot attest that a container lives, nor what it has promised.
                    joined.take(device, index, _FAILED)
                    continue
                write = shared
                if shared.origin is Origin.REPAIR and device not in readable:
                    write = replace(shared, origin=Origin.FILL, encoded=[])
                if staged is not None:
                    staging = self._stagings.take(device, staged.get(device))
                    if staging is None:
                        joined.take(device, index, _FAILED)
                        continue
                    write = replace(write, payload=staging, encoded=[])
                lane = lanes.get(device)
                if lane is None:
                    lane = lanes[device] = ([], [])
                lane[0].append(index)
                lane[1].append(write)
        return lanes


def _decode(packed: Sequence[Any], body: Buffer) -> Write:
    """Return a write from the wire. Raises BadRequest, CorruptRecord."""
    key, row, _, _, offset, length, _, guard, if_empty, origin = packed[:10]
    ballot = Stamp(packed[10]) if len(packed) > 10 else None
    payload: Buffer | None = None
    if offset >= 0:
        if offset + length > len(body):
            raise BadRequest("a payload lies outside the body of its commit")
        payload = body if length == len(body) else memoryview(body)[offset : offset + length]
    try:
        return Write(from_row(key, row), payload, guard, if_empty, _ORIGINS[origin], ballot)
    except KeyError as error:
        raise BadRequest(f"there is no origin {origin}") from error


class _Round:
    """One commit under way: which writes still wait, and the answer once none does."""

    __slots__ = ("_future", "_heard", "_needs", "_outcomes", "_state", "_unsettled", "_writes")

    def __init__(self, state: NodeState, writes: Sequence[Any]) -> None:
        self._state = state
        self._writes = writes
        self._outcomes: list[list[tuple[int, int, bytes]]] = [[] for _ in writes]
        # Positive outcomes a write still needs; more than there are devices where all must answer.
        self._needs = [write[3] or len(write[2]) + 1 for write in writes]
        self._heard = [0 for _ in writes]
        self._unsettled = sum(1 for write in writes if write[2])
        self._future: asyncio.Future[Reply] | None = None

    def start(self, device: int, store: Store, indexes: list[int], batch: list[Write]) -> None:
        """Commit a batch on a device; its outcomes are taken when they come."""
        figures = self._state.metrics.devices[device]
        figures.queued_writes += len(batch)
        for write in batch:
            if isinstance(write.payload, (bytes, memoryview)):
                figures.written_bytes += len(write.payload)
        begun = perf_counter()
        try:
            future = store.commit(batch)
        except ColonnadeError as error:
            _log.warning("device refuses commits", extra={"device": device, "reason": str(error)})
            figures.queued_writes -= len(batch)
            for index in indexes:
                self.take(device, index, _FAILED)
            return
        done = partial(self._on_done, device, indexes, batch, begun)
        if future.done():
            done(future)
        else:
            future.add_done_callback(done)

    def _on_done(
        self,
        device: int,
        indexes: list[int],
        batch: list[Write],
        begun: float,
        future: asyncio.Future[list[Written]],
    ) -> None:
        figures = self._state.metrics.devices[device]
        figures.queued_writes -= len(batch)
        figures.commit_latency.observe(perf_counter() - begun)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            _log.error("commit failed", exc_info=error, extra={"device": device})
        if error is not None or future.cancelled():
            for index in indexes:
                self.take(device, index, _FAILED)
            return
        for index, written in zip(indexes, future.result(), strict=True):
            self.take(device, index, written)

    def take(self, device: int, index: int, written: Written) -> None:
        """Take the outcome of one write on one device."""
        outcome = written.outcome
        if outcome is Outcome.STORED:
            self._state.recent.note(device, self._writes[index][0], self._writes[index][1])
            if WAS_MARK in self._writes[index][1]:
                self._note_former(device, self._writes[index])
        elif outcome is Outcome.SUPERSEDED and self._state.recent.held(
            device, self._writes[index][0], self._writes[index][1]
        ):
            # Not the newest any more, but it was: whoever writes it must not write it again.
            outcome = Outcome.KNOWN
        elif outcome is Outcome.SUPERSEDED and self._is_contested(device, self._writes[index]):
            outcome = Outcome.CONTESTED
        self._outcomes[index].append((device, int(outcome), written.newest))
        if outcome in _UNTAKEN and device in self._state.stores:
            self._state.metrics.devices[device].failed_count += 1
            self._state.repairs.note(self._writes[index][0], (device,), self._state.now_ms())
        self._heard[index] += 1
        if self._needs[index] <= 0:
            return
        if outcome <= _POSITIVE_MAX:
            self._needs[index] -= 1
        if self._needs[index] == 0 or self._heard[index] == len(self._writes[index][2]):
            self._needs[index] = 0
            self._unsettled -= 1
            if self._unsettled == 0 and self._future is not None and not self._future.done():
                self._future.set_result(Reply(self._outcomes))

    def _is_contested(self, device: int, write: Sequence[Any]) -> bool:
        """Say whether a client's write of an object may be older than a ballot promised here."""
        key, row, origin = write[0], write[1], write[9]
        if key[0] != Table.OBJECT or origin != Origin.CLIENT:
            return False
        return self._state.ballots.contest(device, key[1:KEY_HEAD_BYTES], from_row(key, row).newest)

    def _note_former(self, device: int, write: Sequence[Any]) -> None:
        """Note that a device holds a write that was known by other stamps: whoever asks for those has it."""
        entry = from_row(write[0], write[1])
        for stamp in stamps_of(entry):
            self._state.recent.note(device, write[0], replace(entry, stamp=stamp, sides={}).to_row())

    def answer(self) -> Reply | asyncio.Future[Reply]:
        """Return the reply, or what will be it."""
        if self._unsettled == 0:
            return Reply(self._outcomes)
        self._future = asyncio.get_running_loop().create_future()
        return self._future
