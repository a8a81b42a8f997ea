"""The disk store: one device behind the storage protocol (objectd.store.Store).

It outlives its engine: a device that fails is set aside and answers so; `check` opens it again when
that has become possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from kit.clock import wall_clock_ms
from model.entry import Table
from model.errors import CorruptRecord, DeviceFailed, DeviceFull
from model.stamp import ZERO, Stamp
from objectd.disk.compaction import Compactor
from objectd.disk.device_file import write_watermark
from objectd.disk.engine import DiskOptions, Engine, open_engine
from objectd.disk.files import Files
from objectd.disk.health import DeviceHealth
from objectd.disk.large import LargeStaging
from objectd.disk.large_commits import LargeCommits
from objectd.disk.locations import Location
from objectd.disk.mending import Mender
from objectd.disk.pipeline import GroupLimits, Pipeline, PipelineHooks
from objectd.disk.planning import Forget, Lose
from objectd.disk.reading import Reader
from objectd.disk.scrub import Scrubber, oldest_verified_ms
from objectd.disk.state import load_current
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
    Write,
    Written,
)

_LOG: Final = structlog.get_logger(__name__)
_RETRY_MS: Final = 5000


class DiskStore:
    """One device in a folder. To be used from one event loop; not safe across threads."""

    def __init__(
        self,
        path: Path,
        device_id: int,
        *,
        part_power: int,
        create: bool,
        options: DiskOptions,
        files: Files,
        now_ms: Callable[[], int],
    ) -> None:
        self.device_id = device_id
        self._path = path
        self._part_power = part_power
        self._create = create
        self._options = options
        self._files = files
        self._now_ms = now_ms
        self._health = DeviceHealth(path, files, reserve_bytes=options.reserve_bytes, now_ms=now_ms)
        self._engine: Engine | None = None
        self._pipeline: Pipeline | None = None
        self._reader: Reader | None = None
        self._scrubber: Scrubber | None = None
        self._compactor: Compactor | None = None
        self._unflushed_bytes = 0
        self._flushed_ms = now_ms()
        self._tried_ms = 0
        self._is_opening = False
        self._was_mounted = False
        self._large_commits: LargeCommits | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        device_id: int,
        *,
        part_power: int,
        create: bool,
        options: DiskOptions | None = None,
        files: Files | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> DiskStore:
        """Open a device and replay what its index does not know; may take long after a crash.

        With `create` an empty or missing folder is formatted, now and whenever it is found emptied.
        A device that cannot be opened comes back FAILED: `status` tells why, `check` tries again.
        """
        store = cls(
            path,
            device_id,
            part_power=part_power,
            create=create,
            options=options or DiskOptions(),
            files=files or Files(),
            now_ms=now_ms,
        )
        store._open_engine()
        return store

    def _open_engine(self) -> None:
        self._tried_ms = self._now_ms()
        try:
            engine = open_engine(
                self._path,
                self.device_id,
                part_power=self._part_power,
                create=self._may_format(),
                options=self._options,
                files=self._files,
                failed=self._failed,
            )
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one device, the daemon lives
            _LOG.error("device_cannot_be_opened", device=self.device_id, error=str(error))
            self._health.not_opened(f"it cannot be opened: {error}")
            return
        self._health.opened()
        self._was_mounted = self._path.is_mount()
        self._engine = engine
        self._pipeline = self._make_pipeline(engine)
        self._large_commits = LargeCommits(engine.index, self._pipeline, self._drop_files)
        self._reader = Reader(
            engine.index,
            engine.volumes,
            engine.large,
            files=self._files,
            threads=engine.threads,
            lost=self._lost,
        )
        mender = Mender(engine, self._pipeline, self._reader, tell=self._health.tell, now_ms=self._now_ms)
        self._scrubber = Scrubber(engine, mender, now_ms=self._now_ms)
        self._compactor = Compactor(engine, self._pipeline, mender, now_ms=self._now_ms)
        for volume_id, start, end in engine.recovered.damaged:
            self._health.tell(f"volume {volume_id:08x} is damaged from byte {start} to {end}", None)

    def _may_format(self) -> bool:
        """Say whether an empty folder may be formatted: not the bare mount point of a disk that went."""
        return self._create and (not self._was_mounted or self._path.is_mount())

    def _make_pipeline(self, engine: Engine) -> Pipeline:
        options = self._options
        return Pipeline(
            engine.index,
            engine.state,
            engine.volumes,
            files=self._files,
            limits=GroupLimits(
                options.group_bytes_max, options.group_operations_max, options.volume_bytes_max
            ),
            hooks=PipelineHooks(
                now_ms=self._now_ms,
                is_full=self._health.is_full,
                hit_full=self._health.hit_full,
                grew=self._grew,
                failed=self._failed,
                dropped=self._drop_files,
            ),
            threads=engine.threads,
        )

    # -- reading

    def get(self, key: bytes) -> Held | None:
        """Return what the device holds of a key, or None. Raises DeviceFailed."""
        engine = self._serving()
        try:
            current = load_current(engine.index, key)
        except CorruptRecord:
            raise
        except Exception as error:
            raise self._index_failed(error) from error
        if current is None:
            return None
        return Held(current.entry, current.at.payload_bytes, current.at)

    def rows(
        self, start: bytes, end: bytes, limit: int, *, reverse: bool = False, cut_bytes: int = 0
    ) -> list[tuple[bytes, bytes]]:
        """Return (key less `cut_bytes`, row) with start <= key < end, at most limit. Raises DeviceFailed."""
        engine = self._serving()
        try:
            return engine.index.rows(start, end, limit, reverse=reverse, cut_bytes=cut_bytes)
        except Exception as error:
            raise self._index_failed(error) from error

    def read_now(self, held: Held, offset: int, length: int) -> Buffer | None:
        """Return verified bytes that are in memory already, else None."""
        self._serving()
        assert self._reader is not None
        return self._reader.read_now(held, offset, length)

    def read(self, held: Held, offset: int, length: int) -> AsyncIterator[Buffer]:
        """Yield verified bytes in pieces of at most 1 MiB."""
        self._serving()
        assert self._reader is not None
        return self._reader.read(held, offset, length)

    def group(self, digest: bytes) -> Group:
        """Return the totals of an index. Raises DeviceFailed."""
        return self._serving().index.group(digest)

    def changes(self, digest: bytes, after: int, limit: int) -> list[Change]:
        """Return the change log of an index after a sequence. Raises DeviceFailed."""
        return self._serving().index.changes(digest, after, limit)

    def partition_digests(self, table: Table) -> dict[int, int]:
        """Return partition to digest of the partitions that hold entries of a table."""
        digests = self._serving().state.digests
        return {part: digest for (of, part), digest in digests.items() if of == table and digest}

    def partitions(self) -> set[int]:
        """Return the partitions that hold any entry."""
        return {part for (_, part), digest in self._serving().state.digests.items() if digest}

    # -- writing

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[list[Written]]:
        """Merge writes; the future resolves once all are durable and visible."""
        pipeline = self._pipeline
        if pipeline is None or self._health.failed is Health.FAILED:
            return _resolved([Written(Outcome.FAILED, ZERO) for _ in writes])
        for write in writes:
            if isinstance(write.payload, LargeStaging):
                assert self._large_commits is not None
                return self._large_commits.commit(writes)
        return pipeline.submit(writes)

    async def stage(self, size_hint: int | None) -> Staging:
        """Begin a large payload. Raises DeviceFull, DeviceFailed."""
        engine = self._serving()
        if self._health.failed is not Health.OK:
            raise DeviceFailed(f"device {self.device_id} is set aside: {self._health.reason}")
        if not self._health.room_for(size_hint or 0):
            raise DeviceFull(f"device {self.device_id} keeps its reserve")
        return await engine.large.stage(size_hint)

    def pending(self, older_than_ms: int) -> list[Pending]:
        """Return client writes not confirmed for so long, oldest first."""
        if self._engine is None:
            return []
        now = self._now_ms()
        found = [
            Pending(key, write.stamp, now - write.since_ms)
            for key, write in self._engine.state.pending.items()
            if now - write.since_ms >= older_than_ms
        ]
        return sorted(found, key=lambda item: -item.age_ms)

    def confirm(self, keys: Sequence[tuple[bytes, Stamp]]) -> None:
        """Note that whole writes are done."""
        if self._engine is None:
            return
        pending = self._engine.state.pending
        for key, stamp in keys:
            waiting = pending.get(key)
            if waiting is not None and waiting.stamp <= stamp:
                del pending[key]

    def forget(self, keys: Sequence[tuple[bytes, Stamp]]) -> asyncio.Future[int]:
        """Drop entries whose newest stamp is still the one given."""
        if self._pipeline is None or self._health.failed is not Health.OK:
            return _resolved(0)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        dropping = self._pipeline.submit([Forget(key, stamp) for key, stamp in keys])

        def count(done: asyncio.Future[list[Any]]) -> None:
            if not future.done():
                future.set_result(sum(map(bool, done.result())))

        dropping.add_done_callback(count)
        return future

    # -- upkeep

    def quarantined(self, limit: int) -> list[bytes]:
        """Return the keys of entries set aside."""
        return list(self._engine.state.quarantine)[:limit] if self._engine is not None else []

    async def check(self) -> Health:
        """Look after the device, open it again where possible, and return its health."""
        if self._is_opening:
            return self._health.health
        engine = self._engine
        if engine is not None and self._health.failed is Health.OK:
            if not self._health.is_ours():
                self._failed("the device's folder was emptied or replaced", 0)
            else:
                self._health.look()
                self._flush_if_due()
        if self._health.failed is not Health.OK:
            await self._reopen()
        return self._health.health

    async def _reopen(self) -> None:
        if self._health.failed is Health.READ_ONLY and not self._health.is_writable():
            return
        if self._engine is None and self._now_ms() - self._tried_ms < _RETRY_MS:
            return
        self._is_opening = True
        try:
            await self._release()
            await asyncio.to_thread(self._open_engine)
        finally:
            self._is_opening = False

    async def _release(self) -> None:
        """Let go of a failed engine."""
        engine, pipeline = self._engine, self._pipeline
        self._engine = self._pipeline = self._reader = self._scrubber = self._compactor = None
        if pipeline is not None:
            await pipeline.drain()
            pipeline.close()
        if engine is not None:
            await asyncio.to_thread(engine.abandon)

    async def scrub(self, budget_bytes: int) -> AsyncIterator[int]:
        """Verify what was verified longest ago, yielding the bytes of each step. Raises DeviceFailed."""
        engine, scrubber = self._serving(), self._scrubber
        assert scrubber is not None
        try:
            async for size in scrubber.run(budget_bytes):
                yield size
        except Exception as error:
            raise self._upkeep_failed(engine, error) from error

    async def compact(self, budget_bytes: int) -> int:
        """Give dead space back; return the bytes read for it. Raises DeviceFailed."""
        engine, compactor = self._serving(), self._compactor
        if self._health.failed is not Health.OK or compactor is None:
            return 0
        try:
            return await compactor.run(budget_bytes)
        except Exception as error:
            raise self._upkeep_failed(engine, error) from error

    def _upkeep_failed(self, engine: Engine, error: Exception) -> Exception:
        """Return what to raise for an error of upkeep: a device that failed meanwhile says so."""
        if self._engine is engine and not isinstance(error, OSError):
            return error
        return DeviceFailed(f"device {self.device_id}: upkeep stopped: {error}")

    def status(self) -> DeviceStatus:
        """Return what an operator is told."""
        engine, space = self._engine, self._health.space
        live = dead = entries = quarantined = oldest = 0
        if engine is not None:
            state = engine.state
            dead = sum(known.dead for known in state.volumes.values())
            live = max(0, engine.volumes.total_bytes() - dead) + state.large_bytes
            entries, quarantined = state.entry_count, len(state.quarantine)
            oldest = oldest_verified_ms(state)
        return DeviceStatus(
            device_id=self.device_id,
            path=str(self._path),
            health=self._health.health,
            reason=self._health.reason,
            capacity_bytes=space.capacity_bytes,
            free_bytes=max(0, space.free_bytes - self._options.reserve_bytes),
            live_bytes=live,
            dead_bytes=dead,
            entry_count=entries,
            quarantined_count=quarantined,
            oldest_verified_ms=oldest,
        )

    def on_problem(self, callback: Callable[[str, bytes | None], None]) -> None:
        """Call back when a record or the device goes bad."""
        self._health.on_problem(callback)

    async def close(self) -> None:
        """Finish what is under way and release the device."""
        if self._large_commits is not None:
            await self._large_commits.drain()
        engine, pipeline = self._engine, self._pipeline
        self._engine = self._pipeline = self._reader = self._scrubber = self._compactor = None
        if pipeline is not None:
            await pipeline.drain()
            pipeline.close()
        if engine is None:
            return
        if self._health.failed is not Health.OK:
            await asyncio.to_thread(engine.abandon)
            return
        try:
            await asyncio.to_thread(engine.close)
        except Exception as error:  # noqa: BLE001 - RocksDB raises plain Exception
            # What the index could not flush is replayed from the volumes.
            _LOG.warning("device_closed_unclean", device=self.device_id, error=str(error))
            await asyncio.to_thread(engine.abandon)

    # -- inside

    def _serving(self) -> Engine:
        engine = self._engine
        if engine is None or self._health.failed is Health.FAILED:
            raise DeviceFailed(f"device {self.device_id} is set aside: {self._health.reason}")
        return engine

    def _failed(self, reason: str, number: int) -> None:
        _LOG.error("device_failed", device=self.device_id, reason=reason)
        self._health.failed_with(reason, number)

    def _index_failed(self, error: Exception) -> DeviceFailed:
        self._failed(f"the index cannot be read: {error}", 0)
        return DeviceFailed(f"device {self.device_id}: the index cannot be read: {error}")

    def _lost(self, held: Held, reason: str) -> None:
        at = held.location
        assert isinstance(at, Location)
        self._health.tell(reason, held.entry.key)
        if self._pipeline is not None and at.payload is not None:
            _ = self._pipeline.submit([Lose(held.entry.key, at.payload)])

    def _grew(self, size: int) -> None:
        self._health.grew(size)
        self._unflushed_bytes += size
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        """Bound what a crash leaves to replay: flush the index now and then, in the background."""
        engine = self._engine
        if engine is None or not self._unflushed_bytes:
            return
        now = self._now_ms()
        if (
            self._unflushed_bytes >= self._options.index_flush_bytes
            or now - self._flushed_ms >= self._options.index_flush_ms
        ):
            self._unflushed_bytes = 0
            self._flushed_ms = now
            watermark = engine.state.watermark(engine.end)
            engine.threads.submit(_flush, engine, watermark)

    def _drop_files(self, file_ids: Sequence[bytes]) -> None:
        if self._engine is not None:
            for file_id in file_ids:
                self._engine.large.let_go(file_id)
                self._engine.threads.submit(_unlink, self._engine, file_id)


def _flush(engine: Engine, watermark: tuple[int, int]) -> None:
    try:
        engine.index.flush(wait=False)
        write_watermark(engine.path, watermark, engine.files)
    except Exception as error:  # noqa: BLE001 - the next write or read of the index will tell for sure
        _LOG.warning("index_flush_failed", path=str(engine.path), error=str(error))


def _unlink(engine: Engine, file_id: bytes) -> None:
    try:
        engine.large.unlink(file_id)
    except OSError as error:
        _LOG.warning("file_not_removed", path=str(engine.large.path(file_id)), error=str(error))


def _resolved(result: Any) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future
