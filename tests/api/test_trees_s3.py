"""A real tree of files goes there and back through S3, by aws-cli and by rclone, byte for byte."""

import json
import uuid
from pathlib import Path

import pytest

from tests.support.colony import Colony
from tests.support.trees import (
    aws_environment,
    build_tree,
    differences,
    digests_of,
    files_wanted,
    rclone_environment,
    run_client,
)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of as many files as were asked for."""
    root = tmp_path_factory.mktemp("tree")
    build_tree(root, files_wanted())
    return root


def test_aws_cli_syncs_a_real_tree_there_and_back(colony: Colony, tree: Path, tmp_path: Path) -> None:
    bucket, aws = f"aws-{uuid.uuid4().hex}", aws_environment(colony)
    quiet = ("--no-progress", "--only-show-errors")
    run_client("aws", ["s3", "mb", f"s3://{bucket}"], environment=aws)
    run_client("aws", ["s3", "sync", *quiet, str(tree), f"s3://{bucket}/t"], environment=aws)
    run_client("aws", ["s3", "sync", *quiet, f"s3://{bucket}/t", str(tmp_path)], environment=aws)
    sent = digests_of(tree)
    assert len(sent) == files_wanted()
    assert differences(sent, digests_of(tmp_path)) == []
    listed = json.loads(
        run_client("aws", ["s3api", "list-objects-v2", "--bucket", bucket, "--prefix", "t/"], environment=aws)
    )
    assert {item["Key"]: item["Size"] for item in listed["Contents"]} == {
        f"t/{name}": (tree / name).stat().st_size for name in sent
    }


def test_rclone_syncs_and_checks_a_real_tree_through_s3(colony: Colony, tree: Path, tmp_path: Path) -> None:
    remote, rclone = f"s3:rclone-{uuid.uuid4().hex}/t", rclone_environment(colony)
    run_client("rclone", ["sync", "--quiet", str(tree), remote], environment=rclone)
    run_client("rclone", ["check", "--quiet", str(tree), remote], environment=rclone)
    run_client("rclone", ["sync", "--quiet", remote, str(tmp_path)], environment=rclone)
    assert differences(digests_of(tree), digests_of(tmp_path)) == []
