"""What holds for every test: marks by folder, an environment free of this machine, no process left."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.colonies import colony, three_nodes  # noqa: F401  (fixtures)
from tests.support.processes import children_of

_TESTS = Path(__file__).parent
_FOLDER_MARKS = {"api": pytest.mark.api, "probe": pytest.mark.probe}

# Deadlines would assert wall-clock speed, which a shared two-core machine cannot promise.
settings.register_profile("quick", deadline=None, max_examples=50, print_blob=True)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("COLONNADE_HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--slow`."""
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by their folder, and skips the slow ones unless they are asked for."""
    for item in items:
        folder = item.path.relative_to(_TESTS).parts[0] if item.path.is_relative_to(_TESTS) else ""
        if folder in _FOLDER_MARKS:
            item.add_marker(_FOLDER_MARKS[folder])
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Hides this machine's client settings, so that a test meets only what it says itself."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(("AWS_", "OS_", "ST_", "RCLONE_")):
            patch.delenv(name)
    # Everything under test is on loopback: a proxy of the machine must not stand between.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        patch.delenv(name, raising=False)
        patch.delenv(name.upper(), raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "RCLONE_CONFIG"):
        patch.setenv(name, os.devnull)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind(clean_environment: None) -> Iterator[None]:
    """Fails the run when a child process outlives the tests of this worker."""
    before = {child.pid for child in children_of(os.getpid())}
    yield
    give_up_s = time.monotonic() + 5
    left = [child for child in children_of(os.getpid()) if child.pid not in before]
    while left and time.monotonic() < give_up_s:
        time.sleep(0.05)
        left = [child for child in children_of(os.getpid()) if child.pid not in before]
    assert not left, f"processes left behind: {left}"
