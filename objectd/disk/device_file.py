"""The file that names a device (`device.json`), and the watermark beside it that a lost index needs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from model.errors import DeviceFailed
from objectd.disk.files import Files
from objectd.disk.records import crc32c
from objectd.disk.state import Position

DEVICE_VERSION: Final = 1
DEVICE_FILE: Final = "device.json"
_WATERMARK_FILE: Final = "watermark"
_WATERMARK: Final = Struct(">BIQ")
_CRC: Final = Struct(">I")
FOLDERS: Final = ("volumes", "large")
_UUID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """What names a device: written once, when its folder is formatted."""

    version: int
    uuid: str
    device_id: int
    part_power: int

    @property
    def uuid_bytes(self) -> bytes:
        """The uuid as volumes carry it."""
        return bytes.fromhex(self.uuid)


def read_device_file(path: Path) -> DeviceFile | None:
    """Return what names the device of a folder, or None without one. Raises DeviceFailed, OSError."""
    try:
        text = (path / DEVICE_FILE).read_text()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(text)
        found = DeviceFile(**fields)
        if found.version != DEVICE_VERSION or len(found.uuid_bytes) != _UUID_BYTES:
            raise ValueError(f"version {found.version}")
    except (ValueError, TypeError) as error:
        raise DeviceFailed(f"{path / DEVICE_FILE} cannot be read: {error}") from error
    return found


def format_device(path: Path, device_id: int, part_power: int, files: Files) -> DeviceFile:
    """Make an empty folder a device. Raises OSError, and DeviceFailed where volumes are in it."""
    volumes = path / FOLDERS[0]
    if volumes.exists() and files.names(volumes):
        raise DeviceFailed(f"{path} holds volumes, but its {DEVICE_FILE} is gone: put it back")
    path.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        (path / name).mkdir(exist_ok=True)
    made = DeviceFile(DEVICE_VERSION, os.urandom(_UUID_BYTES).hex(), device_id, part_power)
    write_device_file(path, made, files)
    files.sync_folder(path.parent)
    return made


def write_device_file(path: Path, device: DeviceFile, files: Files) -> None:
    """Write what names a device, whole or not at all. Raises OSError."""
    _write_whole(path / DEVICE_FILE, json.dumps(asdict(device), indent=2).encode() + b"\n", files)


def write_watermark(path: Path, watermark: Position, files: Files) -> None:
    """Note the position before which every client write is confirmed. Raises OSError."""
    packed = _WATERMARK.pack(DEVICE_VERSION, *watermark)
    _write_whole(path / _WATERMARK_FILE, packed + _CRC.pack(crc32c(packed)), files)


def read_watermark(path: Path) -> Position:
    """Return the position last noted; the very beginning where none can be read."""
    try:
        raw = (path / _WATERMARK_FILE).read_bytes()
    except OSError:
        return (0, 0)
    size = _WATERMARK.size
    if len(raw) != size + 4 or crc32c(raw[:size]) != _CRC.unpack_from(raw, size)[0]:
        return (0, 0)
    _, volume_id, offset = _WATERMARK.unpack_from(raw)
    return (volume_id, offset)


def _write_whole(path: Path, data: bytes, files: Files) -> None:
    """Write a small file beside its name, then rename it: a crash leaves the old or the new."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        files.write(fd, [data], 0)
        files.sync_data(fd)
    finally:
        os.close(fd)
    beside.replace(path)
    files.sync_folder(path.parent)
