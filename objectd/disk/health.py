"""Whether a device takes work, why not, and how much room it has."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from objectd.disk.device_file import DEVICE_FILE
from objectd.disk.files import Files, Space
from objectd.store import Health

_SPACE_AGE_MS_MAX: Final = 1000
_SPACE_GROWTH_BYTES_MAX: Final = 16 << 20
_UNTOLD_MAX: Final = 1000
Problem = Callable[[str, bytes | None], None]


class DeviceHealth:
    """The health of one device, and its free space between looks at the file system.

    Reaching the reserve makes a device READ_ONLY by itself, and space given back makes it OK again;
    what a failing disk did is mended only by opening the device anew.
    """

    def __init__(self, path: Path, files: Files, *, reserve_bytes: int, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._files = files
        self._reserve_bytes = reserve_bytes
        self._now_ms = now_ms
        self._failed = Health.OK
        self._failed_reason = ""
        self._space = Space(0, 0)
        self._looked_ms = 0
        self._grown_bytes = 0
        self._hit_full = False
        self._was_full = False
        self._identity: tuple[int, int] | None = None
        self._untold: list[tuple[str, bytes | None]] = []
        self._callback: Problem | None = None

    def on_problem(self, callback: Problem) -> None:
        """Call back with each problem from now on, and at once with those found before."""
        self._callback = callback
        untold, self._untold = self._untold, []
        for reason, key in untold:
            callback(reason, key)

    def tell(self, reason: str, key: bytes | None) -> None:
        """Tell the operator of a problem."""
        if self._callback is not None:
            self._callback(reason, key)
        elif len(self._untold) < _UNTOLD_MAX:
            self._untold.append((reason, key))

    @property
    def health(self) -> Health:
        """Whether the device takes work."""
        if self._failed is not Health.OK:
            return self._failed
        return Health.READ_ONLY if self._was_full else Health.OK

    @property
    def failed(self) -> Health:
        """OK, or what a failing disk has made of the device; being full is not failing."""
        return self._failed

    @property
    def reason(self) -> str:
        """Why the device is not OK; empty where it is."""
        if self._failed is not Health.OK:
            return self._failed_reason
        return "the reserve of free space is reached" if self._was_full else ""

    @property
    def space(self) -> Space:
        """Capacity and free bytes at the last look."""
        return self._space

    def opened(self) -> None:
        """Note that the device has been opened, and looks well."""
        self._failed, self._failed_reason = Health.OK, ""
        self._identity = self._device_file()
        self._hit_full = False
        self.look()

    def failed_with(self, reason: str, number: int) -> None:
        """Set the device aside, or keep it for reading where its file system became read-only."""
        if self._failed is Health.FAILED:
            return
        self._failed = Health.READ_ONLY if number == errno.EROFS else Health.FAILED
        self._failed_reason = reason
        self.tell(reason, None)

    def not_opened(self, reason: str) -> None:
        """Set the device aside because it cannot be opened (again)."""
        if self._failed is Health.FAILED and self._failed_reason == reason:
            return
        self._failed, self._failed_reason = Health.FAILED, reason
        self.tell(reason, None)

    def is_ours(self) -> bool:
        """Say whether the folder still holds the device that was opened."""
        return self._identity is not None and self._device_file() == self._identity

    def is_writable(self) -> bool:
        """Say whether the file system takes a new file."""
        probe = self._path / ".probe"
        try:
            self._files.close(self._files.open_volume(probe, create=True))
            self._files.unlink(probe)
        except OSError:
            return False
        return True

    # -- space

    def grew(self, size: int) -> None:
        """Note bytes written."""
        self._grown_bytes += size

    def hit_full(self) -> None:
        """Note that the file system had no room, whatever it says."""
        self._hit_full = True
        self._set_full(is_full=True)

    def is_full(self) -> bool:
        """Say whether the reserve is reached, looking at the file system now and then."""
        if (
            self._grown_bytes > _SPACE_GROWTH_BYTES_MAX
            or self._now_ms() - self._looked_ms > _SPACE_AGE_MS_MAX
        ):
            self.look()
        return self._was_full

    def room_for(self, size: int) -> bool:
        """Say whether so many bytes fit without touching the reserve."""
        self.look()
        return self._space.free_bytes - size >= self._reserve_bytes

    def look(self) -> None:
        """Look at the file system."""
        self._grown_bytes = 0
        self._looked_ms = self._now_ms()
        try:
            self._space = self._files.space(self._path)
        except OSError:
            return
        short = self._space.free_bytes < self._reserve_bytes
        if self._hit_full and self._space.free_bytes > self._reserve_bytes + _SPACE_GROWTH_BYTES_MAX:
            self._hit_full = False
        self._set_full(is_full=short or self._hit_full)

    def _set_full(self, *, is_full: bool) -> None:
        if is_full and not self._was_full:
            self.tell("the reserve of free space is reached", None)
        self._was_full = is_full

    def _device_file(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path / DEVICE_FILE)
        except OSError:
            return None
        return (found.st_dev, found.st_ino)
