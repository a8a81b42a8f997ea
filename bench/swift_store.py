"""Installs the newest OpenStack Swift in an environment of its own and runs it all-in-one on loopback."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.processes import ProcessGroup, StoreFailed, free_ports, listens
from bench.sigv4 import S3Keys
from bench.store import RunningStore, s3_endpoint, swift_endpoint
from bench.swift_conf import DEVICES, PASSWORD, USER, SwiftLayout, SwiftPorts, render_files, ring_commands
from bench.workload import Api

NAME = "swift"
_INSTALL_TIMEOUT_S = 900
_START_TIMEOUT_S = 60
_MEMCACHED_MIB = 256


def install(environment: Path) -> str:
    """Make the environment with the newest Swift, or bring one up to date; returns the version."""
    python = environment / "bin" / "python"
    if not python.exists():
        _call([sys.executable, "-m", "venv", str(environment)], what="create Swift's environment")
    # pkg_resources, which older releases of Paste need, left setuptools with version 81.
    packages = ["swift", "setuptools<81"]
    _call(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--upgrade",
            *packages,
        ],
        what="install Swift from the package index",
    )
    return installed_version(environment)


def installed_version(environment: Path) -> str:
    """The version of Swift in an environment; raises StoreFailed if there is none."""
    program = "from importlib.metadata import version; print(version('swift'))"
    return _call([str(environment / "bin" / "python"), "-c", program], what="read Swift's version").strip()


def find_memcached() -> str:
    """The path of memcached, installed from Debian if this is root and it is missing; raises StoreFailed."""
    found = shutil.which("memcached")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "memcached"]
        _call(apt, what="install memcached")
        found = shutil.which("memcached")
    if found is None:
        raise StoreFailed("memcached is missing: apt-get install memcached")
    return found


def start(environment: Path, data: Path) -> RunningStore:
    """Start Swift with empty devices under `data`; raises StoreFailed. The caller stops it."""
    version = installed_version(environment)
    memcached = find_memcached()
    layout = _lay_out(data)
    _write_configuration(environment, layout)
    group = ProcessGroup(data / "log")
    try:
        _start_daemons(group, environment, layout, memcached)
        base = f"http://127.0.0.1:{layout.ports.proxy}"
        endpoints = {
            Api.SWIFT: swift_endpoint(f"{base}/auth/v1.0", user=USER, key=PASSWORD),
            Api.S3: s3_endpoint(base, S3Keys(USER, PASSWORD)),
        }
    except BaseException:
        group.stop()
        raise
    return RunningStore(NAME, endpoints, group.pids, f"OpenStack Swift {version}", group.stop)


def _lay_out(data: Path) -> SwiftLayout:
    etc, devices = data / "etc", data / "devices"
    etc.mkdir(parents=True)
    for index in range(1, DEVICES + 1):
        (devices / f"d{index}").mkdir(parents=True)
    return SwiftLayout(str(etc), str(devices), SwiftPorts(*free_ports(5)), getpass.getuser())


def _write_configuration(environment: Path, layout: SwiftLayout) -> None:
    for name, text in render_files(layout).items():
        Path(layout.etc, name).write_text(text)
    builder = str(environment / "bin" / "swift-ring-builder")
    for arguments in ring_commands(layout):
        # The builder ends with 1 for a warning, such as a rebalance that had nothing to balance.
        _call([builder, *arguments], what="build Swift's rings", good=(0, 1))


def _start_daemons(group: ProcessGroup, environment: Path, layout: SwiftLayout, memcached: str) -> None:
    ports = layout.ports
    command = [memcached, "-l", "127.0.0.1", "-p", str(ports.memcached), "-m", str(_MEMCACHED_MIB), "-U", "0"]
    group.start("memcached", [*command, "-u", layout.system_user])
    for kind in ("account", "container", "object", "proxy"):
        program = str(environment / "bin" / f"swift-{kind}-server")
        group.start(f"{kind}-server", [program, str(Path(layout.etc, f"{kind}-server.conf"))])
    for name in ("memcached", "account", "container", "object", "proxy"):
        port = getattr(ports, name)
        group.wait_until(partial(listens, port), what=f"Swift's {name}", timeout_s=_START_TIMEOUT_S)


def _call(command: Sequence[str], *, what: str, good: tuple[int, ...] = (0,)) -> str:
    try:
        result = subprocess.run(
            list(command), capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreFailed(f"cannot {what}: {error}") from error
    if result.returncode not in good:
        raise StoreFailed(f"cannot {what}:\n{(result.stderr or result.stdout).strip()[-1500:]}")
    return result.stdout
