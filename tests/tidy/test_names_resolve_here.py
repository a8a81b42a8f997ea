"""Our flat names (`ring`, `proxy`, …) also exist on the package index: ours must be the ones imported."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, packages

_PRINT_ORIGINS = (
    "import importlib.util, json, sys;"
    "specs = {name: importlib.util.find_spec(name) for name in sys.argv[1:]};"
    "print(json.dumps({name: spec and spec.origin for name, spec in specs.items()}))"
)


def test_each_name_resolves_inside_this_tree(tmp_path: Path) -> None:
    # From elsewhere and without PYTHONPATH, as a daemon is started: pytest puts the tree first by itself.
    printed = subprocess.run(
        [sys.executable, "-I", "-c", _PRINT_ORIGINS, *packages()],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(printed) == {name: str(ROOT / name / "__init__.py") for name in packages()}


@pytest.mark.parametrize("name", packages())
def test_no_other_distribution_ships_the_name(name: str) -> None:
    owners = importlib.metadata.packages_distributions().get(name, [])
    assert set(owners) <= {"colonnade"}
