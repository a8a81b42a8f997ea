"""Programs that people use with S3 carry a tree of files there and back: aws-cli, s3cmd, rclone, restic."""

import filecmp
import json
import os
import random
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_s3_objects import client_of
from tests.support.addresses import SCHEMES, Address, address_of, write_site
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


@pytest.fixture(params=SCHEMES)
def address(colony: Colony, request: pytest.FixtureRequest) -> Address:
    """The shared colony by path, over http and over TLS."""
    return address_of(colony, request.param)


def run(command: Sequence[str], address: Address, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **address.environment(), **environment},
        stdin=subprocess.DEVNULL,
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


def test_aws_cli_syncs_a_tree_there_and_back(
    address: Address, bucket: str, tree: Path, tmp_path: Path
) -> None:
    aws = [require_program("aws"), "--endpoint-url", address.url, "s3"]
    run([*aws, "sync", "--no-progress", str(tree), f"s3://{bucket}/t"], address)
    assert run([*aws, "sync", "--no-progress", str(tree), f"s3://{bucket}/t"], address) == ""
    run([*aws, "sync", "--no-progress", f"s3://{bucket}/t", str(tmp_path)], address)
    assert differences(tree, tmp_path) == []
    listed = run([*aws, "ls", "--recursive", f"s3://{bucket}/t/"], address)
    assert len(listed.splitlines()) == 3 * len(FOLDERS) + 1
    run([*aws, "rm", "--recursive", "--only-show-errors", f"s3://{bucket}/t"], address)
    assert address.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(("scheme", "style"), [("http", "path"), ("https", "virtual")])
def test_s3api_of_aws_cli_stores_lists_and_reads_back(
    colony: Colony, bucket: str, tree: Path, tmp_path: Path, scheme: str, style: str
) -> None:
    address = address_of(colony, scheme, style)
    (tmp_path / "config").write_text(f"[default]\ns3 =\n    addressing_style = {style}\n")
    settings = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "PYTHONPATH": write_site(tmp_path)}

    def s3api(command: str, *arguments: str) -> Any:
        program = [require_program("aws"), "--endpoint-url", address.url, "s3api", command]
        told = run([*program, "--bucket", bucket, *arguments], address, **settings)
        return json.loads(told) if told.strip() else {}

    large, back = str(tree / "large.bin"), tmp_path / "back"
    made = s3api("put-object", "--key", "a/b", "--body", large, "--checksum-algorithm", "SHA256")
    got = s3api("get-object", "--key", "a/b", "--checksum-mode", "ENABLED", str(back))
    assert filecmp.cmp(large, back, shallow=False)
    assert got["ChecksumSHA256"] == made["ChecksumSHA256"]
    assert [one["Key"] for one in s3api("list-objects-v2", "--prefix", "a/")["Contents"]] == ["a/b"]


def test_rclone_syncs_and_checks_a_tree(address: Address, bucket: str, tree: Path, tmp_path: Path) -> None:
    remote = {
        "RCLONE_CONFIG_C_TYPE": "s3",
        "RCLONE_CONFIG_C_PROVIDER": "Other",
        "RCLONE_CONFIG_C_ENDPOINT": address.url,
        "RCLONE_CONFIG_C_ACCESS_KEY_ID": address.access_key,
        "RCLONE_CONFIG_C_SECRET_ACCESS_KEY": address.secret_key,
        "RCLONE_CONFIG_C_CHUNK_SIZE": "5Mi",
        "RCLONE_CA_CERT": address.certificate,
    }
    rclone = require_program("rclone")
    run([rclone, "sync", str(tree), f"c:{bucket}/t"], address, **remote)
    run([rclone, "check", "--download", str(tree), f"c:{bucket}/t"], address, **remote)
    run([rclone, "sync", f"c:{bucket}/t", str(tmp_path)], address, **remote)
    assert differences(tree, tmp_path) == []
    run([rclone, "moveto", f"c:{bucket}/t/one.txt", f"c:{bucket}/t/moved.txt"], address, **remote)
    assert "moved.txt" in run([rclone, "lsf", f"c:{bucket}/t"], address, **remote)


@pytest.mark.parametrize(("scheme", "style"), [("http", "path"), ("https", "virtual")])
def test_s3cmd_puts_a_tree_and_gets_it_back(
    colony: Colony, bucket: str, tree: Path, tmp_path: Path, scheme: str, style: str
) -> None:
    address = address_of(colony, scheme, style)
    settings = tmp_path / "s3cfg"
    bucket_host = f"%(bucket)s.{address.host}" if style == "virtual" else address.host
    settings.write_text(
        f"[default]\naccess_key = {address.access_key}\nsecret_key = {address.secret_key}\n"
        f"host_base = {address.host}\nhost_bucket = {bucket_host}\nuse_https = {scheme == 'https'}\n"
        f"ca_certs_file = {address.certificate}\nmultipart_chunk_size_mb = 5\n"
    )
    site = {"PYTHONPATH": write_site(tmp_path)}
    s3cmd = [require_program("s3cmd"), "-c", str(settings), "--no-progress"]
    run([*s3cmd, "sync", f"{tree}/", f"s3://{bucket}/t/"], address, **site)
    back = tmp_path / "back"
    back.mkdir()
    run([*s3cmd, "sync", f"s3://{bucket}/t/", f"{back}/"], address, **site)
    assert differences(tree, back) == []
    run([*s3cmd, "del", "--recursive", "--force", f"s3://{bucket}/t/"], address, **site)
    assert run([*s3cmd, "ls", "--recursive", f"s3://{bucket}/"], address, **site) == ""


def test_restic_backs_up_checks_and_restores_a_tree(
    address: Address, bucket: str, tree: Path, tmp_path: Path
) -> None:
    program = require_program("restic")
    restic = [
        program,
        "--no-cache",
        "--cacert",
        address.certificate,
        "--repo",
        f"s3:{address.url}/{bucket}/r",
    ]
    password = {"RESTIC_PASSWORD": "a password"}
    run([*restic, "init"], address, **password)
    run([*restic, "backup", str(tree)], address, **password)
    (snapshot,) = json.loads(run([*restic, "snapshots", "--json"], address, **password))
    assert "no errors were found" in run([*restic, "check", "--read-data"], address, **password)
    run([*restic, "restore", snapshot["id"], "--target", str(tmp_path)], address, **password)
    assert differences(tree, tmp_path / tree.relative_to("/")) == []
    run([*restic, "forget", "--keep-last", "1", "--prune"], address, **password)
