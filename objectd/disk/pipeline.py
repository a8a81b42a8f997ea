"""The commit pipeline of one device: operations queue up, a group is written, synced, then applied.

One group is under way at a time; what arrives meanwhile shares the next. Planning and applying run
in the loop; so does a small write, which only copies into the page cache. Large writes go past it, from
where their bytes were received: making pages for three copies of them costs more than all else. They and
the sync are the kernel's.
A failed sync is never tried again: nobody knows what of the page cache is left after one.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from model.errors import CorruptRecord
from model.stamp import ZERO
from objectd.disk.direct import split, whole_pages
from objectd.disk.files import Files
from objectd.disk.index import Index
from objectd.disk.planning import Group, Named, Operation, Result
from objectd.disk.records import PAGE_BYTES
from objectd.disk.state import Applier, DeviceState
from objectd.disk.sync import Syncer
from objectd.disk.volumes import Volumes
from objectd.store import Outcome, Write, Written

_INLINE_BYTES_MAX: Final = 256 << 10
_DIRECT_BYTES_MIN: Final = 128 << 10
_FULL_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How much one group may take, and when the tail is sealed, in bytes."""

    group_bytes_max: int
    group_operations_max: int
    volume_bytes_max: int


@dataclass(frozen=True, slots=True)
class PipelineHooks:
    """What the pipeline tells its device.

    `is_full()` says whether the reserve is reached; `grew(bytes)` follows each durable group;
    `failed(reason, errno)` ends the pipeline; `dropped(file ids)` names files nothing refers to.
    """

    now_ms: Callable[[], int]
    is_full: Callable[[], bool]
    hit_full: Callable[[], None]
    grew: Callable[[int], None]
    failed: Callable[[str, int], None]
    dropped: Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class _Call:
    operations: Sequence[Operation]
    future: asyncio.Future[list[Any]]


class Pipeline:
    """The queue of operations of one device, in one loop."""

    def __init__(
        self,
        index: Index,
        state: DeviceState,
        volumes: Volumes,
        *,
        files: Files,
        limits: GroupLimits,
        hooks: PipelineHooks,
        threads: Executor,
    ) -> None:
        self._index = index
        self._state = state
        self._volumes = volumes
        self._files = files
        self._limits = limits
        self._hooks = hooks
        self._threads = threads
        self._queue: deque[_Call] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._syncer: Syncer | None = None
        self._is_busy = False
        self._is_failed = False
        self._idle: list[asyncio.Future[None]] = []

    def submit(self, operations: Sequence[Operation]) -> asyncio.Future[list[Any]]:
        """Queue operations; the future resolves to their results, never to an error."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._syncer = self._files.make_syncer(loop)
        future: asyncio.Future[list[Any]] = loop.create_future()
        if self._is_failed:
            future.set_result(_failures(operations))
            return future
        self._queue.append(_Call(operations, future))
        if not self._is_busy:
            self._is_busy = True
            # What else this turn of the loop brings shares the group.
            loop.call_soon(self._next)
        return future

    async def drain(self) -> None:
        """Wait until nothing is queued or under way."""
        if self._is_busy:
            done = asyncio.get_running_loop().create_future()
            self._idle.append(done)
            await done

    def close(self) -> None:
        """Release the syncer; to be called when drained."""
        self._is_failed = True
        if self._syncer is not None:
            self._syncer.close()
            self._syncer = None

    def fail(self, reason: str, number: int) -> None:
        """Answer everything that waits with FAILED, now and from now on."""
        if not self._is_failed:
            self._is_failed = True
            self._hooks.failed(reason, number)

    # -- one group

    def _next(self) -> None:
        while self._queue and not self._is_failed:
            if self._begin(is_full=self._hooks.is_full()):
                return
        while self._queue:
            call = self._queue.popleft()
            _resolve(call.future, _failures(call.operations))
        self._is_busy = False
        for waiter in self._idle:
            _resolve(waiter, None)
        self._idle.clear()

    def _begin(self, *, is_full: bool) -> bool:
        """Plan and write a group; say whether its sync is under way."""
        calls: list[tuple[_Call, list[Result]]] = []
        try:
            self._roll()
            group = self._plan(calls, is_full=is_full)
            if not group.size:
                for call, results in calls:
                    _resolve(call.future, results)
                return False
            self._write(group, calls)
        except OSError as error:
            return self._write_failed(error, calls, was_full=is_full)
        except Exception as error:  # noqa: BLE001 - RocksDB raises plain Exception
            self.fail(f"the index refuses reads: {error}", errno.EIO)
            for call, _ in calls:
                _resolve(call.future, _failures(call.operations))
            return False
        return True

    def _plan(self, calls: list[tuple[_Call, list[Result]]], *, is_full: bool) -> Group:
        volumes, limits = self._volumes, self._limits
        assert volumes.tail is not None
        group = Group(
            self._index,
            self._state,
            (volumes.tail.volume_id, volumes.tail_offset),
            nonce=volumes.nonce,
            now_ms=self._hooks.now_ms(),
            is_full=is_full,
        )
        count = 0
        while self._queue and count < limits.group_operations_max and group.size < limits.group_bytes_max:
            call = self._queue.popleft()
            results: list[Result] = []
            calls.append((call, results))
            results.extend(_plan_one(group, operation) for operation in call.operations)
            count += len(call.operations)
        return group

    def _roll(self) -> None:
        volumes = self._volumes
        if volumes.tail is None or volumes.tail_offset >= self._limits.volume_bytes_max:
            if volumes.tail is not None:
                self._sealed(volumes.tail.volume_id)
            volumes.begin(self._state.next_sequence, self._hooks.now_ms())
            assert volumes.tail is not None
            self._state.begin_volume(volumes.tail.volume_id, verified_ms=self._hooks.now_ms())

    def _sealed(self, volume_id: int) -> None:
        found = self._state.volumes.get(volume_id)
        if found is not None:
            found.sealed_ms = self._hooks.now_ms()
            self._state.touched.add(volume_id)

    def _write(self, group: Group, calls: list[tuple[_Call, list[Result]]]) -> None:
        volumes, syncer = self._volumes, self._syncer
        assert volumes.tail is not None
        assert syncer is not None
        direct = volumes.direct_tail(group.size + PAGE_BYTES) if group.size >= _DIRECT_BYTES_MIN else None
        if direct is not None:
            group.end_at_page()
            self._write_direct(direct, group, calls)
        elif group.size <= _INLINE_BYTES_MAX:
            volumes.write_tail(group.buffers, group.size)
            syncer.sync(volumes.tail.fd, lambda number: self._synced(group, calls, number))
        else:
            self._write_in_thread(group, calls)

    def _write_direct(self, direct: int, group: Group, calls: list[tuple[_Call, list[Result]]]) -> None:
        """Have the kernel write whole pages past its cache; what shares a page with the tail is cached."""
        volumes, syncer = self._volumes, self._syncer
        assert volumes.tail is not None
        assert syncer is not None
        fd = volumes.tail.fd
        shared_bytes = -volumes.tail_offset % PAGE_BYTES
        shared, rest = split(group.buffers, shared_bytes)
        if shared:
            volumes.write_tail(shared, shared_bytes)

        def then_sync(number: int) -> None:
            if number in (errno.EINVAL, errno.EAGAIN):
                if number == errno.EINVAL:
                    # A file system that lets files be opened so, and will not write to them.
                    volumes.write_direct_no_more()
                self._write_in_thread(group, calls)
            elif number:
                if not self._write_failed(OSError(number, os.strerror(number)), calls, was_full=False):
                    self._next()
            else:
                syncer.sync(fd, lambda number: self._synced(group, calls, number))

        syncer.write(direct, whole_pages(rest), volumes.tail_offset + shared_bytes, then_sync)

    def _write_in_thread(self, group: Group, calls: list[tuple[_Call, list[Result]]]) -> None:
        volumes, loop, syncer = self._volumes, self._loop, self._syncer
        assert volumes.tail is not None
        assert loop is not None
        assert syncer is not None
        fd = volumes.tail.fd
        written = loop.run_in_executor(self._threads, volumes.write_tail, group.buffers, group.size)

        def then_sync(done: asyncio.Future[None]) -> None:
            error = done.exception()
            if isinstance(error, OSError):
                if not self._write_failed(error, calls, was_full=False):
                    self._next()
            elif error is not None:
                self.fail(f"a write failed: {error}", errno.EIO)
                self._give_up(calls)
            else:
                syncer.sync(fd, lambda number: self._synced(group, calls, number))

        written.add_done_callback(then_sync)

    def _synced(self, group: Group, calls: list[tuple[_Call, list[Result]]], number: int) -> None:
        if number:
            self.fail("the disk could not keep what was written (fdatasync)", number)
        elif not self._is_failed and not self._still_there():
            self.fail("the device's folder was emptied", errno.ENOENT)
        if self._is_failed:
            self._give_up(calls)
            return
        try:
            self._apply(group)
        except Exception as error:  # noqa: BLE001 - RocksDB raises plain Exception
            self.fail(f"the index refuses writes: {error}", errno.EIO)
            self._give_up(calls)
            return
        for call, results in calls:
            _resolve(call.future, results)
        self._hooks.grew(group.size)
        self._next()

    def _apply(self, group: Group) -> None:
        volumes = self._volumes
        assert volumes.tail is not None
        volumes.advance(group.size)
        self._state.next_sequence = group.next_sequence
        applier = Applier(self._index, self._state)
        for effect in group.effects:
            applier.apply(effect)
        applier.write((volumes.tail.volume_id, volumes.tail_offset))
        if applier.dropped_files:
            self._hooks.dropped(applier.dropped_files)

    def _still_there(self) -> bool:
        try:
            return self._volumes.tail_is_named()
        except OSError:
            return False

    # -- failures

    def _write_failed(
        self, error: OSError, calls: list[tuple[_Call, list[Result]]], *, was_full: bool
    ) -> bool:
        """Deal with a write that the system refused; the tail has not moved, so nothing is torn."""
        if error.errno in _FULL_ERRORS:
            self._hooks.hit_full()
            if not was_full:
                # Plan again: what gives space back may fit into what is left.
                self._queue.extendleft(call for call, _ in reversed(calls))
                return self._begin(is_full=True)
            refused = [call for call, _ in calls] or list(self._queue)
            if not calls:
                # Not even a new volume could be begun.
                self._queue.clear()
            for call in refused:
                _resolve(call.future, _failures(call.operations, Outcome.FULL))
            return False
        self.fail(f"a write failed: {error.strerror}", error.errno or errno.EIO)
        for call, _ in calls:
            _resolve(call.future, _failures(call.operations))
        return False

    def _give_up(self, calls: list[tuple[_Call, list[Result]]]) -> None:
        for call, _ in calls:
            _resolve(call.future, _failures(call.operations))
        self._next()


def _plan_one(group: Group, operation: Operation) -> Result:
    try:
        return group.plan(operation)
    except CorruptRecord:
        return _failure(operation, Outcome.FAILED)


def _failure(operation: Operation, outcome: Outcome) -> Result:
    return Written(outcome, ZERO) if isinstance(operation, Write | Named) else None


def _failures(operations: Sequence[Operation], outcome: Outcome = Outcome.FAILED) -> list[Any]:
    return [_failure(operation, outcome) for operation in operations]


def _resolve(future: asyncio.Future[Any], result: object) -> None:
    # Whoever waited may have been cancelled.
    if not future.done():
        future.set_result(result)
