"""The `swift` command uploads and downloads trees and large objects, and both APIs see one namespace."""

import filecmp
import os
import subprocess
import sysconfig
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import swiftclient
from botocore.config import Config

from tests.support.colony import Colony
from tests.support.programs import require_program


def _swift(colony: Colony, *arguments: str, cwd: Path) -> str:
    """Return what the swift command prints."""
    environment = {
        **os.environ,
        "ST_AUTH": colony.swift_auth,
        "ST_USER": colony.swift_user,
        "ST_KEY": colony.swift_key,
    }
    done = subprocess.run(
        [require_program("swift"), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _connection(colony: Colony) -> swiftclient.Connection:
    return swiftclient.Connection(colony.swift_auth, colony.swift_user, colony.swift_key, auth_version="1")


def _s3(colony: Colony) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=colony.s3_endpoint,
        aws_access_key_id=colony.access_key,
        aws_secret_access_key=colony.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


@pytest.fixture
def name() -> str:
    """The name of a container that no other test uses; fit for a bucket too."""
    return f"t-{uuid.uuid4().hex}"


@pytest.mark.parametrize("style", ["--use-slo", "--no-use-slo"])
def test_a_large_object_goes_up_in_segments_and_comes_down_whole(
    colony: Colony, tmp_path: Path, name: str, style: str
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(5_000_000))
    flag = [style] if style == "--use-slo" else []
    _swift(colony, "upload", name, "big", "--segment-size", "1000000", *flag, cwd=tmp_path)
    _swift(colony, "download", name, "big", "-o", "back", cwd=tmp_path)
    assert filecmp.cmp(big, tmp_path / "back", shallow=False)
    _swift(colony, "delete", name, "big", cwd=tmp_path)
    assert _swift(colony, "list", f"{name}_segments", cwd=tmp_path) == ""


def test_a_tree_goes_up_and_comes_down_the_same(colony: Colony, tmp_path: Path, name: str) -> None:
    tree = Path(sysconfig.get_paths()["stdlib"]) / "json"
    _swift(colony, "upload", name, str(tree), "--object-name", "tree", cwd=tmp_path)
    _swift(colony, "download", name, "-D", "back", cwd=tmp_path)
    sources = sorted(path.relative_to(tree) for path in tree.rglob("*") if path.is_file())
    assert sources
    for source in sources:
        assert filecmp.cmp(tree / source, tmp_path / "back" / "tree" / source, shallow=False)


def test_both_apis_see_one_namespace(colony: Colony, name: str) -> None:
    s3 = _s3(colony)
    swift = _connection(colony)
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="from s3", Body=b"one", Metadata={"color": "red"}, ContentType="text/x")
    found, body = swift.get_object(name, "from s3")
    assert (body, found["x-object-meta-color"], found["content-type"]) == (b"one", "red", "text/x")
    swift.put_object(
        name, "from swift", b"two", content_type="text/y", headers={"X-Object-Meta-Shape": "round"}
    )
    answer = s3.get_object(Bucket=name, Key="from swift")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"two", "text/y")
    assert answer["Metadata"] == {"shape": "round"}
    assert [row["name"] for row in swift.get_container(name)[1]] == ["from s3", "from swift"]
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=name)["Contents"]] == ["from s3", "from swift"]
    s3.delete_object(Bucket=name, Key="from swift")
    assert [row["name"] for row in swift.get_container(name)[1]] == ["from s3"]
    swift.close()


def test_an_s3_multipart_object_is_plain_to_swift_and_an_slo_is_plain_to_s3(
    colony: Colony, name: str
) -> None:
    s3 = _s3(colony)
    swift = _connection(colony)
    s3.create_bucket(Bucket=name)
    upload = s3.create_multipart_upload(Bucket=name, Key="mpu")["UploadId"]
    pieces = [b"a" * (5 << 20), b"b" * 1000]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=name, Key="mpu", UploadId=upload, PartNumber=number, Body=piece)[
                "ETag"
            ],
        }
        for number, piece in enumerate(pieces, start=1)
    ]
    s3.complete_multipart_upload(Bucket=name, Key="mpu", UploadId=upload, MultipartUpload={"Parts": parts})
    assert swift.get_object(name, "mpu")[1] == b"".join(pieces)
    span = {"Range": f"bytes={(5 << 20) - 2}-{(5 << 20) + 1}"}
    assert swift.get_object(name, "mpu", headers=span)[1] == b"aabb"
    swift.put_object(name, "seg/1", b"one-")
    swift.put_object(name, "seg/2", b"two")
    manifest = f'[{{"path": "/{name}/seg/1"}}, {{"path": "/{name}/seg/2"}}]'
    swift.put_object(name, "slo", manifest, query_string="multipart-manifest=put")
    assert s3.get_object(Bucket=name, Key="slo")["Body"].read() == b"one-two"
    assert s3.head_object(Bucket=name, Key="slo")["ContentLength"] == 7
    swift.close()


def test_an_object_expires(colony: Colony, name: str) -> None:
    swift = _connection(colony)
    swift.put_container(name)
    swift.put_object(name, "o", b"x", headers={"X-Delete-After": "1000"})
    assert int(swift.head_object(name, "o")["x-delete-at"]) > 0
    swift.post_object(name, "o", {})
    assert "x-delete-at" not in swift.head_object(name, "o")
    swift.close()
