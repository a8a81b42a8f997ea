"""Which folders of a node are which devices, and opening them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kit.settings import ObjectdSettings
from model.errors import DeviceFailed
from objectd.disk.device_file import read_device_file
from objectd.disk.engine import DiskOptions
from objectd.disk.store import DiskStore
from ring.table import Ring

DEVICES_FOLDER: Final = "devices"
_RESERVE_BYTES_MAX: Final = 1 << 30
_RESERVE_SHARE: Final = 100

_log = logging.getLogger(__name__)


def device_folders(data: Path, named: Sequence[str]) -> list[Path]:
    """Return the folders that the settings name, or every folder in DATA/devices."""
    if named:
        return [Path(name) for name in named]
    folder = data / DEVICES_FOLDER
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def ids_in_rings(rings: Sequence[Ring], node: str) -> dict[str, int]:
    """Return name to id of a node's devices, as the first ring that knows a name has it.

    Devices that are staged, to be taken in by a later version, count as well.
    """
    found: dict[str, int] = {}
    for ring in rings:
        for device in (*ring.topology, *(ring.meta.staged or ())):
            if device.node == node:
                found.setdefault(device.name, device.id)
    return found


def name_devices(folders: Sequence[Path], ids: Mapping[str, int]) -> dict[int, Path]:
    """Return id to folder: by what stands in the folder, else by its name in the ring.

    Folders that neither names are left out and told of; they may be named by a later ring.
    """
    found: dict[int, Path] = {}
    for folder in folders:
        try:
            formatted = read_device_file(folder)
        except (DeviceFailed, OSError) as error:
            _log.error("device cannot be identified", extra={"path": str(folder), "reason": str(error)})
            formatted = None
        device = formatted.device_id if formatted is not None else ids.get(folder.name)
        if device is None:
            _log.warning("folder is no device of the ring", extra={"path": str(folder)})
        elif device in found:
            _log.error("two folders are one device", extra={"device": device, "path": str(folder)})
        else:
            found[device] = folder
    return found


async def open_device(device: int, folder: Path, part_power: int, settings: ObjectdSettings) -> DiskStore:
    """Open a device in a thread; one that cannot be opened comes back set aside, and may recover."""
    options = DiskOptions(
        volume_bytes_max=settings.volume_bytes_max,
        group_operations_max=settings.commit_batch_max,
        dead_ratio=settings.compaction_dead_ratio,
        reserve_bytes=reserve_bytes(folder, settings.reserve_bytes),
    )
    return await asyncio.to_thread(
        DiskStore.open, folder, device, part_power=part_power, create=True, options=options
    )


def reserve_bytes(folder: Path, configured: int) -> int:
    """Return the room a device keeps free: as configured, else 1 GiB or 1% of it, whichever is less."""
    if configured >= 0:
        return configured
    at = folder if folder.exists() else folder.parent
    try:
        space = os.statvfs(at)
    except OSError:
        return _RESERVE_BYTES_MAX
    return min(_RESERVE_BYTES_MAX, space.f_blocks * space.f_frsize // _RESERVE_SHARE)
