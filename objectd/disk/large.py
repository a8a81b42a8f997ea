"""Large payloads: one file each, written without a name, named when its entry is committed.

A file holds the payload, then a crc32c per block of 256 KiB, the key and the row it came with, and a
footer, so what a file is can be told without the index. docs/formats.md draws it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from model.errors import DeviceFailed, DeviceFull
from objectd.disk.direct import split, whole_pages
from objectd.disk.files import Files
from objectd.disk.records import PAGE_BYTES, Buffer, LargeFile, block_count, crc32c

LARGE_BLOCK_BYTES: Final = 256 << 10
_LARGE_VERSION: Final = 1
_MAGIC: Final = b"\xc5CLf"
_FOOTER: Final = Struct(">4sB3xQIII")
_CRC: Final = Struct(">I")
_ID_BYTES: Final = 16
_GATHER_BYTES: Final = 1 << 20
_SYNC_EVERY_BYTES: Final = 64 << 20
_OPEN_FILES_MAX: Final = 64


class OpenFile:
    """An open large file, closed when the last reader lets go of it."""

    __slots__ = ("__weakref__", "fd")

    def __init__(self, fd: int, files: Files) -> None:
        self.fd = fd
        weakref.finalize(self, files.close, fd)


@dataclass(frozen=True, slots=True)
class Footer:
    """What a large file says of itself: payload bytes, and the key and row it was committed with."""

    size: int
    key: bytes
    row: bytes


class LargeFiles:
    """The folder of large payloads. `failed(reason, errno)` is told of a disk that fails."""

    def __init__(
        self, folder: Path, files: Files, threads: Executor, failed: Callable[[str, int], None]
    ) -> None:
        self._folder = folder
        self.files = files
        self.threads = threads
        self.failed = failed
        self._open: dict[bytes, OpenFile] = {}

    def path(self, file_id: bytes) -> Path:
        """Return where a payload's file is."""
        return self._folder / file_id.hex()

    def ids(self) -> list[bytes]:
        """Return the ids of all files, in order. Raises OSError."""
        return [bytes.fromhex(name) for name in self.files.names(self._folder) if len(name) == 2 * _ID_BYTES]

    def handle(self, file_id: bytes) -> OpenFile | None:
        """Return an open file, or None where there is none (any more). Raises OSError."""
        opened = self._open.get(file_id)
        if opened is None:
            try:
                opened = OpenFile(self.files.open_read(self.path(file_id)), self.files)
            except FileNotFoundError:
                return None
            while len(self._open) >= _OPEN_FILES_MAX:
                del self._open[next(iter(self._open))]
            self._open[file_id] = opened
        return opened

    def let_go(self, file_id: bytes) -> None:
        """Keep a file open no longer than its readers do."""
        self._open.pop(file_id, None)

    def unlink(self, file_id: bytes) -> None:
        """Unlink a file, in a thread or not; those who read it go on. Raises OSError."""
        self.files.unlink(self.path(file_id))

    def footer(self, file_id: bytes) -> Footer | None:
        """Return what a file says of itself, or None where its end is damaged. Raises OSError."""
        fd = self.files.open_read(self.path(file_id))
        try:
            end = self.files.size(fd)
            foot_bytes = _FOOTER.size + _CRC.size
            raw = self.files.read(fd, foot_bytes, max(0, end - foot_bytes))
            if len(raw) < foot_bytes:
                return None
            magic, version, size, key_bytes, row_bytes, blocks = _FOOTER.unpack_from(raw)
            tail_bytes = 4 * blocks + key_bytes + row_bytes
            if magic != _MAGIC or version != _LARGE_VERSION or size + tail_bytes + foot_bytes != end:
                return None
            tail = self.files.read(fd, tail_bytes, size)
        finally:
            self.files.close(fd)
        if crc32c(raw[: _FOOTER.size], crc32c(tail)) != _CRC.unpack_from(raw, _FOOTER.size)[0]:
            return None
        key_at = 4 * blocks
        return Footer(size, tail[key_at : key_at + key_bytes], tail[key_at + key_bytes :])

    async def stage(self, size_hint: int | None) -> LargeStaging:
        """Begin a payload. Raises DeviceFull, DeviceFailed."""
        staging = LargeStaging(self)
        await staging.begin(size_hint)
        return staging

    def close(self) -> None:
        """Let go of all files; readers keep theirs."""
        self._open.clear()

    def sync_folder(self) -> None:
        """Put the names of the files on stable storage."""
        self.files.sync_folder(self._folder)

    def open_unnamed(self) -> int:
        """Open a file without a name."""
        return self.files.open_unnamed(self._folder)


class LargeStaging:
    """A large payload on its way in (objectd.store.Staging)."""

    def __init__(self, large: LargeFiles) -> None:
        self.size = 0
        self.file_id = os.urandom(_ID_BYTES)
        self._large = large
        self._file: OpenFile | None = None
        self._gathered = bytearray()
        self._offset = 0
        self._synced_to = 0
        self._checksums: list[int] = []
        self._block_fill = 0
        self._direct: OpenFile | None = None
        self._rest = b""

    async def begin(self, size_hint: int | None) -> None:
        """Open the file and set space aside."""
        await self._in_thread(self._open, size_hint)

    async def write(self, chunk: Buffer) -> None:
        """Append a chunk. Raises DeviceFull, DeviceFailed."""
        size = len(chunk)
        self.size += size
        if len(self._gathered) + size < _GATHER_BYTES:
            self._gathered += chunk
            return
        gathered, self._gathered = self._gathered, bytearray()
        await self._in_thread(self._write, [gathered, chunk] if gathered else [chunk])
        # What fills no page goes with the next chunk.
        self._gathered += self._rest

    async def finish(self) -> None:
        """Make the bytes durable."""
        gathered, self._gathered = self._gathered, bytearray()
        await self._in_thread(self._finish, gathered)

    async def abort(self) -> None:
        """Throw the bytes away; harmless after a commit."""
        self.release()

    async def name(self, key: bytes, row: bytes) -> LargeFile:
        """Add the trailer and give the file its name, durably. Raises DeviceFull, DeviceFailed."""
        await self._in_thread(self._name, key, row)
        self.release()
        return LargeFile(self.file_id, self.size)

    def release(self) -> None:
        """Let go of the file: without a name it is gone, once no thread works on it any more."""
        self._file = self._direct = None

    # -- in a thread

    def _open(self, size_hint: int | None) -> None:
        files = self._large.files
        self._file = OpenFile(self._large.open_unnamed(), files)
        direct = files.open_direct(Path(f"/proc/self/fd/{self._file.fd}"))
        self._direct = None if direct is None else OpenFile(direct, files)
        if size_hint:
            files.reserve(self._file.fd, size_hint)

    def _opened(self) -> OpenFile:
        """Return the open file; whoever holds it keeps it open. Raises OSError."""
        if self._file is None:
            raise OSError(errno.EBADF, "the staging was aborted")
        return self._file

    def _write(self, buffers: list[Buffer]) -> None:
        """Write whole pages past the page cache (docs/decisions/0004), and leave the rest."""
        file = self._opened()
        pages, rest = split(buffers, sum(map(len, buffers)) & -PAGE_BYTES)
        self._rest = b"".join(rest)
        for buffer in pages:
            self._digest(memoryview(buffer))
        if not self._write_direct(pages):
            self._large.files.write(file.fd, pages, self._offset)
        self._offset += sum(map(len, pages))
        if self._offset - self._synced_to >= _SYNC_EVERY_BYTES:
            # Bounds what is dirty in memory, and what the last sync has to wait for.
            self._large.files.sync_data(file.fd)
            self._synced_to = self._offset

    def _write_direct(self, pages: list[Buffer]) -> bool:
        """Write past the page cache; say whether all of it could be written so."""
        direct = self._direct
        if direct is None or not pages:
            return False
        laid = whole_pages(pages)
        try:
            return self._large.files.pwritev(direct.fd, laid, self._offset) == sum(map(len, laid))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        # A file system that lets files be opened so, and will not write to them.
        self._direct = None
        return False

    def _finish(self, gathered: bytearray) -> None:
        file = self._opened()
        self._write([gathered])
        if self._rest:
            self._digest(memoryview(self._rest))
            self._offset += self._large.files.write(file.fd, [self._rest], self._offset)
        self._large.files.sync_data(file.fd)

    def _name(self, key: bytes, row: bytes) -> None:
        files, file = self._large.files, self._opened()
        tail = b"".join(map(_CRC.pack, self._checksums)) + key + row
        foot = _FOOTER.pack(
            _MAGIC, _LARGE_VERSION, self.size, len(key), len(row), block_count(self.size, LARGE_BLOCK_BYTES)
        )
        tail += foot + _CRC.pack(crc32c(foot, crc32c(tail)))
        files.write(file.fd, [tail], self._offset)
        # Space set aside beyond the end must not hide the footer.
        files.truncate(file.fd, self._offset + len(tail))
        files.sync_data(file.fd)
        files.name(file.fd, self._large.path(self.file_id))
        # The folder too: without it a crash can forget the name.
        self._large.sync_folder()

    def _digest(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            piece = view[at : at + LARGE_BLOCK_BYTES - self._block_fill]
            if self._block_fill:
                self._checksums[-1] = crc32c(piece, self._checksums[-1])
            else:
                self._checksums.append(crc32c(piece))
            self._block_fill = (self._block_fill + len(piece)) % LARGE_BLOCK_BYTES
            at += len(piece)

    async def _in_thread(self, work: Callable[..., None], *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._large.threads, work, *arguments)
        except OSError as error:
            self.release()
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise DeviceFull("no space left for a large object") from error
            if error.errno in {errno.EIO, errno.EROFS, errno.ENOENT}:
                self._large.failed(f"a large object cannot be written: {error.strerror}", error.errno)
            raise DeviceFailed(f"a large object cannot be written: {error.strerror}") from error
