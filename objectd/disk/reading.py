"""Reading payloads: only the blocks that cover a range, verified, without waiting where possible."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from kit.pages import fresh_memory
from model.errors import Absent, CorruptRecord, DeviceFailed
from objectd.disk.files import Files
from objectd.disk.index import Index
from objectd.disk.large import LARGE_BLOCK_BYTES, LargeFiles, OpenFile
from objectd.disk.locations import InFile, InVolume, Location, Lost
from objectd.disk.records import BLOCK_BYTES, Buffer, blocks_are_whole
from objectd.disk.state import load_current
from objectd.disk.volumes import OpenVolume, Volumes
from objectd.store import Held

_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Source:
    """An open payload: where its block checksums and its bytes are in a file."""

    file: OpenVolume | OpenFile
    checksums_at: int
    bytes_at: int
    size: int
    block_bytes: int


class Reader:
    """Reads payloads of one device. `lost(held)` is told of a payload that fails its checksum."""

    def __init__(
        self,
        index: Index,
        volumes: Volumes,
        large: LargeFiles,
        *,
        files: Files,
        threads: Executor,
        lost: Callable[[Held, str], None],
    ) -> None:
        self._index = index
        self._volumes = volumes
        self._large = large
        self._files = files
        self._threads = threads
        self._lost = lost

    def read_now(self, held: Held, offset: int, length: int) -> Buffer | None:
        """Return payload bytes, or None where that would wait for the disk. Raises CorruptRecord, Absent."""
        length = min(length, held.payload_bytes - offset)
        if length <= 0:
            return b""
        try:
            source = self._source(held)
            return self._take(held, source, offset, length, wait=False)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._unreadable(held, error) from error

    async def read(self, held: Held, offset: int, length: int) -> AsyncIterator[Buffer]:
        """Yield payload bytes in pieces of at most 1 MiB. Raises CorruptRecord, DeviceFailed, Absent."""
        end = min(offset + length, held.payload_bytes)
        if offset >= end:
            return
        loop = asyncio.get_running_loop()
        try:
            source = self._source(held)
        except OSError as error:
            raise self._unreadable(held, error) from error
        piece: Buffer | None
        while offset < end:
            # Pieces end at multiples of a piece, so that no block is read twice.
            size = min(_PIECE_BYTES - offset % _PIECE_BYTES, end - offset)
            try:
                try:
                    piece = self._take(held, source, offset, size, wait=False)
                except BlockingIOError:
                    piece = await loop.run_in_executor(
                        self._threads, _verified_waiting, self._files, source, offset, size
                    )
            except OSError as error:
                raise self._unreadable(held, error) from error
            if piece is None:
                raise self._corrupt(held)
            yield piece
            offset += size

    def _source(self, held: Held) -> _Source:
        """Open a payload where it is now. Raises CorruptRecord, Absent, OSError."""
        at = held.location
        assert isinstance(at, Location)
        source = self._open(at)
        if source is not None:
            return source
        # Compaction moves payloads, overwrites remove them: see where it is now.
        current = load_current(self._index, held.entry.key)
        if current is None or current.entry.stamp != held.entry.stamp:
            raise Absent("the payload was superseded")
        if current.is_lost or current.at.payload == at.payload:
            raise self._corrupt(held)
        source = self._open(current.at)
        if source is None:
            raise Absent("the payload moved twice")
        return source

    def _open(self, at: Location) -> _Source | None:
        payload = at.payload
        if isinstance(payload, InVolume):
            volume = self._volumes.handle(payload.volume_id)
            if volume is None:
                return None
            checksums_at = payload.offset + payload.delta
            checksum_bytes = 4 * -(-payload.size // BLOCK_BYTES)
            return _Source(volume, checksums_at, checksums_at + checksum_bytes, payload.size, BLOCK_BYTES)
        if isinstance(payload, InFile):
            file = self._large.handle(payload.file_id)
            return None if file is None else _Source(file, payload.size, 0, payload.size, LARGE_BLOCK_BYTES)
        if isinstance(payload, Lost):
            raise CorruptRecord("the payload was lost; a repair will bring it back")
        return None

    def _take(self, held: Held, source: _Source, offset: int, length: int, *, wait: bool) -> Buffer:
        piece = _verified(self._files, source, offset, length, wait=wait)
        if piece is None:
            raise self._corrupt(held)
        return piece

    def _corrupt(self, held: Held) -> CorruptRecord:
        self._lost(held, "the payload fails its checksum")
        return CorruptRecord(f"the payload of {held.entry.key.hex()} fails its checksum")

    def _unreadable(self, held: Held, error: OSError) -> CorruptRecord | DeviceFailed:
        if error.errno == errno.EIO:
            # A bad sector: the bytes are gone here, and a repair brings them back elsewhere.
            self._lost(held, "the payload cannot be read")
            return CorruptRecord(f"the payload of {held.entry.key.hex()} cannot be read")
        return DeviceFailed(f"a payload cannot be read: {error.strerror}")


def _verified(files: Files, source: _Source, offset: int, length: int, *, wait: bool) -> Buffer | None:
    """Return bytes of a payload, or None where a block that covers them fails its checksum."""
    block_bytes = source.block_bytes
    first = offset // block_bytes
    start = first * block_bytes
    stop = min(-(-(offset + length) // block_bytes) * block_bytes, source.size)
    checksum_bytes = 4 * -(-(stop - start) // block_bytes)
    gap = source.bytes_at - source.checksums_at
    if start == 0 and gap == checksum_bytes:
        # Checksums and bytes are one span, read in one call.
        view = fresh_memory(gap + stop)
        _fill(files, source, view, source.checksums_at, wait=wait)
        checksums, blocks = view[:gap], view[gap:]
    else:
        blocks = fresh_memory(stop - start)
        checksums = memoryview(bytearray(checksum_bytes))
        _fill(files, source, checksums, source.checksums_at + 4 * first, wait=wait)
        _fill(files, source, blocks, source.bytes_at + start, wait=wait)
    if not blocks_are_whole(blocks, checksums, block_bytes):
        return None
    return blocks[offset - start : offset - start + length]


def _verified_waiting(files: Files, source: _Source, offset: int, length: int) -> Buffer | None:
    return _verified(files, source, offset, length, wait=True)


def _fill(files: Files, source: _Source, view: memoryview, offset: int, *, wait: bool) -> None:
    """Fill a buffer. Past the end of the file it becomes zero, and its checksum tells."""
    filled = files.read_into(source.file.fd, [view], offset, wait=wait)
    if filled == len(view):
        return
    if not wait:
        # The rest is not in memory: let a thread read it.
        raise BlockingIOError
    while filled < len(view):
        more = files.read_into(source.file.fd, [view[filled:]], offset + filled, wait=True)
        if not more:
            view[filled:] = bytes(len(view) - filled)
            return
        filled += more
