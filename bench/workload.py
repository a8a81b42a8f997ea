"""What a measurement asks of a store: operations, sizes, concurrency and length. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

KIB = 1024
MIB = 1024 * 1024
DEFAULT_DURATION_S = 5.0
DEFAULT_CONNECTIONS = 16

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?\s*$", re.IGNORECASE)
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": 1024 * MIB}


class Operation(Enum):
    """One kind of request, by the name the command line uses."""

    PUT = "put"
    GET = "get"
    HEAD = "head"
    DELETE = "delete"
    LIST = "list"

    @property
    def method(self) -> str:
        """The HTTP method that carries the operation, the same in S3 and Swift."""
        return "GET" if self is Operation.LIST else self.name


class Api(Enum):
    """The dialect a request is spoken in."""

    S3 = "s3"
    SWIFT = "swift"


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of a table.

    `mix` holds (operation, share) pairs; `objects` is how many exist before the run, to be read or
    listed; `count_max` ends the run after so many requests, otherwise `duration_s` does.
    """

    name: str
    title: str
    api: Api
    mix: tuple[tuple[Operation, int], ...]
    size_bytes: int = 4 * KIB
    connections: int = DEFAULT_CONNECTIONS
    duration_s: float = DEFAULT_DURATION_S
    count_max: int | None = None
    objects: int = 1_000
    listing_limit: int = 1_000

    def __post_init__(self) -> None:
        if not self.mix or any(share < 1 for _, share in self.mix):
            raise ValueError("a mix needs at least one operation, each with a share of 1 or more")
        for label in ("size_bytes", "objects"):
            if getattr(self, label) < 0:
                raise ValueError(f"{label} must not be negative")
        if self.connections < 1 or self.duration_s <= 0 or self.listing_limit < 1:
            raise ValueError("connections, duration_s and listing_limit must be positive")
        if self.count_max is not None and self.count_max < 1:
            raise ValueError("count_max must be 1 or more")

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations that occur in the mix."""
        return frozenset(operation for operation, _ in self.mix)


def parse_size(text: str) -> int:
    """Read `4K`, `4KiB`, `1.5M` or `4096` as bytes, in powers of 1,024; raises ValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"not a size: {text!r} (write 4096, 4K, 1M or 1G)")
    return int(float(match.group(1)) * _UNITS[match.group(2).lower()])


def parse_mix(text: str) -> tuple[tuple[Operation, int], ...]:
    """Read `get` or `get=80,put=20` as (operation, share) pairs; raises ValueError."""
    pairs = []
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            pairs.append((Operation(name.lower()), int(share or "1")))
        except ValueError:
            choices = ", ".join(operation.value for operation in Operation)
            raise ValueError(f"not an operation with a share: {part!r} (operations: {choices})") from None
    if len({operation for operation, _ in pairs}) != len(pairs):
        raise ValueError(f"an operation occurs twice in {text!r}")
    return tuple(pairs)


def interleave(mix: Sequence[tuple[Operation, int]]) -> tuple[Operation, ...]:
    """Spread a mix evenly over one cycle, as long as the sum of its shares (smooth weighted round robin)."""
    total = sum(share for _, share in mix)
    credit = {operation: 0 for operation, _ in mix}
    cycle = []
    for _ in range(total):
        for operation, share in mix:
            credit[operation] += share
        chosen = max(credit, key=lambda operation: credit[operation])
        credit[chosen] -= total
        cycle.append(chosen)
    return tuple(cycle)


def _row(name: str, title: str, operation: Operation, size_bytes: int, objects: int) -> Workload:
    api = Api.S3 if name.startswith("s3-") else Api.SWIFT
    return Workload(name, title, api, ((operation, 1),), size_bytes=size_bytes, objects=objects)


STANDARD: tuple[Workload, ...] = (
    _row("get-4k", "GET 4 KiB", Operation.GET, 4 * KIB, 10_000),
    _row("head-4k", "HEAD", Operation.HEAD, 4 * KIB, 10_000),
    _row("get-1m", "GET 1 MiB", Operation.GET, MIB, 64),
    _row("put-4k", "PUT 4 KiB", Operation.PUT, 4 * KIB, 0),
    _row("put-1m", "PUT 1 MiB", Operation.PUT, MIB, 0),
    _row("delete-4k", "DELETE", Operation.DELETE, 4 * KIB, 0),
    _row("list-1000", "list 1,000 of 10,000", Operation.LIST, 4 * KIB, 10_000),
    _row("s3-get-4k", "S3 GET 4 KiB, presigned", Operation.GET, 4 * KIB, 1_000),
)
"""The table of the baseline; rows that read share one container of objects."""

FURTHER: tuple[Workload, ...] = (
    _row("s3-head-4k", "S3 HEAD, presigned", Operation.HEAD, 4 * KIB, 1_000),
    _row("s3-get-1m", "S3 GET 1 MiB, presigned", Operation.GET, MIB, 64),
    _row("s3-put-4k", "S3 PUT 4 KiB, presigned", Operation.PUT, 4 * KIB, 0),
    _row("s3-put-1m", "S3 PUT 1 MiB, presigned", Operation.PUT, MIB, 0),
    _row("s3-delete-4k", "S3 DELETE, presigned", Operation.DELETE, 4 * KIB, 0),
    _row("s3-list-1000", "S3 list 1,000 of 10,000", Operation.LIST, 4 * KIB, 10_000),
)
"""Rows that run when they are named."""

GOALS: dict[str, float] = {
    "get-4k": 10.0,
    "head-4k": 10.0,
    "get-1m": 5.0,
    "put-4k": 10.0,
    "put-1m": 4.0,
    "delete-4k": 10.0,
    "list-1000": 10.0,
}
"""How many times the requests per second of Swift each row is meant to reach."""


def choose_rows(names: str | None) -> tuple[Workload, ...]:
    """The standard table, the rows named with commas, or every row for `all`; raises ValueError."""
    if not names:
        return STANDARD
    known = {row.name: row for row in STANDARD + FURTHER}
    if names.strip() == "all":
        return tuple(known.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"unknown rows: {', '.join(unknown)} (rows: {', '.join(known)})")
    return tuple(known[name] for name in wanted)
