"""The lean asyncio client: one protocol object per connection, no parsing beyond what framing needs.

It drives what wrk cannot (HEAD, requests that may be sent only once, counted runs) and everything where wrk
is absent. Request heads are bytes before the clock starts.
"""

import asyncio
import functools
import resource
import ssl
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import cast

import uvloop

from bench.http_wire import MalformedResponse, ResponseReader
from bench.plan import Plan, Repeat, Request
from bench.report import Load, latency_of
from bench.workload import Operation

DRIVER = "async"
_STALL_TIMEOUT_S = 60.0
_CONNECT_FAILURES_MAX = 5
_PROGRESS_EVERY_S = 0.25

Progress = Callable[[int], None]


class _Run:
    """What all connections of a run share: the next request, the deadline and the tally."""

    def __init__(self, plan: Plan, *, duration_s: float | None) -> None:
        self.plan = plan
        self.latencies_s = array("d")
        self.errors: Counter[str] = Counter()
        self.body_bytes = 0
        self.over = False
        self._blocks = {operation: plan.header_block(operation) for operation in Operation}
        self._requests = self._sequence()
        self.started_at_s = self.finished_at_s = time.perf_counter()
        self._deadline_s = self.started_at_s + duration_s if duration_s is not None else float("inf")

    def _sequence(self) -> Iterator[Request]:
        while self.plan.requests:
            yield from self.plan.requests
            if self.plan.repeat is Repeat.ONCE:
                return

    def next(self) -> Request | None:
        """The next request to send, or None when time or the plan has run out."""
        request = next(self._requests, None) if time.perf_counter() < self._deadline_s else None
        self.over = self.over or request is None
        return request

    def head(self, request: Request) -> bytes:
        """The bytes that open a request."""
        return (
            f"{request.operation.method} {request.target} HTTP/1.1\r\n".encode()
            + self._blocks[request.operation]
        )

    def record(self, request: Request, response: ResponseReader, started_at_s: float) -> None:
        """Count one whole response."""
        now_s = time.perf_counter()
        self.finished_at_s = now_s
        if not 200 <= response.status < 300:
            self.errors[f"{request.operation.name} answered {response.status}"] += 1
        elif request.response_bytes is not None and request.response_bytes != response.body_bytes:
            self.errors[f"{request.operation.name} body of the wrong length"] += 1
        else:
            self.latencies_s.append(now_s - started_at_s)
            sent_bytes = len(self.plan.body) if request.operation is Operation.PUT else 0
            self.body_bytes += sent_bytes or response.body_bytes


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the response before it is whole."""

    def __init__(self, run: _Run, done: asyncio.Future[None]) -> None:
        self._run = run
        self._done = done
        self._reader = ResponseReader()
        self._request: Request | None = None
        self._started_at_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport, though they behave as one.
        self._transport = cast(asyncio.Transport, transport)
        self._send_next()

    def data_received(self, data: bytes) -> None:
        request = self._request
        if request is None:
            self._fail("bytes without a request")
            return
        try:
            if not self._reader.feed(data):
                return
        except MalformedResponse as error:
            self._fail(f"malformed response: {error}")
            return
        self._complete(request)

    def connection_lost(self, error: Exception | None) -> None:
        request, self._request = self._request, None
        if request is not None:
            if error is None and self._reader.feed_end():
                self._run.record(request, self._reader, self._started_at_s)
            else:
                self._run.errors["connection lost"] += 1
        if not self._done.done():
            self._done.set_result(None)

    def _complete(self, request: Request) -> None:
        self._request = None
        self._run.record(request, self._reader, self._started_at_s)
        if self._reader.keeps_alive:
            self._send_next()
        else:
            self._close()

    def _send_next(self) -> None:
        request = self._run.next()
        if request is None:
            self._close()
            return
        assert self._transport is not None
        self._request = request
        self._reader.expect(bodyless=request.operation is Operation.HEAD)
        head = self._run.head(request)
        self._started_at_s = time.perf_counter()
        if request.operation is Operation.PUT:
            self._transport.writelines((head, self._run.plan.body))
        else:
            self._transport.write(head)

    def _fail(self, reason: str) -> None:
        self._request = None
        self._run.errors[reason] += 1
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _slot(run: _Run, tls: ssl.SSLContext | None) -> None:
    """Keep one connection busy until the run ends, opening it anew where the server closes it."""
    loop = asyncio.get_running_loop()
    failures = 0
    endpoint = run.plan.endpoint
    while not run.over and failures < _CONNECT_FAILURES_MAX:
        recorded = len(run.latencies_s)
        done: asyncio.Future[None] = loop.create_future()
        try:
            await loop.create_connection(
                functools.partial(_Connection, run, done), endpoint.host, endpoint.port, ssl=tls
            )
        except OSError as error:
            run.errors[f"cannot connect: {error.strerror or type(error).__name__}"] += 1
            failures += 1
            continue
        await done
        failures = 0 if len(run.latencies_s) > recorded else failures + 1


async def _follow(run: _Run, slots: set[asyncio.Task[None]], progress: Progress | None) -> None:
    """Wait for all connections, telling how far they are, and give up when nothing moves."""
    pending = slots
    while pending:
        finished, pending = await asyncio.wait(pending, timeout=_PROGRESS_EVERY_S)
        for task in finished:
            task.result()
        if progress is not None:
            progress(len(run.latencies_s))
        if pending and time.perf_counter() - run.finished_at_s > _STALL_TIMEOUT_S:
            run.errors[f"no response in {_STALL_TIMEOUT_S:.0f} s"] += len(pending)
            return


async def _drive(
    plan: Plan, *, connections: int, duration_s: float | None, progress: Progress | None = None
) -> Load:
    tls = ssl.create_default_context() if plan.endpoint.scheme == "https" else None
    cpu_before_s = _cpu_s()
    run = _Run(plan, duration_s=duration_s)
    slots = {asyncio.create_task(_slot(run, tls)) for _ in range(connections)}
    try:
        await _follow(run, slots, progress)
    finally:
        for slot in slots:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)
    return Load(
        driver=DRIVER,
        requests=len(run.latencies_s),
        elapsed_s=run.finished_at_s - run.started_at_s,
        body_bytes=run.body_bytes,
        latency=latency_of(run.latencies_s),
        errors=dict(run.errors),
        client_cpu_us=(_cpu_s() - cpu_before_s) * 1e6,
    )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def drive(
    plan: Plan, *, connections: int, duration_s: float | None, progress: Progress | None = None
) -> Load:
    """Send the plan over `connections` connections until `duration_s` has passed or the plan is spent.

    Requests in flight at the deadline are waited for and counted. A response that is not 2xx, of the wrong
    length, malformed or cut off is an error and never a request.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(plan, connections=connections, duration_s=duration_s, progress=progress))
