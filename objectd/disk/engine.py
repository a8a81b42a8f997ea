"""One opened device: its volumes, large files, index and pipeline, made true on opening.

An engine lives from one opening of the folder to the next; what survives a failure is the store
around it (objectd.disk.store), which opens another engine when it can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from model.errors import DeviceFailed
from objectd.decide import TABLES_END
from objectd.disk.device_file import (
    FOLDERS,
    DeviceFile,
    format_device,
    read_device_file,
    read_watermark,
    write_device_file,
)
from objectd.disk.files import Files
from objectd.disk.index import Index, IndexBatch, IndexOptions, Meta
from objectd.disk.large import LargeFiles
from objectd.disk.locations import InVolume, unpack_value
from objectd.disk.recovery import Recovered, Replay, blot_out, find_pending
from objectd.disk.state import Applier, DeviceState, Position, load_state
from objectd.disk.volumes import Volumes

_LOG: Final = structlog.get_logger(__name__)
_CLEAN_FILE: Final = "clean"
_LOCK_FILE: Final = "lock"
_LOCK_RETRY_S: Final = 0.05
_START: Final = (0, 0)
REMOVED: Final = (1 << 63) - 1
"""Dead bytes of a volume that is about to be unlinked, or has been."""


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """How a device is run; sizes in bytes, times in milliseconds.

    `reserve_bytes` stay free for deletes and for compaction. `dead_ratio` of a volume makes
    compaction worth its while. `lock_wait_ms` is how long to wait
    for another process (one that drains, after a restart) to let go of the device.
    """

    volume_bytes_max: int = 1 << 30
    group_bytes_max: int = 4 << 20
    group_operations_max: int = 256
    reserve_bytes: int = 1 << 30
    index_flush_bytes: int = 64 << 20
    index_flush_ms: int = 30_000
    change_retention_ms: int = 7 * 86_400_000
    dead_ratio: float = 0.5
    lock_wait_ms: int = 5000
    index: IndexOptions = field(default_factory=IndexOptions)


@dataclass(slots=True)
class Engine:
    """What is open of a device. `unclean` says that it had not been closed before."""

    path: Path
    device: DeviceFile
    files: Files
    options: DiskOptions
    volumes: Volumes
    large: LargeFiles
    index: Index
    state: DeviceState
    threads: ThreadPoolExecutor
    recovered: Recovered
    lock: int

    @property
    def end(self) -> Position:
        """Where the next record goes."""
        tail = self.volumes.tail
        return (tail.volume_id, self.volumes.tail_offset) if tail is not None else (0, 0)

    def write_state(self) -> None:
        """Tell the index what changed of the volumes, between two groups."""
        Applier(self.index, self.state).write(self.end)

    def delete_changes(self, internal_keys: Sequence[bytes]) -> None:
        """Remove lines of the change log."""
        batch = IndexBatch()
        for key in internal_keys:
            batch.delete_change(key)
        self.index.write(batch)

    def refers_to(self, volume_id: int) -> bool:
        """Say whether any row's record or payload is in a volume; reads the whole index."""
        for _, value in self.index.values(b"", TABLES_END):
            _, at = unpack_value(value)
            if at.volume_id == volume_id:
                return True
            if isinstance(at.payload, InVolume) and at.payload.volume_id == volume_id:
                return True
        return False

    def close(self) -> None:
        """Flush and release everything. Raises OSError."""
        self.volumes.seal()
        self.write_state()
        self.index.close()
        fd = self.files.open_volume(self.path / _CLEAN_FILE, create=True)
        self.files.close(fd)
        # What is still to be unlinked.
        self.threads.shutdown(wait=True)
        self._release()

    def abandon(self) -> None:
        """Release everything as it is, for a device that failed."""
        self.index.abandon()
        self._release()

    def _release(self) -> None:
        self.volumes.close()
        self.large.close()
        self.threads.shutdown(wait=False)
        self.files.close(self.lock)


def open_engine(
    path: Path,
    device_id: int,
    *,
    part_power: int,
    create: bool,
    options: DiskOptions,
    files: Files,
    failed: Callable[[str, int], None],
) -> Engine:
    """Open a device's folder and make its index true. Raises DeviceFailed, OSError.

    With `create` an empty or missing folder is formatted.
    """
    device = _device_of(path, device_id, part_power, create=create, files=files)
    lock = _lock(path / _LOCK_FILE, files, options.lock_wait_ms)
    try:
        threads = ThreadPoolExecutor(4, thread_name_prefix=f"device-{device_id}")
        volumes = Volumes(path / FOLDERS[0], device.uuid_bytes, files)
        large = LargeFiles(path / FOLDERS[1], files, threads, failed)
        volumes.load()
        is_clean = (path / _CLEAN_FILE).exists()
        files.unlink(path / _CLEAN_FILE)
        if device.part_power != part_power:
            # Digests are kept by partition: they have to be summed anew.
            Index.destroy(path / "index")
            device = replace(device, part_power=part_power)
            write_device_file(path, device, files)
        index, meta = _open_index(path / "index", device, volumes, options.index)
    except BaseException:
        files.close(lock)
        raise
    state = load_state(index, part_power, device.uuid_bytes, meta)
    engine = Engine(path, device, files, options, volumes, large, index, state, threads, Recovered(), lock)
    try:
        _make_true(engine, meta, is_clean=is_clean)
    except BaseException:
        engine.abandon()
        raise
    return engine


def _device_of(path: Path, device_id: int, part_power: int, *, create: bool, files: Files) -> DeviceFile:
    """Return what names the device of a folder, formatted first where that is asked for."""
    device = read_device_file(path)
    if device is None:
        if not create:
            raise DeviceFailed(f"{path} is no device: it has no device.json")
        device = format_device(path, device_id, part_power, files)
    if device.device_id != device_id:
        raise DeviceFailed(f"{path} is device {device.device_id}, not {device_id}")
    for name in FOLDERS:
        (path / name).mkdir(exist_ok=True)
    return device


def _lock(path: Path, files: Files, wait_ms: int) -> int:
    """Return the open lock of a device. Raises DeviceFailed where another process keeps it."""
    give_up_s = time.monotonic() + wait_ms / 1000
    while True:
        try:
            return files.lock(path)
        except BlockingIOError as error:
            if time.monotonic() >= give_up_s:
                raise DeviceFailed(f"{path.parent} is in use by another process") from error
        time.sleep(_LOCK_RETRY_S)


def _open_index(
    path: Path, device: DeviceFile, volumes: Volumes, options: IndexOptions
) -> tuple[Index, Meta | None]:
    """Open the index; one that is damaged or of other volumes gives way to an empty one."""
    try:
        index = Index(path, options)
        meta = index.meta()
        reason = _misfit(index, meta, device, volumes)
    except Exception as error:  # noqa: BLE001 - RocksDB raises plain Exception
        reason = f"it cannot be opened: {error}"
    else:
        if reason is None:
            return index, meta
        index.abandon()
    _LOG.warning("index_rebuild", device=device.device_id, reason=reason)
    Index.destroy(path)
    return Index(path, options), None


def _misfit(index: Index, meta: Meta | None, device: DeviceFile, volumes: Volumes) -> str | None:
    """Return why an index cannot be of these volumes, or None where it is."""
    if meta is None:
        return None if not volumes.first_sequences else "it is empty"
    if meta.device_uuid != device.uuid_bytes:
        return "it belongs to another device"
    if meta.volume_id and meta.volume_id not in volumes.first_sequences:
        states = index.volume_states()
        if meta.volume_id not in states or states[meta.volume_id].dead < REMOVED:
            return f"volume {meta.volume_id:08x} is gone"
    elif meta.volume_id and volumes.size(meta.volume_id) < meta.offset:
        return f"volume {meta.volume_id:08x} is shorter than it was"
    for volume_id, known in index.volume_states().items():
        if volume_id and volume_id not in volumes.first_sequences and known.dead < REMOVED:
            return f"volume {volume_id:08x} is gone"
    return None


def _make_true(engine: Engine, meta: Meta | None, *, is_clean: bool) -> None:
    """Replay what the index does not know yet, and put the tail where the next record goes."""
    volumes, state = engine.volumes, engine.state
    _finish_removals(engine)
    if not is_clean:
        volumes.distrust_cache()
    present = set(engine.large.ids())
    start: Position = _START
    if meta is not None:
        start = (meta.volume_id, meta.offset)
        watermark = (meta.watermark_volume_id, meta.watermark_offset)
        find_pending(state, engine.index, volumes, (watermark, start))
    replay = Replay(engine.index, state, volumes, has_file=present.__contains__, progress=_progress(engine))
    engine.recovered = recovered = replay.run(start)
    if meta is None:
        _drop_confirmed(state, read_watermark(engine.path))
    if recovered.tail is not None:
        blot_out(volumes, engine.files, recovered.torn)
        volumes.resume(*recovered.tail)
        if not is_clean:
            # What was replayed may be no further than the page cache, and is visible from now on.
            volumes.sync()
    for file_id in recovered.dropped_files:
        engine.large.unlink(file_id)
    if not is_clean:
        _collect_orphans(engine, present - set(recovered.dropped_files), keep=bool(recovered.damaged))
        engine.index.flush(wait=True)
    if recovered.record_count or recovered.damaged:
        _LOG.info(
            "device_replayed",
            device=engine.device.device_id,
            records=recovered.record_count,
            bytes=recovered.replayed_bytes,
            torn=len(recovered.torn),
            damaged=len(recovered.damaged),
        )


def _finish_removals(engine: Engine) -> None:
    """Unlink the volumes whose removal a crash interrupted."""
    for volume_id, known in list(engine.state.volumes.items()):
        if known.dead >= REMOVED:
            engine.volumes.unlink(volume_id)
            engine.volumes.drop(volume_id)
            del engine.state.volumes[volume_id]
            engine.state.touched.add(volume_id)


def _drop_confirmed(state: DeviceState, watermark: Position) -> None:
    """After a rebuild every client write ever made looks pending: drop those before the watermark."""
    for key in [key for key, write in state.pending.items() if write.position < watermark]:
        del state.pending[key]


def _collect_orphans(engine: Engine, present: set[bytes], *, keep: bool) -> None:
    """Deal with large files that no row refers to: their commit was never acknowledged.

    With `keep`, because records were damaged and one of them may have named the file, it is set
    aside under another name for the operator instead.
    """
    for file_id in sorted(present):
        if engine.index.large_key(file_id) is not None:
            continue
        _LOG.warning("orphan_file", device=engine.device.device_id, file=file_id.hex(), kept=keep)
        if keep:
            path = engine.large.path(file_id)
            path.replace(path.with_suffix(".aside"))
        else:
            engine.large.unlink(file_id)


def _progress(engine: Engine) -> Callable[[int], None]:
    def told(replayed_bytes: int) -> None:
        _LOG.info("device_replaying", device=engine.device.device_id, bytes=replayed_bytes)

    return told
