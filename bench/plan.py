"""Turns a workload into the exact requests to send, ready before the clock starts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from urllib.parse import quote

from bench.sigv4 import Presigner, S3Keys
from bench.workload import KIB, Api, Operation, Workload, interleave

# Fresh names for PUT per second of a run: more than a store here can take, so that few are overwritten.
_FRESH_NAMES_PER_S = {"small": 6_000, "large": 800}
_LARGE_BYTES = 256 * KIB
_CYCLE_REQUESTS_MAX = 20_000


class Repeat(Enum):
    """Whether a plan may be sent again from its start."""

    CYCLE = "cycle"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class SwiftToken:
    """What TempAuth hands out: the token for X-Auth-Token."""

    token: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one API listens; `base_path` has no slash at its end (`/v1/AUTH_test`, or empty for S3)."""

    scheme: str
    host: str
    port: int
    base_path: str
    credentials: S3Keys | SwiftToken

    @property
    def authority(self) -> str:
        """Host and port as the Host header carries them."""
        return f"{self.host}:{self.port}"

    @property
    def api(self) -> Api:
        """The dialect that the credentials belong to."""
        return Api.S3 if isinstance(self.credentials, S3Keys) else Api.SWIFT


@dataclass(frozen=True, slots=True)
class Request:
    """One request without its common headers; `response_bytes` is the body's length where it is known."""

    operation: Operation
    target: str
    response_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests in the order they are sent, their common headers and the one body that every PUT carries."""

    endpoint: Endpoint
    requests: tuple[Request, ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    repeat: Repeat = Repeat.CYCLE

    def head(self, request: Request) -> bytes:
        """The request line and headers as sent."""
        return f"{request.operation.method} {request.target} HTTP/1.1\r\n".encode() + self.header_block(
            request.operation
        )

    def header_block(self, operation: Operation) -> bytes:
        """All headers of an operation, with the empty line."""
        lines = [f"Host: {self.endpoint.authority}", *(f"{name}: {value}" for name, value in self.headers)]
        if operation is Operation.PUT:
            lines += [f"Content-Length: {len(self.body)}", "Content-Type: application/octet-stream"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def container_for(workload: Workload, purpose: str = "read") -> str:
    """The container (bucket) a workload uses for a purpose: `read`, `write` or `delete`."""
    return f"bench-{workload.api.value}-{workload.size_bytes}-{purpose}"


def object_name(index: int) -> str:
    """Names sort as they count, so that a listing page can be addressed by its marker."""
    return f"object-{index:08d}"


class Targets:
    """Builds request targets for one endpoint: plain paths for Swift, presigned ones for S3."""

    def __init__(self, endpoint: Endpoint, *, now_ms: int) -> None:
        self._base_path = endpoint.base_path
        credentials = endpoint.credentials
        self._presigner: Presigner | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        if isinstance(credentials, S3Keys):
            self._presigner = Presigner(credentials, host=endpoint.authority, now_ms=now_ms)
        else:
            self.headers = (("X-Auth-Token", credentials.token),)

    def container(self, method: str, container: str) -> str:
        """The target of a request upon the container itself."""
        return self._target(method, f"{self._base_path}/{container}", {})

    def item(self, method: str, container: str, name: str) -> str:
        """The target of a request upon one object."""
        return self._target(method, f"{self._base_path}/{container}/{name}", {})

    def listing(self, container: str, *, marker: str, limit: int) -> str:
        """The target of one page of a listing, after `marker`."""
        if self._presigner is not None:
            query = {"list-type": "2", "max-keys": str(limit)} | ({"start-after": marker} if marker else {})
        else:
            query = {"format": "json", "limit": str(limit)} | ({"marker": marker} if marker else {})
        return self._target("GET", f"{self._base_path}/{container}", query)

    def query(self, method: str, container: str, query: dict[str, str]) -> str:
        """The target of a request upon the container with a query of any kind."""
        return self._target(method, f"{self._base_path}/{container}", query)

    def _target(self, method: str, path: str, query: dict[str, str]) -> str:
        if self._presigner is not None:
            return self._presigner.presign(method, path, query)
        encoded = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in query.items())
        return quote(path) + (f"?{encoded}" if encoded else "")


def plan_seed(endpoint: Endpoint, *, body: bytes, now_ms: int, container: str, count: int) -> Plan:
    """PUTs of the objects 0 to `count` - 1 of a container, each once."""
    targets = Targets(endpoint, now_ms=now_ms)
    requests = tuple(
        Request(Operation.PUT, targets.item("PUT", container, object_name(index))) for index in range(count)
    )
    return Plan(endpoint, requests, targets.headers, body, Repeat.ONCE)


def plan_run(
    workload: Workload, endpoint: Endpoint, *, body: bytes, now_ms: int, salt: str = "a", doomed: int = 0
) -> Plan:
    """The requests of the measured run.

    `salt` keeps the fresh names of one run apart from those of another; `doomed` is how many objects were
    made for DELETE, which ends the plan when they run out.
    """
    targets = Targets(endpoint, now_ms=now_ms)
    sources = {
        operation: _OperationSource(operation, workload, targets, salt) for operation in workload.operations
    }
    cycle = interleave(workload.mix)
    deletes_per_cycle = sum(1 for operation in cycle if operation is Operation.DELETE)
    length = _plan_length(workload, cycle)
    if deletes_per_cycle:
        length = min(length, (doomed // deletes_per_cycle) * len(cycle))
    requests = tuple(sources[cycle[index % len(cycle)]].next() for index in range(length))
    once = deletes_per_cycle > 0 or workload.count_max is not None
    repeat = Repeat.ONCE if once else Repeat.CYCLE
    return Plan(endpoint, requests, targets.headers, body, repeat)


def _plan_length(workload: Workload, cycle: Sequence[Operation]) -> int:
    if workload.count_max is not None:
        return workload.count_max
    if workload.operations & {Operation.PUT, Operation.DELETE}:
        kind = "large" if workload.size_bytes >= _LARGE_BYTES else "small"
        return max(len(cycle), int(_FRESH_NAMES_PER_S[kind] * workload.duration_s))
    longest = max(workload.objects, len(cycle), 1)
    return min(longest, _CYCLE_REQUESTS_MAX)


class _OperationSource:
    """Yields the successive requests of one operation of a mix."""

    def __init__(self, operation: Operation, workload: Workload, targets: Targets, salt: str) -> None:
        self._operation = operation
        self._workload = workload
        self._targets = targets
        self._salt = salt
        self._index = 0
        # Every target is computed once, however often the plan comes back to it.
        self._known: dict[int, Request] = {}

    def next(self) -> Request:
        index = self._index
        self._index += 1
        match self._operation:
            case Operation.PUT:
                container = container_for(self._workload, "write")
                return Request(
                    Operation.PUT, self._targets.item("PUT", container, f"{self._salt}-{index:08d}")
                )
            case Operation.DELETE:
                container = container_for(self._workload, "delete")
                return Request(Operation.DELETE, self._targets.item("DELETE", container, object_name(index)))
            case Operation.GET | Operation.HEAD:
                slot = self._stride(index)
            case Operation.LIST:
                slot = index % self._pages()
        if slot not in self._known:
            self._known[slot] = self._reading(slot)
        return self._known[slot]

    def _reading(self, slot: int) -> Request:
        container = container_for(self._workload)
        if self._operation is Operation.LIST:
            limit = self._workload.listing_limit
            marker = object_name(slot * limit - 1) if slot else ""
            return Request(Operation.LIST, self._targets.listing(container, marker=marker, limit=limit))
        target = self._targets.item(self._operation.method, container, object_name(slot))
        size = self._workload.size_bytes if self._operation is Operation.GET else 0
        return Request(self._operation, target, size)

    def _stride(self, index: int) -> int:
        # A multiplicative walk visits the objects out of order without any randomness.
        objects = max(1, self._workload.objects)
        return (index * 2_654_435_761) % objects if objects > 1 else 0

    def _pages(self) -> int:
        return max(1, self._workload.objects // self._workload.listing_limit)


def sample(plan: Plan, count: int = 2) -> tuple[Request, ...]:
    """The first requests of each operation in the plan, for a check before the run."""
    by_operation: dict[Operation, list[Request]] = {}
    for request in islice(plan.requests, 200):
        chosen = by_operation.setdefault(request.operation, [])
        if len(chosen) < count:
            chosen.append(request)
    return tuple(request for requests in by_operation.values() for request in requests)
