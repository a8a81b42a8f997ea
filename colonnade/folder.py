"""The data folder of a node: where everything in it lies, and the lock that one supervisor holds.

DATA/colonnade.toml       settings
DATA/cluster.key          secret that all nodes share (0600)
DATA/admin.json           credentials of the first administrator (0600), on the node that made the colony
DATA/colony.ring          the ring, with .pub (its signer) and, where rings are made, .key (0600)
DATA/devices/d1 …         one folder for each device
DATA/node/                what objectd keeps beside its devices
DATA/tls/                 a self-signed certificate and its key (0600), where one was asked for
DATA/log/                 one log file for each process
DATA/run/                 sockets, lock, endpoints.json (0600); empty when nothing runs
DATA/node-2, node-3 …     further nodes of a colony started by `colonnade up --nodes`
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

DATA_VARIABLE: Final = "COLONNADE_DATA"
SECRET_MODE: Final = 0o600


class FolderError(Exception):
    """The data folder cannot be used as asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths in one node's data folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The settings of this node."""
        return self.root / "colonnade.toml"

    @property
    def cluster_key(self) -> Path:
        """The secret by which nodes know each other, 32 bytes in hexadecimal."""
        return self.root / "cluster.key"

    @property
    def ring(self) -> Path:
        """The ring file; its pin and its key are named after it."""
        return self.root / "colony.ring"

    @property
    def ring_key(self) -> Path:
        """The key that signs rings; only where the colony was made."""
        return self.root / "colony.ring.key"

    @property
    def admin(self) -> Path:
        """Credentials of the first administrator."""
        return self.root / "admin.json"

    @property
    def devices(self) -> Path:
        """The folder of device folders."""
        return self.root / "devices"

    @property
    def tls(self) -> Path:
        """The folder of a self-signed certificate."""
        return self.root / "tls"

    @property
    def log(self) -> Path:
        """The folder of log files."""
        return self.root / "log"

    @property
    def run(self) -> Path:
        """The folder of what exists only while the node runs."""
        return self.root / "run"

    @property
    def objectd_socket(self) -> Path:
        """Where this node's objectd is reached."""
        return self.run / "objectd.sock"

    @property
    def control_socket(self) -> Path:
        """Where this node's supervisor is reached."""
        return self.run / "supervisor.sock"

    @property
    def endpoints(self) -> Path:
        """What clients, tests and other commands need to know of a running node."""
        return self.run / "endpoints.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor."""
        return self.run / "supervisor.lock"

    def further_node(self, number: int) -> Folder:
        """Return the folder of another node of a colony that lives on one machine."""
        return Folder(self.root / f"node-{number}")

    def further_nodes(self) -> list[Folder]:
        """Return the folders of further nodes that exist, in order of their number."""
        found = [path for path in self.root.glob("node-*") if path.name[5:].isdigit()]
        return [Folder(path) for path in sorted(found, key=lambda path: int(path.name[5:]))]


def default_root() -> Path:
    """Return the data folder that is meant where none is named: $COLONNADE_DATA, or ./data."""
    return Path(os.environ.get(DATA_VARIABLE) or "data")


def open_folder(root: Path) -> Folder:
    """Return the folder of a node that exists. Raises FolderError."""
    folder = Folder(root.resolve())
    if not folder.config.exists():
        raise FolderError(
            f"{folder.root} holds no colony; name its data folder with --data or ${DATA_VARIABLE}, "
            "or start one with `colonnade up`"
        )
    return folder


def make_folder(root: Path) -> Folder:
    """Return a folder for a node, made with its subfolders where they are missing. Raises FolderError."""
    folder = Folder(root.resolve())
    try:
        for path in (folder.root, folder.devices, folder.log, folder.run):
            # Others of this machine must not read objects, keys or logs.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"{error.filename} cannot be made: {error.strerror}; choose another place with --data"
        ) from error
    return folder


def take_lock(folder: Folder) -> BinaryIO:
    """Return a file that holds the folder's lock until it is closed. Raises FolderError."""
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise FolderError(
            f"{folder.root} is in use: another supervisor (pid {holder or '?'}) runs this node; "
            f"end it with `colonnade stop --data {folder.root}`, or choose another --data"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return open(descriptor, "r+b", buffering=0)


def is_running(folder: Folder) -> bool:
    """Say whether a supervisor holds the folder's lock."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_secret(path: Path, data: bytes) -> None:
    """Replace a file that only its owner may read, so that a crash leaves the old or the new one, whole."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Without it a crash can forget the rename.
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object of a JSON file, or None where there is no such file. Raises FolderError."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FolderError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise FolderError(f"{path} is damaged: it holds no JSON object")
    return value
