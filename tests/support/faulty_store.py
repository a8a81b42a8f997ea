"""A store around another that misbehaves when it is told to: slow, silent or failing commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from model.entry import Table
from model.errors import DeviceFailed
from model.stamp import ZERO, Stamp
from objectd.store import (
    Buffer,
    Change,
    DeviceStatus,
    Group,
    Health,
    Held,
    Outcome,
    Pending,
    Staging,
    Store,
    Write,
    Written,
)


class FaultyStore:
    """Passes every call on to `inner`, with the faults that are set.

    While `hold` is set commits wait for `release`; `fail_commits` makes them FAILED; `cold` makes
    `read_now` answer that a disk must be waited for.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.device_id = inner.device_id
        self.hold = False
        self.fail_commits = False
        self.cold = False
        self.held: list[tuple[Sequence[Write], asyncio.Future[list[Written]]]] = []
        self.open_stagings = 0

    def release(self) -> None:
        """Let the commits held so far go on."""
        self.hold = False
        held, self.held = self.held, []
        for writes, future in held:
            future.set_result(self.commit(writes).result())

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Commit, later or never, as the faults say."""
        future: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        if self.hold:
            self.held.append((writes, future))
        elif self.fail_commits:
            future.set_result([Written(Outcome.FAILED, ZERO) for _ in writes])
        else:
            return self.inner.commit(writes)
        return future

    def read_now(self, held: Held, offset: int, length: int) -> Buffer | None:
        """Read what is in memory; nothing is while the store is cold."""
        return None if self.cold else self.inner.read_now(held, offset, length)

    async def stage(self, size_hint: int | None) -> Staging:
        """Begin a large payload, and count it until it is aborted."""
        if self.fail_commits:
            raise DeviceFailed("the device fails")
        self.open_stagings += 1
        staging = await self.inner.stage(size_hint)
        abort = staging.abort

        async def counted_abort() -> None:
            self.open_stagings -= 1
            await abort()

        staging.abort = counted_abort  # type: ignore[method-assign]
        return staging

    # What is passed on as it is.

    def get(self, key: bytes) -> Held | None:
        """Pass on."""
        return self.inner.get(key)

    def rows(
        self, start: bytes, end: bytes, limit: int, *, reverse: bool = False, cut_bytes: int = 0
    ) -> list[tuple[bytes, bytes]]:
        """Pass on."""
        return self.inner.rows(start, end, limit, reverse=reverse, cut_bytes=cut_bytes)

    def read(self, held: Held, offset: int, length: int) -> AsyncIterator[Buffer]:
        """Pass on."""
        return self.inner.read(held, offset, length)

    def group(self, digest: bytes) -> Group:
        """Pass on."""
        return self.inner.group(digest)

    def changes(self, digest: bytes, after: int, limit: int) -> list[Change]:
        """Pass on."""
        return self.inner.changes(digest, after, limit)

    def partition_digests(self, table: Table) -> dict[int, int]:
        """Pass on."""
        return self.inner.partition_digests(table)

    def partitions(self) -> set[int]:
        """Pass on."""
        return self.inner.partitions()

    def pending(self, older_than_ms: int) -> list[Pending]:
        """Pass on."""
        return self.inner.pending(older_than_ms)

    def confirm(self, keys: Sequence[tuple[bytes, Stamp]]) -> None:
        """Pass on."""
        self.inner.confirm(keys)

    def forget(self, keys: Sequence[tuple[bytes, Stamp]]) -> asyncio.Future[int]:
        """Pass on."""
        return self.inner.forget(keys)

    def quarantined(self, limit: int) -> list[bytes]:
        """Pass on."""
        return self.inner.quarantined(limit)

    def scrub(self, budget_bytes: int) -> AsyncIterator[int]:
        """Pass on."""
        return self.inner.scrub(budget_bytes)

    async def compact(self, budget_bytes: int) -> int:
        """Pass on."""
        return await self.inner.compact(budget_bytes)

    async def check(self) -> Health:
        """Pass on."""
        return await self.inner.check()

    def status(self) -> DeviceStatus:
        """Pass on."""
        return self.inner.status()

    def on_problem(self, callback: Callable[[str, bytes | None], None]) -> None:
        """Pass on."""
        self.inner.on_problem(callback)

    async def close(self) -> None:
        """Pass on."""
        await self.inner.close()
