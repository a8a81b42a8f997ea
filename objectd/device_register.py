"""The register of a node's devices: whether each still holds what it once acknowledged.

A device whose folder was emptied, or whose disk was replaced, comes back under the same id with
nothing in it. Were it asked like any other, it would answer "absent" for what it had acknowledged,
and two such answers hide a write that a majority had taken. So a device that came back as another
one is *filling*: it takes writes, but is asked nothing until repair has brought back all that the
other homes of its partitions hold, and says so by `filled`.

The file `devices.json` names the uuid of each device that was ever opened here, and who is filling.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final

from model.errors import CorruptRecord
from ring.loader import write_durably

REGISTER_FILE: Final = "devices.json"
FORMAT: Final = 1
_MODE: Final = 0o640


class DeviceRegister:
    """What is known of each device that was ever opened on this node; every change is durable at once."""

    def __init__(self, folder: str | Path) -> None:
        """Load the register. Raises CorruptRecord where it is damaged."""
        self._path = Path(folder) / REGISTER_FILE
        self._uuids: dict[int, str] = {}
        self._filling: set[int] = set()
        # Devices are opened side by side, in threads.
        self._lock = threading.Lock()
        if self._path.exists():
            self._load()

    @property
    def filling(self) -> frozenset[int]:
        """The devices that lack what they once acknowledged."""
        return frozenset(self._filling)

    def opened(self, device: int, uuid: str) -> bool:
        """Note that a device was opened under a uuid; return whether it is filling.

        A device that was never here before is not: it takes part only once the ring says so.
        """
        with self._lock:
            known = self._uuids.get(device)
            if known != uuid:
                self._uuids[device] = uuid
                if known is not None:
                    self._filling.add(device)
                self._save()
            return device in self._filling

    def filled(self, device: int) -> None:
        """Note that a device holds all again that the other homes of its partitions hold."""
        with self._lock:
            if device in self._filling:
                self._filling.discard(device)
                self._save()

    def _load(self) -> None:
        try:
            kept: Any = json.loads(self._path.read_bytes())
            if kept["format"] != FORMAT:
                raise ValueError(f"format {kept['format']}")
            self._uuids = {int(device): str(uuid) for device, uuid in kept["uuids"].items()}
            self._filling = {int(device) for device in kept["filling"]}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptRecord(
                f"{self._path} is damaged ({error}); mend it, or remove it if no device was emptied lately"
            ) from error

    def _save(self) -> None:
        kept = {"format": FORMAT, "uuids": self._uuids, "filling": sorted(self._filling)}
        write_durably(self._path, json.dumps(kept, indent=2).encode() + b"\n", _MODE)
