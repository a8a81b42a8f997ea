"""The volumes of one device: their files, the tail that grows, and reads at an offset."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from model.errors import DeviceFailed
from objectd.disk.files import Files
from objectd.disk.records import (
    VOLUME_HEAD_BYTES,
    Buffer,
    VolumeHead,
    decode_volume_head,
    encode_volume_head,
    nonce_of,
)

_OPEN_FILES_MAX: Final = 128
_ZERO_AHEAD_BYTES: Final = 256 << 10
_RESERVE_BYTES: Final = 16 << 20
_ZEROS: Final = bytes(_ZERO_AHEAD_BYTES)
_SMALL_GROUP_BYTES: Final = 16 << 10
_SUFFIX: Final = ".vol"


class OpenVolume:
    """An open file of a volume, closed when the last reader lets go of it: unlinking disturbs nobody."""

    __slots__ = ("__weakref__", "fd", "volume_id")

    def __init__(self, volume_id: int, fd: int, files: Files) -> None:
        self.volume_id = volume_id
        self.fd = fd
        weakref.finalize(self, files.close, fd)


class Volumes:
    """The folder of volumes. All offsets are in bytes from the start of a volume's file.

    `first_sequences` maps each volume's id to the first sequence it may hold.
    """

    def __init__(self, folder: Path, device_uuid: bytes, files: Files) -> None:
        self._folder = folder
        self._uuid = device_uuid
        self._files = files
        self._open: dict[int, OpenVolume] = {}
        self._usual_group_bytes = 0
        self.first_sequences: dict[int, int] = {}
        self.damaged_heads: list[int] = []
        self.tail: OpenVolume | None = None
        self.tail_offset = 0
        self._filled_to = 0
        self._reserved_to = 0
        self._direct: OpenVolume | None = None
        self._writes_direct = True
        self._sealed_sizes: dict[int, int] = {}
        self.nonce = 0

    def load(self) -> None:
        """Find the volumes of the folder. Raises OSError, DeviceFailed for one of another device."""
        known = 0
        for volume_id in sorted(
            int(name.removesuffix(_SUFFIX), 16)
            for name in self._files.names(self._folder)
            if name.endswith(_SUFFIX)
        ):
            head = decode_volume_head(self.read(volume_id, VOLUME_HEAD_BYTES, 0))
            if head is None:
                # What a record is can be told without it; the first sequence is at least the one before.
                self.damaged_heads.append(volume_id)
            elif head.device_uuid != self._uuid or head.volume_id != volume_id:
                raise DeviceFailed(f"volume {volume_id:08x} belongs to another device")
            else:
                known = head.first_sequence
            self.first_sequences[volume_id] = known
            self._sealed_sizes[volume_id] = self.size(volume_id)

    def ids(self) -> list[int]:
        """Return the ids of all volumes, oldest first."""
        return sorted(self.first_sequences)

    def path(self, volume_id: int) -> Path:
        """Return where a volume's file is."""
        return self._folder / f"{volume_id:08x}{_SUFFIX}"

    def nonce_of(self, volume_id: int) -> int:
        """Return what the prefix checksums of a volume start from."""
        return nonce_of(self._uuid, volume_id)

    def handle(self, volume_id: int) -> OpenVolume | None:
        """Return a volume's open file, or None where there is no such volume (any more)."""
        opened = self._open.get(volume_id)
        if opened is None:
            try:
                fd = self._files.open_volume(self.path(volume_id), create=False)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return None
                raise
            opened = OpenVolume(volume_id, fd, self._files)
            while len(self._open) >= _OPEN_FILES_MAX:
                del self._open[next(iter(self._open))]
            self._open[volume_id] = opened
        return opened

    def size(self, volume_id: int) -> int:
        """Return the length of a volume's file."""
        opened = self.handle(volume_id)
        return self._files.size(opened.fd) if opened is not None else 0

    def read(self, volume_id: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes of a volume; waits for the disk. Raises OSError."""
        opened = self.handle(volume_id)
        if opened is None:
            raise OSError(errno.ENOENT, "the volume is gone", str(self.path(volume_id)))
        return self._files.read(opened.fd, size, offset)

    def source(self, volume_id: int) -> Callable[[int, int], bytes]:
        """Return `read(size, offset)` of one volume, for a thread: it keeps the file open by itself."""
        opened = self.handle(volume_id)
        if opened is None:
            raise OSError(errno.ENOENT, "the volume is gone", str(self.path(volume_id)))
        return lambda size, offset: self._files.read(opened.fd, size, offset)

    def resume(self, volume_id: int, offset: int) -> None:
        """Go on appending to a volume, whose bytes from `offset` on are cut off."""
        opened = self.handle(volume_id)
        assert opened is not None
        self._files.truncate(opened.fd, offset)
        self._become_tail(opened, offset)

    def sync(self) -> None:
        """Put the tail on stable storage; waits for the disk. Raises OSError."""
        if self.tail is not None:
            self._files.sync_data(self.tail.fd)

    def distrust_cache(self) -> None:
        """Have the newest volume read from the disk, not from the page cache.

        After a failed sync the cache holds, as clean, what never reached the disk.
        """
        if self.first_sequences:
            opened = self.handle(max(self.first_sequences))
            if opened is not None:
                self._files.drop_cache(opened.fd)

    def total_bytes(self) -> int:
        """Return the bytes of all volumes."""
        tail = self.tail_offset if self.tail is not None else 0
        return tail + sum(self._sealed_sizes.values())

    def begin(self, first_sequence: int, now_ms: int) -> None:
        """Seal the tail and begin a new volume. Raises OSError."""
        volume_id = max(self.first_sequences, default=0) + 1
        path = self.path(volume_id)
        # A crash may have left the file of a volume that was never begun.
        self._files.unlink(path)
        fd = self._files.open_volume(path, create=True)
        opened = OpenVolume(volume_id, fd, self._files)
        head = VolumeHead(volume_id, self._uuid, first_sequence, now_ms)
        try:
            self._files.write(fd, [encode_volume_head(head)], 0)
            self._files.sync_data(fd)
            self._files.sync_folder(self._folder)
            if self.tail is not None:
                self._files.truncate(self.tail.fd, self.tail_offset)
                self._sealed_sizes[self.tail.volume_id] = self.tail_offset
        except OSError:
            self._files.unlink(path)
            raise
        self.first_sequences[volume_id] = first_sequence
        self._open[volume_id] = opened
        self._become_tail(opened, VOLUME_HEAD_BYTES)

    def write_tail(self, buffers: Sequence[Buffer], size: int) -> None:
        """Write buffers of `size` bytes in all behind the tail, which moves only by `advance`.

        Where groups are small the volume is filled with zeros a little ahead: a sync of bytes that
        the file already has needs no change of the file's metadata, at half the cost.
        """
        assert self.tail is not None
        end = self.tail_offset + size
        self._note_group(size)
        if end > self._filled_to and self._usual_group_bytes <= _SMALL_GROUP_BYTES:
            self._files.write(self.tail.fd, [_ZEROS], max(self._filled_to, self.tail_offset))
            self._filled_to = max(self._filled_to, self.tail_offset) + _ZERO_AHEAD_BYTES
        self._files.write(self.tail.fd, buffers, self.tail_offset)
        self._filled_to = max(self._filled_to, end)

    def _note_group(self, size: int) -> None:
        self._usual_group_bytes += (size - self._usual_group_bytes) >> 3

    def direct_tail(self, size: int) -> int | None:
        """Return the tail open for a write of `size` bytes past the page cache, None where that cannot be.

        Space is set aside ahead of it: the kernel does not wait for a write within its file. Raises OSError.
        """
        tail = self.tail
        assert tail is not None
        if not self._writes_direct:
            return None
        if self._direct is None or self._direct.volume_id != tail.volume_id:
            fd = self._files.open_direct(self.path(tail.volume_id))
            if fd is None:
                self.write_direct_no_more()
                return None
            self._direct = OpenVolume(tail.volume_id, fd, self._files)
        end = self.tail_offset + size
        if end > self._reserved_to:
            start = max(self._reserved_to, self.tail_offset)
            self._files.reserve(tail.fd, end - start + _RESERVE_BYTES, start)
            self._reserved_to = end + _RESERVE_BYTES
        self._note_group(size)
        return self._direct.fd

    def write_direct_no_more(self) -> None:
        """Take note that the file system cannot write past its page cache."""
        self._writes_direct = False
        self._direct = None

    def advance(self, size: int) -> None:
        """Move the tail behind bytes that are durable."""
        self.tail_offset += size
        self._filled_to = max(self._filled_to, self.tail_offset)

    def tail_is_named(self) -> bool:
        """Say whether the tail's file still has its name: it has not when the folder was emptied."""
        return self.tail is not None and self._files.is_named(self.tail.fd)

    def unlink(self, volume_id: int) -> None:
        """Remove a volume's name. Raises OSError."""
        self._files.unlink(self.path(volume_id))

    def drop(self, volume_id: int) -> None:
        """Know a volume no more; those who read it go on."""
        self.first_sequences.pop(volume_id, None)
        self._sealed_sizes.pop(volume_id, None)
        self._open.pop(volume_id, None)

    def seal(self) -> None:
        """Cut what was filled ahead of the tail."""
        if self.tail is not None and max(self._filled_to, self._reserved_to) > self.tail_offset:
            self._files.truncate(self.tail.fd, self.tail_offset)
            self._filled_to = self._reserved_to = self.tail_offset

    def close(self) -> None:
        """Let go of all files; readers keep theirs."""
        self._open.clear()
        self._direct = None
        self.tail = None

    def _become_tail(self, opened: OpenVolume, offset: int) -> None:
        self.tail = opened
        self._sealed_sizes.pop(opened.volume_id, None)
        self.tail_offset = self._filled_to = self._reserved_to = offset
        self.nonce = self.nonce_of(opened.volume_id)
