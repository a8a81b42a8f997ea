"""The seam to the operating system: every call that can fail for a disk's reasons goes through here.

Tests put a faulty one in its place. All calls block, except that a buffered write of a few
hundred kilobytes costs no more than its copy; long ones belong in a thread.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectd.disk.sync import Syncer, make_syncer

Buffer = bytes | bytearray | memoryview

_IOV_MAX: Final = 1024
_FILE_MODE: Final = 0o640


@dataclass(frozen=True, slots=True)
class Space:
    """Capacity and free bytes (for us) of a file system."""

    capacity_bytes: int
    free_bytes: int


class Files:
    """System calls on the files of one device. Every method raises OSError."""

    def open_volume(self, path: Path, *, create: bool) -> int:
        """Open a volume for reading and writing, or make a new one."""
        flags = os.O_RDWR | os.O_CLOEXEC
        return os.open(path, flags | os.O_CREAT | os.O_EXCL if create else flags, _FILE_MODE)

    def open_direct(self, path: Path) -> int | None:
        """Open a volume for writes past the page cache, or None where the file system knows none."""
        try:
            return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise

    def lock(self, path: Path) -> int:
        """Open a file that only one process at a time may have open in this way."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd

    def open_read(self, path: Path, *, direct: bool = False) -> int:
        """Open a file for reading, past the page cache where `direct` is asked and possible."""
        flags = os.O_RDONLY | os.O_CLOEXEC
        if direct:
            try:
                return os.open(path, flags | os.O_DIRECT)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return os.open(path, flags)

    def open_unnamed(self, folder: Path) -> int:
        """Open a new file without a name in a folder."""
        return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, _FILE_MODE)

    def name(self, fd: int, path: Path) -> None:
        """Give a file without a name its name."""
        # With a folder's descriptor, unused for an absolute path, this is linkat with AT_SYMLINK_FOLLOW.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write all buffers at an offset and return their bytes in all."""
        total = sum(map(len, buffers))
        if len(buffers) <= _IOV_MAX:
            done = self.pwritev(fd, buffers, offset)
            if done == total:
                return total
        joined = memoryview(b"".join(buffers))
        done = 0
        while done < total:
            written = self.pwritev(fd, [joined[done : done + (64 << 20)]], offset + done)
            if not written:
                raise OSError(errno.EIO, "a write wrote nothing")
            done += written
        return total

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """One system call: may write less than asked."""
        return os.pwritev(fd, buffers, offset)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes at an offset; fewer only at the end of the file."""
        return os.pread(fd, size, offset)

    def read_into(
        self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, *, wait: bool
    ) -> int:
        """Fill buffers and return the bytes read; without `wait` raises BlockingIOError on a cold page."""
        if wait:
            return os.preadv(fd, buffers, offset)
        try:
            return os.preadv(fd, buffers, offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                # tmpfs and a few others cannot tell whether they would wait.
                raise BlockingIOError from error
            raise

    def sync_data(self, fd: int) -> None:
        """Put a file's data on stable storage."""
        os.fdatasync(fd)

    def sync_folder(self, path: Path) -> None:
        """Put a folder's names on stable storage."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def reserve(self, fd: int, size: int, offset: int = 0) -> None:
        """Set disk space aside for `size` bytes of a file."""
        os.posix_fallocate(fd, offset, size)

    def drop_cache(self, fd: int) -> None:
        """Drop what the page cache holds of a file as clean."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def unlink(self, path: Path) -> None:
        """Remove a name; a name already gone is no error."""
        path.unlink(missing_ok=True)

    def size(self, fd: int) -> int:
        """Return a file's length."""
        return os.fstat(fd).st_size

    def is_named(self, fd: int) -> bool:
        """Say whether an open file still has a name."""
        return os.fstat(fd).st_nlink > 0

    def names(self, folder: Path) -> list[str]:
        """Return the names of the regular files in a folder, sorted."""
        with os.scandir(folder) as found:
            return sorted(item.name for item in found if stat.S_ISREG(item.stat().st_mode))

    def space(self, path: Path) -> Space:
        """Return the space of the file system that holds a path."""
        found = os.statvfs(path)
        return Space(found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail)

    def make_syncer(self, loop: asyncio.AbstractEventLoop) -> Syncer:
        """Return what puts volumes on stable storage."""
        return make_syncer(loop)

    def close(self, fd: int) -> None:
        """Close a file."""
        os.close(fd)
