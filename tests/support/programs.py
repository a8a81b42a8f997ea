"""Finding the programs that tests drive: first beside this interpreter, then on PATH."""

import shutil
import sys
from pathlib import Path

import pytest


def find_program(name: str) -> str | None:
    """The path of program `name`, preferring the one pinned in this environment; None where absent."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def require_program(name: str) -> str:
    """The path of program `name`; skips the running test, with the reason, where it is absent."""
    path = find_program(name)
    if path is None:
        pytest.skip(f"program {name} is not installed here (make system installs it where allowed)")
    return path


def needs_program(name: str) -> pytest.MarkDecorator:
    """A mark that skips a test, with the reason, where program `name` is absent."""
    return pytest.mark.skipif(
        find_program(name) is None,
        reason=f"program {name} is not installed here (make system installs it where allowed)",
    )
