"""The service of one node: every operation of the contract, bound to the node's devices and ring."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from kit.frames import Buffer
from kit.rpc import Reply
from kit.rpc_server import Call, Handler
from model.errors import BadRequest, ColonnadeError, DeviceFailed, StaleRing
from objectd.contract import CONTRACT_VERSION, Health, NodeStatus, Op, pack_status
from objectd.ring_state import RingState, check_phase
from objectd.service_commit import Commits
from objectd.service_listing import Listings
from objectd.service_metrics import OpMetrics
from objectd.service_promise import Promises
from objectd.service_read import Reads
from objectd.service_repair import Repairs
from objectd.service_stage import IDLE_MS_MAX, Stagings
from objectd.service_state import NodeState

SLOW_CALL_MS: Final = 1_000
_AS_LONG_AS_THE_CLIENT_TAKES: Final = frozenset((Op.STAGE, Op.PAYLOAD))
RING_BYTES_MAX: Final = 256 * 1024 * 1024

NoteFilled = Callable[[int], Awaitable[None]]

_log = logging.getLogger(__name__)


async def _nothing_to_note(device: int) -> None:
    """For stores that forget everything at their end anyway."""


class NodeService:
    """Handlers of all operations, for `kit.rpc_server.RpcServer`.

    `ready` says whether every device is open or set aside, and `note_filled` makes durable that a
    device lacks nothing any more; the application root knows how.
    """

    def __init__(
        self,
        state: NodeState,
        ring: RingState,
        *,
        ready: Callable[[], bool] = lambda: True,
        note_filled: NoteFilled = _nothing_to_note,
        stage_idle_ms_max: int = IDLE_MS_MAX,
        slow_call_ms: int = SLOW_CALL_MS,
    ) -> None:
        self.state = state
        self.ring = ring
        self.stagings = Stagings(state, idle_ms_max=stage_idle_ms_max)
        self._ready = ready
        self._note_filled = note_filled
        self._slow_call_s = slow_call_ms / 1000
        self._commits = Commits(state, self.stagings)
        self._reads = Reads(state)
        self._promises = Promises(state)
        self._listings = Listings(state)
        self._repairs = Repairs(state, self._commits)

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of each operation, measured."""
        plain: dict[Op, Handler] = {
            Op.COMMIT: self._commits.commit,
            Op.READ: self._reads.read,
            Op.PREPARE: self._promises.prepare,
            Op.VERSIONS: self._reads.versions,
            Op.PAYLOAD: self._reads.payload,
            Op.ROWS: self._listings.rows,
            Op.RAW_ROWS: self._listings.raw_rows,
            Op.GROUPS: self._listings.groups,
            Op.CHANGES: self._listings.changes,
            Op.STAGE: self.stagings.stage,
            Op.DIGESTS: self._repairs.digests,
            Op.RANGES: self._repairs.ranges,
            Op.ENTRIES: self._repairs.entries,
            Op.PENDING: self._repairs.pending,
            Op.CONFIRM: self._repairs.confirm,
            Op.FORGET: self._repairs.forget,
            Op.QUARANTINED: self._repairs.quarantined,
            Op.REPAIRS: self._repairs.repairs,
            Op.FILLED: self._filled,
            Op.STATUS: self._status,
            Op.EPOCH: self._epoch,
            Op.RING_GET: self._ring_get,
            Op.RING_ADOPT: self._ring_adopt,
        }
        return {str(op): self._measured(op, handler) for op, handler in plain.items()}

    def _measured(self, op: Op, handler: Handler) -> Handler:
        slow_s = math.inf if op in _AS_LONG_AS_THE_CLIENT_TAKES else self._slow_call_s
        return _measured(handler, self.state.metrics.ops[op], slow_s)

    def _status(self, call: Call) -> Reply:
        state = self.state
        return Reply(
            pack_status(
                NodeStatus(
                    contract_version=CONTRACT_VERSION,
                    name=state.name,
                    epoch=self.ring.epoch,
                    started_ms=state.started_ms,
                    ready=self._ready(),
                    devices=state.statuses(),
                    repairs_waiting=len(state.repairs),
                    filling=state.filling,
                )
            )
        )

    async def _filled(self, call: Call) -> Reply:
        epoch, device = call.args
        self.state.check_epoch(epoch)
        store = self.state.store(device)
        if store.status().health is Health.FAILED:
            raise DeviceFailed(f"device {device} is set aside")
        await self._note_filled(device)
        self.state.trust(device)
        _log.info("device filled", extra={"device": device})
        return Reply()

    def _epoch(self, call: Call) -> Reply:
        return Reply(self.ring.epoch)

    async def _ring_get(self, call: Call) -> Reply:
        ring = self.ring.ring
        if ring is None:
            return Reply()
        await call.begin((ring.version, int(ring.phase)))
        await call.send(ring.data)
        return Reply(ring.epoch)

    async def _ring_adopt(self, call: Call) -> Reply:
        (phase,) = call.args
        pieces: list[Buffer] = []
        size = 0
        async for chunk in call.chunks():
            size += len(chunk)
            if size > RING_BYTES_MAX:
                raise BadRequest(f"a ring file has at most {RING_BYTES_MAX} bytes")
            pieces.append(chunk)
        return Reply(await self.ring.adopt(b"".join(pieces), check_phase(phase)))


def _measured(handler: Handler, figures: OpMetrics, slow_s: float) -> Handler:
    """Return a handler that counts its calls, their latency and their errors, and logs what is not well."""

    def ended(call: Call, begun: float) -> None:
        elapsed_s = perf_counter() - begun
        figures.latency.observe(elapsed_s)
        if elapsed_s >= slow_s:
            _log.warning("slow call", extra=_words(call, elapsed_s))

    def failed(call: Call, begun: float, error: BaseException) -> None:
        figures.error_count += 1
        # That the ring has changed is news for the caller alone; what is none of our errors, the server logs.
        if isinstance(error, ColonnadeError) and not isinstance(error, StaleRing):
            _log.warning("call failed", extra=_words(call, perf_counter() - begun) | {"reason": str(error)})

    def measured(call: Call) -> Reply | Awaitable[Reply]:
        begun = perf_counter()
        try:
            result = handler(call)
        except BaseException as error:
            failed(call, begun, error)
            raise
        if isinstance(result, Reply):
            ended(call, begun)
            return result
        figures.in_flight += 1
        future = asyncio.ensure_future(result)

        def done(future: asyncio.Future[Reply]) -> None:
            figures.in_flight -= 1
            ended(call, begun)
            if future.cancelled():
                figures.error_count += 1
            elif (error := future.exception()) is not None:
                failed(call, begun, error)

        future.add_done_callback(done)
        return future

    return measured


def _words(call: Call, elapsed_s: float) -> dict[str, object]:
    return {"op": call.op, "peer": call.peer, "ms": round(elapsed_s * 1000, 1)}
