"""Programs that people use with S3 carry a tree of files there and back: aws-cli, s3cmd, rclone."""

import filecmp
import os
import random
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony
from tests.support.programs import require_program

FOLDERS = ("", "a", "a/deep/er", "with space", "ümlaut")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tree: empty, small and large files, odd names."""
    root = tmp_path_factory.mktemp("tree")
    chance = random.Random(7)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, size in (("empty", 0), ("one.txt", 1), ("some + %41 & (1).bin", 70_000)):
            (root / folder / name).write_bytes(chance.randbytes(size))
    (root / "large.bin").write_bytes(chance.randbytes(17 << 20))
    return root


@pytest.fixture
def bucket(colony: Colony) -> Iterator[str]:
    """A bucket of the test's own."""
    s3: Any = client_of(colony)
    name = f"p-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


def run(command: Sequence[str], colony: Colony, **environment: str) -> str:
    keys = {"AWS_ACCESS_KEY_ID": colony.access_key, "AWS_SECRET_ACCESS_KEY": colony.secret_key}
    done = subprocess.run(
        command,
        env={**os.environ, **keys, "AWS_DEFAULT_REGION": "us-east-1", "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def differences(left: Path, right: Path) -> list[str]:
    """Paths that are not byte for byte the same in both trees."""
    names = {
        str(path.relative_to(root)) for root in (left, right) for path in root.rglob("*") if path.is_file()
    }
    return sorted(
        name
        for name in names
        if not ((left / name).is_file() and (right / name).is_file())
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def test_aws_cli_syncs_a_tree_there_and_back(colony: Colony, bucket: str, tree: Path, tmp_path: Path) -> None:
    aws = [require_program("aws"), "--endpoint-url", colony.s3_endpoint, "s3"]
    run([*aws, "sync", "--no-progress", str(tree), f"s3://{bucket}/t"], colony)
    assert run([*aws, "sync", "--no-progress", str(tree), f"s3://{bucket}/t"], colony) == ""
    run([*aws, "sync", "--no-progress", f"s3://{bucket}/t", str(tmp_path)], colony)
    assert differences(tree, tmp_path) == []
    listed = run([*aws, "ls", "--recursive", f"s3://{bucket}/t/"], colony)
    assert len(listed.splitlines()) == 3 * len(FOLDERS) + 1
    run([*aws, "rm", "--recursive", f"s3://{bucket}/t"], colony)
    assert client_of(colony).list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_rclone_syncs_and_checks_a_tree(colony: Colony, bucket: str, tree: Path, tmp_path: Path) -> None:
    remote = {
        "RCLONE_CONFIG_C_TYPE": "s3",
        "RCLONE_CONFIG_C_PROVIDER": "Other",
        "RCLONE_CONFIG_C_ENDPOINT": colony.s3_endpoint,
        "RCLONE_CONFIG_C_ACCESS_KEY_ID": colony.access_key,
        "RCLONE_CONFIG_C_SECRET_ACCESS_KEY": colony.secret_key,
        "RCLONE_CONFIG_C_CHUNK_SIZE": "5Mi",
    }
    rclone = require_program("rclone")
    run([rclone, "sync", str(tree), f"c:{bucket}/t"], colony, **remote)
    run([rclone, "check", "--download", str(tree), f"c:{bucket}/t"], colony, **remote)
    run([rclone, "sync", f"c:{bucket}/t", str(tmp_path)], colony, **remote)
    assert differences(tree, tmp_path) == []
    run([rclone, "moveto", f"c:{bucket}/t/one.txt", f"c:{bucket}/t/moved.txt"], colony, **remote)
    assert "moved.txt" in run([rclone, "lsf", f"c:{bucket}/t"], colony, **remote)


def test_s3cmd_puts_a_tree_and_gets_it_back(colony: Colony, bucket: str, tree: Path, tmp_path: Path) -> None:
    host = urlsplit(colony.s3_endpoint).netloc
    settings = tmp_path / "s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {colony.access_key}\nsecret_key = {colony.secret_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nmultipart_chunk_size_mb = 5\n"
    )
    s3cmd = [require_program("s3cmd"), "-c", str(settings), "--no-progress"]
    run([*s3cmd, "sync", f"{tree}/", f"s3://{bucket}/t/"], colony)
    back = tmp_path / "back"
    back.mkdir()
    run([*s3cmd, "sync", f"s3://{bucket}/t/", f"{back}/"], colony)
    assert differences(tree, back) == []
    run([*s3cmd, "del", "--recursive", "--force", f"s3://{bucket}/t/"], colony)
    assert run([*s3cmd, "ls", "--recursive", f"s3://{bucket}/"], colony) == ""
