"""A real objectd in a process of its own, over device folders, with harm done to it from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from colonnade.folder import Folder
from colonnade.founding import Wishes, found_colony
from colonnade.process import die_with
from kit.cluster_key import read_cluster_key
from objectd.client import NodeClient

START_S = 60.0


class ObjectdFailed(Exception):
    """The daemon did not start or stop as it should; the text has its last words."""


class ObjectdProcess:
    """One objectd over `devices` folders below a data folder. Started and stopped as often as wanted."""

    def __init__(self, data: Path, *, devices: int = 4) -> None:
        self.data = data
        (self.folder,) = found_colony(data, Wishes(devices=devices, port=0, workers=1, part_power=4))
        self.told: dict[str, Any] = {}
        self._log = data / "objectd.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def node(self) -> Folder:
        """The node's data folder."""
        return self.folder

    def device(self, number: int) -> Path:
        """The folder of a device by its id."""
        return self.folder.devices / f"d{number + 1}"

    def client(self) -> NodeClient:
        """A client of the daemon; close it."""
        return NodeClient.at(
            f"unix:{self.folder.objectd_socket}", read_cluster_key(self.folder.cluster_key), name="probe"
        )

    def start(self) -> None:
        """Start the daemon and wait until it says that it serves. Raises ObjectdFailed."""
        ready_read, ready_write = os.pipe()
        with open(self._log, "ab") as log:
            self._popen = subprocess.Popen(
                [
                    *(sys.executable, "-m", "objectd", "--config", str(self.folder.config)),
                    *("--ready-fd", str(ready_write)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(ready_write,),
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509  (the call allocates nothing)
            )
        os.close(ready_write)
        with open(ready_read, "rb") as said:
            line = said.readline()
        if not line:
            raise ObjectdFailed(self._last_words())
        self.told = json.loads(line)

    def kill(self) -> None:
        """End the daemon by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the daemon to end; return its exit status. Raises ObjectdFailed where it does not."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        popen, self._popen = self._popen, None
        if popen is None:
            return 0
        popen.send_signal(number)
        try:
            return popen.wait(START_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
            raise ObjectdFailed(self._last_words()) from None

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])


@asynccontextmanager
async def running(process: ObjectdProcess) -> AsyncIterator[NodeClient]:
    """Start the daemon, hand out a client, and stop the daemon cleanly in the end."""
    process.start()
    client = process.client()
    try:
        yield client
    finally:
        await client.close()
        await asyncio.to_thread(process.stop)
