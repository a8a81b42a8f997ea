"""The locks pin what pyproject.toml asks for, each archive by hash."""

import re

import pytest

from tests.tidy.tree import project, read

RUNTIME = "requirements.lock"
EVERYTHING = "requirements-dev.lock"


def _pins(lock: str) -> dict[str, str]:
    """Each pinned name, with the text of its pin: version, marker and hashes."""
    pins: dict[str, str] = {}
    for pin in re.split(r"\n(?=\S)", read(lock).strip()):
        name = pin.partition("==")[0]
        pins[name] = pins.get(name, "") + pin
    return pins


def _versions(lock: str) -> set[str]:
    return set(re.findall(r"^\S+==\S+", read(lock), flags=re.MULTILINE))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}


def test_the_runtime_lock_pins_every_dependency() -> None:
    config = project()
    asked = _names(config["project"]["dependencies"] + config["dependency-groups"]["build"])
    assert asked - set(_pins(RUNTIME)) == set()


def test_the_dev_lock_pins_every_tool() -> None:
    assert _names(project()["dependency-groups"]["dev"]) - set(_pins(EVERYTHING)) == set()


def test_both_locks_agree_so_that_tests_meet_what_runs() -> None:
    # Versions alone: the markers may differ, as more tools ask for a package on more Pythons.
    assert _versions(RUNTIME) - _versions(EVERYTHING) == set()


@pytest.mark.parametrize("lock", [RUNTIME, EVERYTHING])
def test_every_pin_carries_a_hash_and_a_version(lock: str) -> None:
    unhashed = [name for name, pin in _pins(lock).items() if "--hash=sha256:" not in pin or "==" not in pin]
    assert unhashed == []
