"""The command line of a daemon that its node's supervisor starts: what it may be told, and its settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ADMIN_ADDRESS: Final = "tcp:127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the supervisor says: the settings file, the admin address, and the pipe to say READY on."""

    config: Path
    admin: str
    ready_fd: int | None


def parse_arguments(program: str, arguments: list[str] | None, *, description: str | None) -> Arguments:
    """Return what a command line says (that of the process where None); exits where it is wrong."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--config", type=Path, required=True, help="the node's settings")
    parser.add_argument(
        "--admin", default=ADMIN_ADDRESS, help="where /metrics, /healthz and /readyz are served [%(default)s]"
    )
    parser.add_argument("--ready-fd", type=int, help="a pipe on which to say READY")
    found = parser.parse_args(arguments)
    return Arguments(found.config, found.admin, found.ready_fd)
