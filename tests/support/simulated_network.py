"""Nodes of a colony in one process, and a network between them that a seed makes late, lossy and torn.

The proxies' own `NodeClient` speaks over `SimulatedRpc` to the handlers of real `NodeService`s over
memory stores; everything crosses as msgpack, as it does on a real wire.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import msgpack

from kit.rpc import Reply
from kit.rpc_server import Call, Handler
from model.errors import ColonnadeError, DeadlineExceeded, NodeUnreachable
from objectd.contract import Health, Phase, RingReply, epoch_of
from objectd.memory_store import MemoryStore
from objectd.ring_state import RingState
from objectd.service import NodeService
from objectd.service_state import NodeState
from objectd.store import Buffer, Write, Written


@dataclass(slots=True)
class Weather:
    """How bad the network is: chances of one call, and pauses in milliseconds."""

    delay_ms_max: float = 3.0
    slow: float = 0.03
    slow_ms_max: float = 400.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    late_request: float = 0.0
    """The caller sees a broken connection, and the request is carried out even so, later."""
    commit_ms_max: float = 2.0


def _over_the_wire(value: object) -> Any:
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


def _joined(body: Buffer | Sequence[Buffer]) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return b"".join(bytes(piece) for piece in body)


class SimulatedDevice(MemoryStore):
    """A memory store whose commits take time, in order, and are lost where the node dies first."""

    def __init__(self, device_id: int, *, part_power: int, rng: Random, weather: Weather) -> None:
        super().__init__(device_id, part_power=part_power)
        self._rng = rng
        self._weather = weather
        self._queue: deque[tuple[Sequence[Write], asyncio.Future[list[Written]]]] = deque()

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Commit a moment later, after what came before."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Written]] = loop.create_future()
        self._queue.append((writes, future))
        loop.call_later(self._rng.uniform(0, self._weather.commit_ms_max) / 1000, self._flush_first)
        return future

    def _flush_first(self) -> None:
        if self._queue:
            writes, future = self._queue.popleft()
            written = super().commit(writes).result()
            if not future.cancelled():
                future.set_result(written)

    def die(self) -> None:
        """Keep some of what is under way, in order, and forget the rest; nobody hears of either."""
        kept = self._rng.randint(0, len(self._queue))
        queue, self._queue = list(self._queue), deque()
        for writes, _ in queue[:kept]:
            _ = super().commit(writes)


class _Ring:
    """The ring a node has adopted; outlives its process."""

    def __init__(self) -> None:
        self.epoch = 0
        self.ring: RingReply | None = None

    async def adopt(self, data: bytes, phase: Phase) -> int:
        """Adopt a ring unless it is older; `data` starts with its version."""
        version = int(data.partition(b":")[0])
        if epoch_of(version, phase) > self.epoch:
            self.epoch = epoch_of(version, phase)
            self.ring = RingReply(version, phase, data)
        return self.epoch


class SimulatedNode:
    """One node: devices and ring that survive, and a service that does not."""

    def __init__(self, name: str, devices: Sequence[SimulatedDevice]) -> None:
        self.name = name
        self.devices = {device.device_id: device for device in devices}
        self.ring = _Ring()
        self.up = False
        self.life = 0
        self._handlers: dict[str, Handler] = {}
        self._calls: set[asyncio.Future[Reply]] = set()
        self.state: NodeState

    def start(self) -> None:
        """Serve, with nothing remembered but what is on the devices."""
        self.up = True
        self.state = NodeState(dict(self.devices), self.ring, name=self.name)
        self._handlers = NodeService(self.state, cast(RingState, self.ring)).handlers()

    def kill(self) -> None:
        """Die at once."""
        self.up = False
        self.life += 1
        for device in self.devices.values():
            device.die()
        for call in self._calls:
            call.cancel()
        self._calls.clear()

    def set_health(self, device: int, health: Health) -> None:
        """Make a device fail, full, or well again with all it had."""
        self.devices[device].set_health(health, "simulated")
        if self.up and health is not Health.FAILED:
            self.state.trust(device)

    def handle(self, call: _Call) -> asyncio.Future[Reply]:
        """Serve a call; errors of handlers end the future."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            answer = self._handlers[call.op](cast(Call, call))
        except ColonnadeError as error:
            future.set_exception(error)
            return future
        if isinstance(answer, Reply):
            future.set_result(answer)
            return future
        future = asyncio.ensure_future(answer) if inspect.isawaitable(answer) else future
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future


class _Call:
    """What a handler sees of a call."""

    def __init__(self, op: str, args: object, body: bytes, stream: SimulatedStream | None = None) -> None:
        self.op = op
        self.args = _over_the_wire(args)
        self.body = body
        self.peer = "simulated"
        self._stream = stream

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield what the caller streams."""
        if self._stream is not None:
            while (chunk := await self._stream.upward.get()) is not None:
                yield chunk

    async def begin(self, head: object) -> None:
        """Send the head of what follows."""
        assert self._stream is not None
        self._stream.begun(_over_the_wire(head))

    async def send(self, buffer: Buffer) -> None:
        """Stream a buffer to the caller."""
        assert self._stream is not None
        self._stream.downward.put_nowait(bytes(buffer))


class SimulatedStream:
    """A streaming call (kit.rpc_client.Stream)."""

    def __init__(self, rpc: SimulatedRpc, life: int) -> None:
        loop = asyncio.get_running_loop()
        self._rpc = rpc
        self._life = life
        self.upward: asyncio.Queue[Buffer | None] = asyncio.Queue()
        self.downward: asyncio.Queue[Buffer | None] = asyncio.Queue()
        self.answer: asyncio.Future[Reply] = loop.create_future()
        self._head: asyncio.Future[Any] = loop.create_future()
        self.serving: asyncio.Future[Reply] | None = None
        self.answer.add_done_callback(self._ended)

    async def __aenter__(self) -> SimulatedStream:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.cancel()

    def begun(self, head: object) -> None:
        """Take the head."""
        if not self._head.done():
            self._head.set_result(head)

    def _ended(self, answer: asyncio.Future[Reply]) -> None:
        error = NodeUnreachable("cancelled") if answer.cancelled() else answer.exception()
        if not self._head.done():
            if error is None:
                self._head.set_result(answer.result().head)
            else:
                self._head.set_exception(error)
                self._head.exception()
        self.downward.put_nowait(None)
        if self.serving is not None and not self.serving.done():
            self.serving.cancel()

    async def send(self, buffer: Buffer) -> None:
        """Send a chunk."""
        await asyncio.sleep(0)
        if self.answer.done() and not self.answer.cancelled() and (error := self.answer.exception()):
            raise error
        self.upward.put_nowait(bytes(buffer))

    async def finish(self) -> Reply:
        """End the upward stream and wait for the answer."""
        self.upward.put_nowait(None)
        return await asyncio.shield(self.answer)

    async def reply(self) -> Reply:
        """Wait for the answer."""
        return await asyncio.shield(self.answer)

    async def head(self) -> Any:
        """Wait for the head."""
        return await asyncio.shield(self._head)

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield what the node streams."""
        while (chunk := await self.downward.get()) is not None:
            yield chunk
        await asyncio.shield(self.answer)

    def submit(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> asyncio.Future[Reply]:
        """Start a call on the connection of this stream."""
        if self._rpc.node.life != self._life:
            raise NodeUnreachable("simulated: the connection of the stream has ended")
        return self._rpc.submit(op, args, body, deadline_ms=deadline_ms)

    def cancel(self) -> None:
        """Give the call up."""
        self.answer.cancel()


class SimulatedRpc:
    """One proxy's connection to one node (kit.rpc_client.RpcClient)."""

    def __init__(self, node: SimulatedNode, rng: Random, weather: Weather, faults: list[str]) -> None:
        self.address = node.name
        self.connected = True
        self.on_push: Callable[[str, Any], None] | None = None
        self.node = node
        self._rng = rng
        self._weather = weather
        self._faults = faults

    async def call(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> Reply:
        """Call and wait."""
        return await self.submit(op, args, body, deadline_ms=deadline_ms)

    def submit(
        self, op: str, args: object, body: Buffer | Sequence[Buffer] = b"", *, deadline_ms: int
    ) -> asyncio.Future[Reply]:
        """Start a call."""
        return self._start(_Call(op, args, _joined(body)), None, deadline_ms)

    async def open_stream(self, op: str, args: object, *, deadline_ms: int) -> SimulatedStream:
        """Start a streaming call."""
        if not self.node.up:
            raise NodeUnreachable(f"{self.address}: simulated: down")
        stream = SimulatedStream(self, self.node.life)
        # The stream takes the reply: nobody waits for this future itself.
        _ = self._start(_Call(op, args, b"", stream), stream, deadline_ms)
        return stream

    async def close(self) -> None:
        """Nothing is held."""

    def _pause_s(self) -> float:
        weather, rng = self._weather, self._rng
        slow = rng.random() < weather.slow
        return rng.uniform(0.05, weather.slow_ms_max if slow else weather.delay_ms_max) / 1000

    def _start(self, call: _Call, stream: SimulatedStream | None, deadline_ms: int) -> asyncio.Future[Reply]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future() if stream is None else stream.answer
        weather, chance = self._weather, self._rng.random()
        loop.call_later(deadline_ms / 1000, _fail, answer, DeadlineExceeded(f"{call.op} came too late"))
        lost = chance < weather.lose_request
        late = not lost and chance < weather.lose_request + weather.late_request
        if lost or late:
            loop.call_later(self._pause_s(), self._cut, answer, call.op)
        if not lost:
            pause_s = self._pause_s() + (self._rng.uniform(0, 1.0) if late else 0)
            loop.call_later(pause_s, self._deliver, call, stream, answer, self.node.life)
        return answer

    def _cut(self, answer: asyncio.Future[Reply], op: str) -> None:
        _fail(answer, NodeUnreachable(f"{self.address}: simulated: connection lost in {op}"))

    def _deliver(
        self, call: _Call, stream: SimulatedStream | None, answer: asyncio.Future[Reply], life: int
    ) -> None:
        if not self.node.up or self.node.life != life:
            self._cut(answer, call.op)
            return
        if stream is not None and answer.done():
            return
        serving = self.node.handle(call)
        if stream is not None:
            stream.serving = serving
        serving.add_done_callback(lambda done: self._served(call, done, answer, life))

    def _served(
        self, call: _Call, served: asyncio.Future[Reply], answer: asyncio.Future[Reply], life: int
    ) -> None:
        loop = asyncio.get_running_loop()
        lost = served.cancelled() or self.node.life != life or self._rng.random() < self._weather.lose_reply
        error = None if served.cancelled() else served.exception()
        if error is not None and not isinstance(error, ColonnadeError):
            self._faults.append(f"{call.op} failed on {self.address}: {error!r}")
        if lost:
            loop.call_later(self._pause_s(), self._cut, answer, call.op)
        elif error is not None:
            loop.call_later(self._pause_s(), _fail, answer, error)
        else:
            loop.call_later(self._pause_s(), _answer, answer, served.result())


def _fail(answer: asyncio.Future[Reply], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        # Looked at here: who asked several nodes may have gone on with the answers of others.
        answer.exception()


def _answer(answer: asyncio.Future[Reply], reply: Reply) -> None:
    if not answer.done():
        head, body, tail = reply
        answer.set_result(Reply(_over_the_wire(head), _joined([body, *tail])))
