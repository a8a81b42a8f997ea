"""Commits with a large payload: the file gets its name, durably, before the record that refers to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from model.errors import DeviceFailed, DeviceFull
from model.stamp import ZERO
from objectd.disk.index import Index
from objectd.disk.large import LargeStaging
from objectd.disk.locations import InFile
from objectd.disk.pipeline import Pipeline
from objectd.disk.planning import Named, Operation
from objectd.disk.state import load_current
from objectd.store import Outcome, Write, Written


class LargeCommits:
    """The calls of one device whose files are being named. `drop(file ids)` unlinks what nobody needs."""

    def __init__(self, index: Index, pipeline: Pipeline, drop: Callable[[Sequence[bytes]], None]) -> None:
        self._index = index
        self._pipeline = pipeline
        self._drop = drop
        self._tasks: set[asyncio.Task[None]] = set()

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Name the files of some writes, then queue them; the future never fails."""
        future: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._name_and_commit(writes, future))
        # The loop keeps only a weak reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def drain(self) -> None:
        """Wait until all that was begun is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _name_and_commit(self, writes: Sequence[Write], future: asyncio.Future[list[Written]]) -> None:
        operations: list[Operation] = []
        try:
            for write in writes:
                if isinstance(write.payload, LargeStaging):
                    file = await write.payload.name(write.entry.key, write.entry.to_row())
                    operations.append(Named(write, file))
                else:
                    operations.append(write)
            results: list[Written] = await self._pipeline.submit(operations)
        except (DeviceFull, DeviceFailed) as error:
            outcome = Outcome.FULL if isinstance(error, DeviceFull) else Outcome.FAILED
            results = [Written(outcome, ZERO) for _ in writes]
            self._drop([one.file.file_id for one in operations if isinstance(one, Named)])
        else:
            self._drop_unused(operations, results)
        if not future.done():
            future.set_result(results)

    def _drop_unused(self, operations: Sequence[Operation], results: Sequence[Written]) -> None:
        """Unlink the files that lost to a newer base, or were refused."""
        for operation, written in zip(operations, results, strict=True):
            # After FAILED nobody knows whether the record is durable: opening the device finds out.
            if not isinstance(operation, Named) or written.outcome is Outcome.FAILED:
                continue
            held = load_current(self._index, operation.write.entry.key)
            payload = held.at.payload if held is not None else None
            if not isinstance(payload, InFile) or payload.file_id != operation.file.file_id:
                self._drop([operation.file.file_id])
