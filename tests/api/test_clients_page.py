"""Every command of docs/clients.md runs against a colony, and none fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.colony import Colony
from tests.support.programs import require_program

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
SECTION = re.compile(r"^## (?P<name>.+?)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(?P<language>sh|python)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = {found["name"]: found["text"] for found in SECTION.finditer(PAGE.read_text())}
PROGRAMS = {"aws-cli": "aws", "boto3": "python3", "pyarrow, s3fs, obstore and DuckDB": "python3"}
LARGE_BYTES = 3_500_000


def test_the_page_has_a_section_for_each_client() -> None:
    clients = {"aws-cli", "boto3", "s3cmd", "restic", "swift", "openstack", "rclone", "curl"}
    assert set(SECTIONS) >= clients
    assert set(PROGRAMS) <= set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_commands_of_the_page_work(colony: Colony, tmp_path: Path, name: str) -> None:
    require_program(PROGRAMS.get(name, name))
    (tmp_path / "README.md").write_text("A federated object store.\n")
    (tmp_path / "docs" / "more pages").mkdir(parents=True)
    (tmp_path / "docs" / "clients.md").write_text(PAGE.read_text())
    (tmp_path / "docs" / "more pages" / "ümlaut + %41.md").write_text("odd\n")
    (tmp_path / "large").write_bytes(bytes(range(251)) * (LARGE_BYTES // 251))
    blocks = [(found["language"], found["code"]) for found in BLOCK.finditer(SECTIONS[name])]
    assert blocks
    for language, code in blocks:
        script = code if language == "sh" else f"{sys.executable} - <<'PYTHON'\n{code}PYTHON\n"
        settings = colony.command("env").stdout
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", f"{settings}\n{script}"],
            cwd=tmp_path,
            # Each client must do with one try: what fails at first is a failure.
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "LC_ALL": "C.UTF-8",
                "AWS_MAX_ATTEMPTS": "1",
                "RCLONE_RETRIES": "1",
                "RCLONE_LOW_LEVEL_RETRIES": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
