"""Multipart objects of as many parts as S3 allows: their parts list has no room in a record."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.cluster_key import read_cluster_key
from kit.settings import load_settings
from model.manifests import UPLOAD
from model.names import ContainerPath, parts_of
from model.objects import Manifest, Part
from proxy.connect import connect_colony
from proxy.main import entrance_of
from proxy.operations.colony import Colony as Operations
from proxy.operations.types import HeldBody, NewObject
from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

PARTS = 10_000
BODIES = [b"%d:" % number + b"x" * number for number in range(7)]


@pytest.fixture(scope="module")
def s3(colony: Colony) -> Any:
    """A client of the first administrator."""
    return client_of(colony)


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """A bucket of the test's own."""
    name = f"b-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    s3.delete_bucket(Bucket=name)


async def _make(colony: Colony, bucket: str) -> bytes:
    """Store an object of PARTS parts as CompleteMultipartUpload does; return its bytes."""
    settings = load_settings(colony.data / "colonnade.toml")
    entrance = entrance_of(settings, read_cluster_key(settings.cluster.key_file), "test")
    operations = await connect_colony(entrance, patience_ms=20_000)
    try:
        account = await operations.bucket_account(bucket)
        assert account is not None
        return await _complete(operations, ContainerPath(account, bucket))
    finally:
        await operations.close()


async def _complete(operations: Operations, path: ContainerPath) -> bytes:
    # The real minimum of 5 MiB a part would make this 50 GB: a few small parts serve many times over.
    stored = [
        await operations.put_object(parts_of(path).object(f"key\0u\0{at:05}"), NewObject(), HeldBody(body))
        for at, body in enumerate(BODIES)
    ]
    parts = []
    for number in range(1, PARTS + 1):
        one = stored[number % len(stored)]
        where = one.path
        parts.append(
            Part(number, where.account, where.container, where.name, one.record.etag, one.record.size)
        )
    whole = b"".join(BODIES[part.number % len(BODIES)] for part in parts)
    new = NewObject(
        etag=f"{'0' * 32}-{PARTS}",
        manifest=Manifest.MULTIPART,
        parts=tuple(parts),
        stated_size=len(whole),
        extra={UPLOAD: "u"},
    )
    await operations.put_object(path.object("key"), new, HeldBody(b""))
    return whole


def test_ten_thousand_parts_are_one_object(colony: Colony, s3: Any, bucket: str) -> None:
    whole = asyncio.run(_make(colony, bucket))
    at = {"Bucket": bucket, "Key": "key"}
    head = s3.head_object(**at)
    assert (head["ContentLength"], head["ETag"]) == (len(whole), f'"{"0" * 32}-{PARTS}"')
    assert s3.head_object(**at, PartNumber=PARTS)["PartsCount"] == PARTS
    assert s3.get_object(**at)["Body"].read() == whole
    for first, last in ((0, 0), (3, 40), (len(whole) // 2, len(whole) // 2 + 999), (len(whole) - 5, 10**9)):
        found = s3.get_object(**at, Range=f"bytes={first}-{last}")
        assert found["Body"].read() == whole[first : last + 1]
    assert s3.get_object(**at, PartNumber=9_998)["Body"].read() == BODIES[9_998 % len(BODIES)]
    shown = s3.get_object_attributes(**at, ObjectAttributes=["ObjectParts"], PartNumberMarker=9_990)
    assert shown["ObjectParts"]["TotalPartsCount"] == PARTS
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(one["Key"], one["Size"]) for one in listed] == [("key", len(whole))]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=at)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == whole
    for key in ("key", "copy"):
        s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError):
        s3.head_object(**at)
