"""Prepares a store for a workload, checks that it answers rightly, and measures."""

import http.client
import random
import time
from collections.abc import Callable
from dataclasses import replace

from bench import load_async, load_wrk, wrk_script
from bench.cpu import cost_between, read_cpu
from bench.plan import (
    Endpoint,
    Plan,
    Request,
    Targets,
    container_for,
    plan_run,
    plan_seed,
    sample,
)
from bench.processes import StoreFailed
from bench.report import Latency, Load, Measurement, with_errors
from bench.store import RunningStore
from bench.workload import Api, Operation, Workload

_SEED_CONNECTIONS = 16
_PROBE_TIMEOUT_S = 60.0
_DOOMED_MAX = 100_000
# Objects are deleted faster than they are made, so making them takes longer than the run that deletes them.
_DOOMED_SEED_FACTOR = 2.0
_NOTHING = Load("none", 0, 0.0, 0, Latency(0.0, 0.0, 0.0, 0.0))

Say = Callable[[str], None]


class Runner:
    """Measures workloads upon one store, loading each container of objects only once."""

    def __init__(self, store: RunningStore, *, driver: str = "auto", say: Say = lambda text: None) -> None:
        self._store = store
        self._driver = driver
        self._say = say
        self._seeded: dict[tuple[Api, str], int] = {}
        self._runs = 0
        self._bodies: dict[int, bytes] = {}

    def measure(self, workload: Workload) -> Measurement:
        """Run one workload; what goes wrong is counted in the measurement's errors, never hidden."""
        self._runs += 1
        try:
            return self._measure(workload)
        except (StoreFailed, wrk_script.UnreadableOutput, OSError, http.client.HTTPException) as error:
            load = with_errors(_NOTHING, {f"{type(error).__name__}: {error}": 1})
            return Measurement(workload.name, workload.title, self._store.name, load)

    def _measure(self, workload: Workload) -> Measurement:
        endpoint = self._store.endpoint(workload.api)
        doomed = self._prepare(workload, endpoint)
        plan = plan_run(
            workload,
            endpoint,
            body=self._body(workload.size_bytes),
            now_ms=_now_ms(),
            salt=f"run{self._runs:03d}",
            doomed=doomed,
        )
        if not plan.requests:
            raise StoreFailed("nothing to send: no objects were there to be deleted")
        errors = self._probe(workload, plan)
        if errors:
            return Measurement(workload.name, workload.title, self._store.name, with_errors(_NOTHING, errors))
        self._say(f"{self._store.name}: {workload.title}")
        before = read_cpu(self._store.server_pids)
        load = self._drive(workload, plan)
        after = read_cpu(self._store.server_pids)
        load = with_errors(load, self._verify(workload, plan, load))
        server = cost_between(before, after) if self._store.server_pids else None
        return Measurement(workload.name, workload.title, self._store.name, load, server)

    def _drive(self, workload: Workload, plan: Plan) -> Load:
        if self._driver == "wrk" and not wrk_script.suits(plan):
            raise StoreFailed("wrk cannot send HEAD or DELETE, nor a counted run: choose the async driver")
        if self._driver == "wrk" or (
            self._driver == "auto" and wrk_script.costs_least(plan) and load_wrk.find_wrk()
        ):
            return load_wrk.drive(plan, connections=workload.connections, duration_s=workload.duration_s)
        duration_s = None if workload.count_max is not None else workload.duration_s
        return load_async.drive(plan, connections=workload.connections, duration_s=duration_s)

    # Preparation

    def _prepare(self, workload: Workload, endpoint: Endpoint) -> int:
        """Make what the workload needs; returns how many objects there are to delete."""
        doomed = 0
        if workload.operations & {Operation.GET, Operation.HEAD, Operation.LIST}:
            self._seed(workload, endpoint, container_for(workload), workload.objects)
        if Operation.PUT in workload.operations:
            self._create_container(endpoint, container_for(workload, "write"))
        if Operation.DELETE in workload.operations:
            container = container_for(workload, "delete")
            self._create_container(endpoint, container)
            count = workload.count_max or _DOOMED_MAX
            seed_s = None if workload.count_max else workload.duration_s * _DOOMED_SEED_FACTOR
            plan = plan_seed(
                endpoint,
                body=self._body(workload.size_bytes),
                now_ms=_now_ms(),
                container=container,
                count=count,
            )
            doomed = self._load(plan, f"{container}: making objects to delete", seed_s)
        return doomed

    def _seed(self, workload: Workload, endpoint: Endpoint, container: str, count: int) -> None:
        if self._seeded.get((workload.api, container), -1) >= count:
            return
        self._create_container(endpoint, container)
        plan = plan_seed(
            endpoint, body=self._body(workload.size_bytes), now_ms=_now_ms(), container=container, count=count
        )
        self._load(plan, f"{container}: loading {count:,} objects", None)
        self._seeded[workload.api, container] = count

    def _load(self, plan: Plan, title: str, duration_s: float | None) -> int:
        """Send PUTs once each; returns how many are stored, and raises StoreFailed if any failed."""

        def progress(done: int) -> None:
            self._say(f"{self._store.name}: {title} ({done:,})")

        load = load_async.drive(plan, connections=_SEED_CONNECTIONS, duration_s=duration_s, progress=progress)
        if load.errors:
            raise StoreFailed(f"{title} failed: {dict(load.errors)}")
        return load.requests

    def _create_container(self, endpoint: Endpoint, container: str) -> None:
        targets = Targets(endpoint, now_ms=_now_ms())
        status, _, body = _exchange(endpoint, "PUT", targets.container("PUT", container), targets.headers)
        # S3 answers 409 where the bucket is the caller's own already.
        if not 200 <= status < 300 and not (status == 409 and b"BucketAlreadyOwnedByYou" in body):
            raise StoreFailed(f"cannot create container {container}: {status} {body[:200]!r}")

    def _body(self, size_bytes: int) -> bytes:
        # Incompressible, and the same for every object of a size: what is read can be compared byte for byte.
        if size_bytes not in self._bodies:
            self._bodies[size_bytes] = random.Random(size_bytes).randbytes(size_bytes)
        return self._bodies[size_bytes]

    # Correctness

    def _probe(self, workload: Workload, plan: Plan) -> dict[str, int]:
        """Send a few of the requests singly, before the run, and look at what they answer."""
        errors: dict[str, int] = {}
        for request in sample(plan):
            if request.operation in (Operation.PUT, Operation.DELETE):
                continue
            status, headers, body = _exchange(
                plan.endpoint, request.operation.method, request.target, plan.headers
            )
            fault = _fault(workload, request, status, headers, body, plan.body)
            if fault:
                reason = f"probe: {request.operation.name} {fault}"
                errors[reason] = errors.get(reason, 0) + 1
        return errors

    def _verify(self, workload: Workload, plan: Plan, load: Load) -> dict[str, int]:
        """Read back, after the run, some of what it wrote and look for some of what it deleted."""
        targets = Targets(plan.endpoint, now_ms=_now_ms())
        errors: dict[str, int] = {}
        if load.requests < workload.connections:
            return errors
        for request in sample(plan):
            path = request.target.split("?", 1)[0].removeprefix(plan.endpoint.base_path + "/")
            container, _, name = path.partition("/")
            if request.operation not in (Operation.PUT, Operation.DELETE):
                continue
            target = targets.item("GET", container, name)
            status, _, body = _exchange(plan.endpoint, "GET", target, targets.headers)
            if request.operation is Operation.DELETE and status != 404:
                errors[f"a deleted object answers {status}"] = 1
            if request.operation is Operation.PUT and (status != 200 or body != plan.body):
                errors[f"an object just written answers {status} with {len(body):,} bytes"] = 1
        return errors


def _fault(
    workload: Workload,
    request: Request,
    status: int,
    headers: http.client.HTTPMessage,
    body: bytes,
    expected: bytes,
) -> str:
    """What is wrong with an answer to a reading request, or nothing."""
    if not 200 <= status < 300:
        return f"answered {status}"
    match request.operation:
        case Operation.GET if body != expected:
            return "returned other bytes than were stored"
        case Operation.HEAD if headers["Content-Length"] != str(len(expected)):
            return f"told a length of {headers['Content-Length']}"
        case Operation.LIST:
            names = body.count(b"<Key>") if workload.api is Api.S3 else body.count(b'"hash"')
            wanted = min(workload.listing_limit, workload.objects)
            return "" if names == wanted else f"returned {names:,} names instead of {wanted:,}"
    return ""


def _exchange(
    endpoint: Endpoint, method: str, target: str, headers: tuple[tuple[str, str], ...]
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request on a connection of its own."""
    connect = http.client.HTTPSConnection if endpoint.scheme == "https" else http.client.HTTPConnection
    connection = connect(endpoint.host, endpoint.port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request(method, target, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def with_length(workload: Workload, *, seconds: float | None, connections: int | None = None) -> Workload:
    """The same workload, run for another time or over other connections."""
    return replace(
        workload,
        duration_s=seconds or workload.duration_s,
        connections=connections or workload.connections,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
