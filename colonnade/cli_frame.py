"""What all commands of `colonnade` share: the data folder, --json, exit codes, and how errors are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

import click

from colonnade.folder import DATA_VARIABLE, FolderError, default_root
from colonnade.listeners import PortTaken
from colonnade.slot import StartFailed
from kit.config import ConfigError
from model.errors import ColonnadeError
from ring.errors import RingError

Command = TypeVar("Command", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_COLONY = 3


def data_option(command: Command) -> Command:
    """Give a command the option --data, a path under the name `data`."""
    option = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=default_root,
        help=f"The data folder.  [default: ${DATA_VARIABLE}, or ./data]",
    )
    return option(command)


def json_option(command: Command) -> Command:
    """Give a command the option --json, a flag under the name `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def emit(plain: object) -> None:
    """Print a result as JSON."""
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


@contextmanager
def told_errors(*, as_json: bool = False) -> Iterator[None]:
    """Turn what may go wrong in operation into a line on standard error and an exit code."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads our output has enough: click ends us without a word
    except FolderError as error:
        _fail(error, Exit.NO_COLONY, as_json=as_json)
    except (ColonnadeError, ConfigError, RingError, PortTaken, StartFailed, OSError) as error:
        _fail(error, Exit.FAILED, as_json=as_json)


def _fail(error: Exception, code: Exit, *, as_json: bool) -> None:
    if as_json:
        text = json.dumps({"error": str(error), "kind": type(error).__name__}, ensure_ascii=False)
    else:
        text = f"colonnade: {error}"
    click.echo(text, err=True)
    raise SystemExit(int(code)) from None
