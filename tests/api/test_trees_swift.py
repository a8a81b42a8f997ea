"""A real tree of files goes there and back through Swift, by `swift` and by rclone, byte for byte."""

import json
import uuid
from pathlib import Path

import pytest

from tests.support.colony import Colony
from tests.support.trees import (
    build_tree,
    differences,
    digests_of,
    files_wanted,
    rclone_environment,
    run_client,
    swift_environment,
)

SEGMENT_BYTES = 256 * 1024

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of as many files as were asked for."""
    root = tmp_path_factory.mktemp("tree")
    build_tree(root, files_wanted())
    return root


@pytest.fixture(scope="module")
def smaller_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of a fifth of the files."""
    root = tmp_path_factory.mktemp("smaller")
    build_tree(root, files_wanted() // 5)
    return root


def _there_and_back(colony: Colony, tree: Path, back: Path, *options: str) -> None:
    """Upload in segments, download, compare, and see that some files were indeed segmented."""
    container, swift = f"swift-{uuid.uuid4().hex}", swift_environment(colony)
    upload = ["--quiet", "upload", container, ".", "--segment-size", str(SEGMENT_BYTES), *options]
    run_client("swift", upload, environment=swift, cwd=tree)
    run_client("swift", ["--quiet", "download", container, "--output-dir", str(back)], environment=swift)
    sent = digests_of(tree)
    assert differences(sent, digests_of(back)) == []
    rows = json.loads(run_client("swift", ["list", f"{container}_segments", "--json"], environment=swift))
    large = [size for name in sent if (size := (tree / name).stat().st_size) > SEGMENT_BYTES]
    assert len(rows) == sum(-(-size // SEGMENT_BYTES) for size in large) > len(large) > 1


def test_swift_carries_a_real_tree_with_static_large_objects(
    colony: Colony, tree: Path, tmp_path: Path
) -> None:
    _there_and_back(colony, tree, tmp_path, "--use-slo")


def test_swift_carries_a_tree_with_dynamic_large_objects(
    colony: Colony, smaller_tree: Path, tmp_path: Path
) -> None:
    _there_and_back(colony, smaller_tree, tmp_path)


def test_rclone_syncs_and_checks_a_real_tree_through_swift(
    colony: Colony, tree: Path, tmp_path: Path
) -> None:
    remote, rclone = f"swift:rclone-{uuid.uuid4().hex}/t", rclone_environment(colony)
    run_client("rclone", ["sync", "--quiet", str(tree), remote], environment=rclone)
    run_client("rclone", ["check", "--quiet", str(tree), remote], environment=rclone)
    run_client("rclone", ["sync", "--quiet", remote, str(tmp_path)], environment=rclone)
    assert differences(digests_of(tree), digests_of(tmp_path)) == []
