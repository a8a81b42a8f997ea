"""The files of this tree, as git knows them."""

import os
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked_files() -> tuple[str, ...]:
    """Paths below the root of all files that are tracked, or would be when added; those deleted apart."""
    listed = subprocess.run(
        # The tree may belong to another user than the one who tests it.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(sorted(path for path in set(listed.split("\0")) if path and (ROOT / path).is_file()))


def python_files() -> tuple[str, ...]:
    """The Python files among them."""
    return tuple(path for path in tracked_files() if path.endswith(".py"))


@cache
def read(path: str) -> str:
    """The text of a file of the tree; empty for one that is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads(read("pyproject.toml"))


@cache
def packages() -> tuple[str, ...]:
    """The top-level packages that the distribution ships."""
    include = project()["tool"]["setuptools"]["packages"]["find"]["include"]
    return tuple(name for name in include if "." not in name)


def ours(path: str) -> bool:
    """Whether a path belongs to a shipped package, and not to the tests."""
    return path.partition("/")[0] in packages()
