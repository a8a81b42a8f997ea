"""A real colony for a test: `colonnade up` in a folder of its own, on ports that the kernel chose.

However the test ends, nothing stays: the supervisor gets SIGTERM when the process that started it dies,
and every process of the colony when its supervisor does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_S = 90.0
STOP_S = 60.0
POLL_S = 0.02


class ColonyFailed(Exception):
    """A colony did not start or stop as it should; the text has its last words."""


class Colony:
    """One colony, its nodes in processes of their own; a context manager that starts and stops it."""

    def __init__(
        self,
        data: Path,
        *,
        nodes: int = 1,
        devices: int = 4,
        workers: int = 2,
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        """Prepare a colony of `nodes` nodes under a folder; `start` makes it, by further `options` too."""
        self.data = data
        self.nodes = nodes
        counts = ("--nodes", str(nodes), "--devices", str(devices), "--workers", str(workers))
        self._options = (*counts, *options)
        self._port = port
        self._output = data.with_name(f"{data.name}.output")
        self._popen: subprocess.Popen[bytes] | None = None
        self._alone: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Colony:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # What clients need.

    @property
    def endpoints(self) -> dict[str, Any]:
        """run/endpoints.json of the first node, as it is now."""
        return self.endpoints_of(1)

    def endpoints_of(self, node: int) -> dict[str, Any]:
        """run/endpoints.json of a node, counted from 1."""
        found: dict[str, Any] = json.loads((self.folder_of(node) / "run" / "endpoints.json").read_text())
        return found

    def folder_of(self, node: int) -> Path:
        """The data folder of a node, counted from 1."""
        return self.data if node == 1 else self.data / f"node-{node}"

    @property
    def s3_endpoint(self) -> str:
        """URL of the S3 API."""
        return str(self.endpoints["s3"])

    @property
    def s3_https(self) -> str:
        """URL of the S3 API over TLS, where it is served."""
        return str(self.endpoints["s3_https"])

    @property
    def certificate(self) -> str:
        """Path of the certificate that TLS is served by."""
        return str(self.endpoints["certificate"])

    @property
    def access_key(self) -> str:
        """S3 access key of the first administrator."""
        return str(self.endpoints["access_key"])

    @property
    def secret_key(self) -> str:
        """S3 secret key of the first administrator."""
        return str(self.endpoints["secret_key"])

    @property
    def swift_auth(self) -> str:
        """URL of Swift's TempAuth."""
        return str(self.endpoints["swift"])

    @property
    def swift_user(self) -> str:
        """Swift user of the first administrator."""
        return str(self.endpoints["swift_user"])

    @property
    def swift_key(self) -> str:
        """Swift key of the first administrator."""
        return str(self.endpoints["swift_key"])

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids of the first node by role, as they are now."""
        return self.pids_of(1)

    def pids_of(self, node: int) -> dict[str, list[int]]:
        """Process ids of a node by role, as they are now."""
        found = self.endpoints_of(node)["pids"]
        return {role: [pids] if isinstance(pids, int) else pids for role, pids in found.items()}

    # Life.

    def start(self) -> None:
        """Start the colony and wait until it serves. Raises ColonyFailed."""
        (self.data / "run" / "endpoints.json").unlink(missing_ok=True)
        arguments = ["up", "--data", str(self.data), *self._options]
        if not (self.data / "colonnade.toml").exists():
            arguments += ["--port", str(self._port)]
        self._popen = self._spawn(arguments)
        self._wait_for(self._popen, [self.folder_of(node) for node in range(1, self.nodes + 1)])

    def stop(self) -> None:
        """Stop it all cleanly; kills what does not end. Raises ColonyFailed for what had to be killed."""
        running = [*self._alone.values(), *([self._popen] if self._popen else [])]
        self._alone.clear()
        self._popen = None
        for popen in running:
            popen.terminate()
        for popen in running:
            self._end(popen)

    def wait_ended(self) -> None:
        """Wait until the colony has ended by itself. Raises ColonyFailed."""
        popen, self._popen = self._popen, None
        if popen is not None:
            self._end(popen)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of `colonnade` on this colony, with --data at its end."""
        command = [sys.executable, "-m", "colonnade", *arguments, "--data", str(self.data)]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=120)

    # Harm.

    def kill(self, role: str, index: int = 0, *, node: int = 1) -> int:
        """Kill a process by SIGKILL and return its former pid; its supervisor starts another."""
        pid = self.pids_of(node)[role][index]
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_revived(self, role: str, killed: int, *, node: int = 1, count: int = 1) -> None:
        """Wait until a role has all its processes again, none of them the one killed."""
        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up:
            pids = self.pids_of(node).get(role, [])
            if killed not in pids and len(pids) >= count:
                return
            time.sleep(POLL_S)
        raise ColonyFailed(f"{role} was not started again; {self._last_words()}")

    def stop_node(self, node: int) -> None:
        """Stop one node of several cleanly; the others go on."""
        command = [sys.executable, "-m", "colonnade", "stop", "--data", str(self.folder_of(node))]
        subprocess.run(command, check=True, capture_output=True, timeout=STOP_S)
        if popen := self._alone.pop(node, None):
            self._end(popen)

    def start_node(self, node: int) -> None:
        """Start a node that was stopped, and wait until it serves."""
        folder = self.folder_of(node)
        popen = self._spawn(["node", "--data", str(folder)])
        self._alone[node] = popen
        self._wait_for(popen, [folder])

    # Inner works.

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with open(self._output, "ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "colonnade", *arguments, "--die-with", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _wait_for(self, popen: subprocess.Popen[bytes], folders: Sequence[Path]) -> None:
        give_up = time.monotonic() + START_S
        for folder in folders:
            while not (folder / "run" / "endpoints.json").exists():
                if popen.poll() is not None:
                    raise ColonyFailed(f"exit status {popen.returncode}; {self._last_words()}")
                if time.monotonic() > give_up:
                    popen.terminate()
                    self._end(popen)
                    raise ColonyFailed(f"not ready in {START_S:g} s; {self._last_words()}")
                time.sleep(POLL_S)

    def _end(self, popen: subprocess.Popen[bytes]) -> None:
        try:
            popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
            raise ColonyFailed(f"did not stop in {STOP_S:g} s; {self._last_words()}") from None

    def _last_words(self) -> str:
        words = [f"{self._output}:\n{_tail(self._output)}"]
        words += [f"{path}:\n{_tail(path)}" for path in sorted(self.data.glob("**/log/*.log"))]
        return "\n".join(words)


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
    except OSError:
        return ""
