"""What all commands of `ringctl` share: options, exit codes, reading and writing the ring, and output."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from ring import loader
from ring.errors import RingBusy, RingError, RingFileDamaged, RingFormatUnknown, RingUntrusted
from ring.signing import SigningKey, Trust, Unchecked, Unsigned
from ring.table import Ring


class Exit(IntEnum):
    """Exit codes of `ringctl`, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOTHING_TO_DO = 3
    VERIFICATION_FAILED = 4
    BUSY = 5


EXIT_HELP = """\b
Exit codes:
  0  done
  1  failed; standard error says why
  2  wrong usage
  3  nothing to do: the ring is as asked already
  4  verification failed: the ring is damaged, not a ring, or not trusted
  5  another command is changing this ring
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """The options each command has."""

    path: Path
    as_json: bool
    unsigned: bool
    key_path: Path | None

    def trust(self) -> Trust | None:
        """Return what to believe of ring files: None leaves it to the key pinned beside the file."""
        return Unchecked.UNSIGNED_TOO if self.unsigned else None

    def load(self) -> Ring:
        """Read the ring; raises RingError when that cannot be."""
        try:
            return loader.load(self.path, trust=self.trust())
        except FileNotFoundError:
            raise RingError(
                f"{self.path}: no such ring; name it with --ring or make it with `ringctl create`"
            ) from None

    def signing_key(self) -> SigningKey:
        """Read the key to sign with; raises RingError when it is not there."""
        if self.unsigned:
            return Unsigned.ACCEPTED
        path = self.key_path or default_key_path(self.path)
        try:
            return loader.load_key(path)
        except FileNotFoundError:
            raise RingError(f"{path}: no signing key; name it with --key, or say --unsigned") from None

    def new_signing_key(self) -> SigningKey:
        """Read the key to sign a new ring with, or make it."""
        path = self.key_path or default_key_path(self.path)
        if self.unsigned or path.exists():
            return self.signing_key()
        key: Ed25519PrivateKey = loader.create_key(path)
        return key

    def save(self, ring: Ring) -> None:
        """Write the ring, signed."""
        loader.save(self.path, ring, self.signing_key())

    @property
    def console(self) -> Console:
        """The console for tables, on standard output."""
        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    def emit(self, plain: dict[str, Any], show: Callable[[Console], None]) -> None:
        """Print the result: as JSON, or by `show` for people."""
        if self.as_json:
            click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        else:
            show(self.console)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show on a terminal that a long step is under way."""
        console = Console(stderr=True)
        if self.as_json or not console.is_terminal:
            yield
            return
        with console.status(what):
            yield


def default_key_path(ring_path: Path) -> Path:
    """Return where the signing key of a ring is looked for: beside it."""
    return Path(f"{ring_path}.key")


def framed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options all have, and its `Frame` as the first argument."""

    @click.option(
        "--ring",
        "ring_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="COLONNADE_RING",
        default=Path("colony.ring"),
        show_default=True,
        show_envvar=True,
        help="The ring file.",
    )
    @click.option(
        "--key",
        "key_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="COLONNADE_RING_KEY",
        show_envvar=True,
        help="The Ed25519 key that signs it (PEM).  [default: the ring file's name with .key]",
    )
    @click.option("--unsigned", is_flag=True, help="Accept, and write, a ring without a signature.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
    @wraps(command)
    def run(ring_path: Path, key_path: Path | None, unsigned: bool, as_json: bool, **arguments: Any) -> None:
        frame = Frame(ring_path, as_json, unsigned, key_path)
        try:
            command(frame, **arguments)
        except (RingError, OSError) as error:
            _complain(frame, error)
            raise SystemExit(int(exit_code(error))) from None

    return run


def exit_code(error: Exception) -> Exit:
    """Return the exit code that tells of an error."""
    match error:
        case RingBusy():
            return Exit.BUSY
        case RingFileDamaged() | RingFormatUnknown() | RingUntrusted():
            return Exit.VERIFICATION_FAILED
        case _:
            return Exit.FAILED


def nothing_to_do(frame: Frame, why: str) -> None:
    """Say that there is nothing to do, and leave with the code for it."""
    frame.emit(
        {"nothing_to_do": True, "reason": why}, lambda console: console.print(f"Nothing to do: {why}.")
    )
    raise SystemExit(int(Exit.NOTHING_TO_DO))


def _complain(frame: Frame, error: Exception) -> None:
    if frame.as_json:
        click.echo(
            json.dumps({"error": str(error), "kind": type(error).__name__}, ensure_ascii=False), err=True
        )
    else:
        click.echo(f"ringctl: {error}", err=True)
