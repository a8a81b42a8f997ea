"""Staging: a large payload received once and written to several devices of the node at the same time.

The call that brings the bytes stays open until a commit has taken them: when its connection dies,
or nobody commits for a while, what is staged is thrown away. So nothing is left behind by a caller
that goes away at whatever moment.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from kit.pages import paged_memory
from kit.rpc import Reply
from kit.rpc_server import Call
from model.errors import ColonnadeError, DeviceFailed, Unavailable
from objectd.service_state import NodeState
from objectd.store import Buffer, Staging

IDLE_MS_MAX: Final = 120_000
"""How long bytes that are all there wait for the commit that names them."""
CHUNK_BYTES: Final = 1 << 20
"""Chunks of the wire are gathered to this before they go to the devices: fewer and larger writes."""

_log = logging.getLogger(__name__)


class Stagings:
    """The payloads on their way in, by an id that no later process repeats."""

    def __init__(self, state: NodeState, *, idle_ms_max: int = IDLE_MS_MAX) -> None:
        self._state = state
        self._idle_ms_max = idle_ms_max
        self._ids = itertools.count(secrets.randbits(48))
        self._waiting: dict[int, tuple[int, Staging, asyncio.Event]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, device: int, staging_id: int | None) -> Staging | None:
        """Return the staging of an id on a device, once; None where there is none (any more)."""
        found = self._waiting.get(staging_id) if staging_id is not None else None
        if staging_id is None or found is None or found[0] != device:
            return None
        del self._waiting[staging_id]
        found[2].set()
        return found[1]

    async def stage(self, call: Call) -> Reply:
        """Receive a payload for the devices named; answers when it was taken, or was not for too long."""
        epoch, devices, size_hint = call.args
        self._state.check_epoch(epoch)
        session = _Session(self._state)
        ids: dict[int, int] = {}
        try:
            await session.begin(devices, size_hint)
            await self._receive(call, session)
            await session.finish()
            taken = {device: asyncio.Event() for device in session.stagings}
            for device, staging in session.stagings.items():
                ids[device] = next(self._ids)
                self._waiting[ids[device]] = (device, staging, taken[device])
            await call.begin(list(ids.items()))
            async with asyncio.timeout(self._idle_ms_max / 1000):
                for event in taken.values():
                    await event.wait()
        except TimeoutError:
            _log.info("staged bytes were never committed", extra={"devices": list(ids)})
        finally:
            # What a commit has taken is no longer ours; all else goes.
            for device, staging_id in ids.items():
                if self._waiting.pop(staging_id, None) is None:
                    session.stagings.pop(device, None)
            await asyncio.shield(session.abort())
        return Reply()

    async def _receive(self, call: Call, session: _Session) -> None:
        gathered: list[Buffer] = []
        size = 0
        async for chunk in call.chunks():
            gathered.append(chunk)
            size += len(chunk)
            if size >= CHUNK_BYTES:
                await session.write(_joined(gathered, size))
                gathered = []
                size = 0
        if gathered:
            await session.write(_joined(gathered, size))


def _joined(chunks: Sequence[Buffer], size: int) -> Buffer:
    """Return chunks as one, in memory that each device's disk can take it from."""
    if len(chunks) == 1:
        return chunks[0]
    joined = paged_memory(size)
    at = 0
    for chunk in chunks:
        joined[at : at + len(chunk)] = chunk
        at += len(chunk)
    return joined


class _Session:
    """One payload on its way to several stagings; a device that fails drops out, the others go on."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self.stagings: dict[int, Staging] = {}

    async def begin(self, devices: Sequence[int], size_hint: int | None) -> None:
        error: ColonnadeError = DeviceFailed(f"none of the devices {list(devices)} is served here")
        for device in devices:
            try:
                self.stagings[device] = await self._state.store(device).stage(size_hint)
            except Unavailable as refusal:
                error = refusal
        if not self.stagings:
            raise error

    async def write(self, chunk: Buffer) -> None:
        await self._each([(device, staging.write(chunk)) for device, staging in self.stagings.items()])
        for device in self.stagings:
            self._state.metrics.devices[device].written_bytes += len(chunk)

    async def finish(self) -> None:
        await self._each([(device, staging.finish()) for device, staging in self.stagings.items()])

    async def _each(self, steps: list[tuple[int, Coroutine[Any, Any, None]]]) -> None:
        results = await asyncio.gather(*(step for _, step in steps), return_exceptions=True)
        error: BaseException | None = None
        for (device, _), result in zip(steps, results, strict=True):
            if isinstance(result, BaseException):
                if not isinstance(result, ColonnadeError):
                    raise result
                error = result
                _log.warning("staging failed", extra={"device": device, "reason": str(result)})
                await self.stagings.pop(device).abort()
        if error is not None and not self.stagings:
            raise error

    async def abort(self) -> None:
        stagings, self.stagings = self.stagings, {}
        for staging in stagings.values():
            await staging.abort()
