"""Starts the processes of a store under measurement and ends exactly those, by their ids."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.cpu import process_tree

_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.05
_ZOMBIE = "Z"


class StoreFailed(RuntimeError):
    """A store under measurement could not be installed, started or reached."""


def free_ports(count: int) -> tuple[int, ...]:
    """Distinct loopback ports that the kernel chose and that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)
    finally:
        for one in sockets:
            one.close()


class ProcessGroup:
    """The processes started for one store; ended together, newest first."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        log_folder.mkdir(parents=True, exist_ok=True)

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the processes started here, each the leader of a session of its own."""
        return tuple(child.pid for _, child in self._children)

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> int:
        """Start a command in a session of its own, its output in a log file; returns its pid."""
        with self.log_path(name).open("wb") as log:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._children.append((name, child))
        return child.pid

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self._log_folder / f"{name}.log"

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float) -> None:
        """Wait for a condition; raises StoreFailed if a process ends meanwhile or time runs out."""
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            self._raise_for_dead()
            if time.monotonic() > deadline_s:
                raise StoreFailed(f"{what} not ready within {timeout_s:.0f} s (logs in {self._log_folder})")
            time.sleep(_POLL_S)

    def _raise_for_dead(self) -> None:
        for name, child in self._children:
            if child.poll() is not None:
                tail = self.log_path(name).read_text(errors="replace")[-1500:]
                raise StoreFailed(f"{name} ended with status {child.returncode}:\n{tail}")

    def stop(self) -> None:
        """End every process and its descendants: first politely, then for certain."""
        tree = [stat.pid for stat in process_tree(self.pids)]
        for _, child in reversed(self._children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        for _, child in self._children:
            try:
                child.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._end_orphans(frozenset(tree), deadline_s)
        self._children.clear()

    def _end_orphans(self, tree: frozenset[int], deadline_s: float) -> None:
        """Kill the workers that outlived their parent, and see them gone."""
        while self._children:
            # They keep their session, so that a pid given out anew is not mistaken for one of them.
            sessions = frozenset(self.pids)
            left = [
                stat.pid
                for stat in process_tree(self.pids)
                if stat.pid in tree and stat.session_id in sessions and stat.state != _ZOMBIE
            ]
            if not left or time.monotonic() > deadline_s + _STOP_TIMEOUT_S:
                return
            for pid in left:
                _kill(pid)
            time.sleep(_POLL_S)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
