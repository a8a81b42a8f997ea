"""Starts a colony of this tree for a run and reads from its endpoints file how to reach it."""

import json
import sys
from pathlib import Path
from typing import Any

from bench.processes import ProcessGroup, StoreFailed
from bench.sigv4 import S3Keys
from bench.store import RunningStore, s3_endpoint, swift_endpoint
from bench.workload import Api

NAME = "colony"
DEVICES = 4
_START_TIMEOUT_S = 60


def start(data: Path) -> RunningStore:
    """Start a colony with empty devices under `data`; raises StoreFailed. The caller stops it."""
    group = ProcessGroup(data.with_name(f"{data.name}-log"))
    ready_file = data / "run" / "endpoints.json"
    command = [*_program(), "up", "--data", str(data), "--devices", str(DEVICES), "--port", "0"]
    try:
        group.start("colony", command)
        group.wait_until(lambda: _read(ready_file) is not None, what="the colony", timeout_s=_START_TIMEOUT_S)
        found = _read(ready_file) or {}
        return RunningStore(NAME, _endpoints(found, ready_file), group.pids, "this tree", group.stop)
    except BaseException:
        group.stop()
        raise


def _program() -> list[str]:
    script = Path(sys.executable).with_name("colonnade")
    return [str(script)] if script.exists() else [sys.executable, "-m", "colonnade"]


def _read(path: Path) -> dict[str, Any] | None:
    """The endpoints, or None while the file is missing or half written."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None


def _endpoints(found: dict[str, Any], path: Path) -> dict[Api, Any]:
    try:
        return {
            Api.S3: s3_endpoint(found["s3"], S3Keys(found["access_key"], found["secret_key"])),
            Api.SWIFT: swift_endpoint(found["swift"], user=found["swift_user"], key=found["swift_key"]),
        }
    except KeyError as error:
        raise StoreFailed(f"{path}: no field {error}") from error
