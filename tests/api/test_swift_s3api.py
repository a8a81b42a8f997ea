"""The S3 suite of OpenStack Swift, from its source distribution, against a colony.

`make swift-suite` fetches it. What a colony answers otherwise than the suite wants is listed in
swift_suite/expected.toml with the reason: a failure that is not listed fails here, and a listed test that
passes is reported as a warning.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import tomllib
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.colony import Colony

HERE = Path(__file__).parent / "swift_suite"
SUITE = Path(sys.prefix) / "swift-suite"
# The suite wipes what its accounts hold: each half has accounts of its own, and both run at once.
HALVES = {
    "framing": ("test_input_errors.py", "test_mpu.py", "test_service.py", "test_versioning.py"),
    "rest": (
        "test_conditional_writes.py",
        "test_object.py",
        "test_object_checksums.py",
        "test_object_lock.py",
        "test_request_target_style.py",
    ),
}
USERS = (("tester", "admin"), ("tester2", "admin"), ("tester3", "other"))
RUN_S = 400
TESTS_MIN = 583

pytestmark = [
    pytest.mark.timeout(RUN_S + 60),
    pytest.mark.skipif(
        not (SUITE / "test" / "s3api").is_dir(),
        reason="Swift's source distribution is not here (make swift-suite fetches it)",
    ),
]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Names of tests, `module.py::Class::test`, by how they ended; `why` has each failure's first line."""

    passed: frozenset[str]
    skipped: frozenset[str]
    why: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many tests ended."""
        return len(self.passed) + len(self.skipped) + len(self.why)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Outcomes]:
    """What became of every test of the suite."""
    folder = tmp_path_factory.mktemp("swift-suite")
    with Colony(folder / "data", options=("--domain", "example.com")) as colony:
        running = [start_half(colony, name, folder) for name in HALVES]
        try:
            for popen in running:
                popen.wait(RUN_S)
        finally:
            for popen in running:
                popen.kill()
                popen.wait()
        yield read_outcomes([folder / f"{name}.xml" for name in HALVES])


def start_half(colony: Colony, half: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a part of the suite, on accounts of its own."""
    config = folder / f"{half}.conf"
    config.write_text(half_config(colony, half))
    with open(folder / f"{half}.log", "wb") as log:
        return subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "pytest",
                    "-q",
                    "--tb=short",
                    "-p",
                    "no:cacheprovider",
                    "-p",
                    "no:xdist",
                ),
                *("-c", os.devnull, "--rootdir", str(SUITE), f"--junitxml={folder / half}.xml"),
                *(f"test/s3api/{name}" for name in HALVES[half]),
            ],
            cwd=SUITE,
            env={**os.environ, "SWIFT_TEST_CONFIG_FILE": str(config), "PYTHONPATH": str(SUITE)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def half_config(colony: Colony, half: str) -> str:
    """Make the users of a part of the suite; return its configuration."""
    lines = ["[s3api_test]", f"endpoint = {colony.s3_endpoint}", "region = us-east-1"]
    for number, (name, role) in enumerate(USERS, 1):
        user, secret = f"{half}:{name}", f"testing{number}"
        colony.command("user", "add", user, "--password", secret, "--role", role)
        colony.command("user", "key", "add", user, "--id", user, "--secret", secret)
        lines += [f"access_key{number} = {user}", f"secret_key{number} = {secret}"]
    lines += ["[func_test]", f"s3_storage_url = {colony.s3_endpoint}", "s3_region = us-east-1"]
    lines += ["storage_domain = example.com", f"s3_access_key = {half}:tester", "s3_secret_key = testing1"]
    return "\n".join(lines) + "\n"


def read_outcomes(reports: list[Path]) -> Outcomes:
    """Return what JUnit reports say."""
    passed, skipped, why = set(), set(), {}
    for report in reports:
        assert report.exists(), report.with_suffix(".log").read_text()[-3000:]
        for case in ET.parse(report).getroot().iter("testcase"):
            module, _, kind = case.get("classname", "").rpartition(".")
            name = f"{module.rpartition('.')[2]}.py::{kind}::{case.get('name')}"
            failed = case.find("failure") if case.find("error") is None else case.find("error")
            if failed is not None:
                why[name] = failed.get("message", "").splitlines()[0][:300]
            elif case.find("skipped") is not None:
                skipped.add(name)
            else:
                passed.add(name)
    return Outcomes(frozenset(passed - why.keys()), frozenset(skipped), why)


def expected_failures() -> list[str]:
    """The patterns of tests that may fail, each with a reason of its own group."""
    groups = tomllib.loads((HERE / "expected.toml").read_text())["failing"]
    assert all(group["reason"] and group["tests"] for group in groups)
    return [pattern for group in groups for pattern in group["tests"]]


def test_the_whole_suite_ran(outcomes: Outcomes) -> None:
    assert outcomes.count >= TESTS_MIN
    assert len(outcomes.skipped) <= 20


def test_no_test_of_the_suite_fails_that_is_not_listed_with_its_reason(outcomes: Outcomes) -> None:
    patterns = expected_failures()
    unlisted = {
        name: why
        for name, why in outcomes.why.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }
    assert not unlisted, "\n".join(f"{name}: {why}" for name, why in sorted(unlisted.items()))
    for pattern in patterns:
        passing = fnmatch.filter(outcomes.passed, pattern)
        if passing:
            warnings.warn(f"listed as failing, but passes: {', '.join(sorted(passing))}", stacklevel=1)
        assert passing or fnmatch.filter(outcomes.why, pattern), f"{pattern} is no test of the suite"
