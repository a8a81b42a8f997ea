"""Clients that sign by version 2 are served: boto3 presigns so unless it is told otherwise."""

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony


@pytest.fixture(scope="module")
def default(colony: Colony) -> Any:
    """A client with boto3's own configuration."""
    return boto3.client(
        "s3",
        endpoint_url=colony.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=colony.access_key,
        aws_secret_access_key=colony.secret_key,
    )


@pytest.fixture
def bucket(default: Any) -> Iterator[str]:
    """A bucket of the test's own, with one key."""
    name = f"b-{uuid.uuid4().hex}"
    default.create_bucket(Bucket=name)
    yield name
    default.delete_object(Bucket=name, Key="a key/é+&=%")
    default.delete_bucket(Bucket=name)


def fetch(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_urls_that_boto3_presigns_by_default_work(default: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "a key/é+&=%"}
    put = default.generate_presigned_url(
        "put_object", Params={**at, "ContentType": "text/x", "Metadata": {"colour": "blue"}}
    )
    assert "AWSAccessKeyId=" in put
    status, _, said = fetch(put, "PUT", b"bytes", **{"Content-Type": "text/x"})
    assert status == 200, said
    get = default.generate_presigned_url("get_object", Params={**at, "ResponseContentType": "text/y; a=b"})
    status, headers, body = fetch(get)
    assert (status, body, headers["Content-Type"]) == (200, b"bytes", "text/y; a=b")
    assert headers["x-amz-meta-colour"] == "blue"
    listing = default.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket, "Prefix": "a "})
    assert b"<KeyCount>1</KeyCount>" in fetch(listing)[2]
    assert fetch(get, "DELETE")[0] == 403
    expired = default.generate_presigned_url("get_object", Params=at, ExpiresIn=-10)
    status, _, said = fetch(expired)
    assert (status, b"<Code>AccessDenied</Code>" in said) == (403, True)


def test_a_client_of_version_2_does_its_whole_work(colony: Colony, bucket: str) -> None:
    s3 = client_of(colony, signature_version="s3")
    at = {"Bucket": bucket, "Key": "a key/é+&=%"}
    upload = s3.create_multipart_upload(**at, Metadata={"b": "2", "a": "1"})["UploadId"]
    etag = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(**at)["Body"].read() == b"part"
    s3.put_object(**at, Body=b"whole", ContentType="text/x")
    assert s3.get_object(**at, ResponseContentLanguage="de en")["ContentLanguage"] == "de en"
    s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert s3.get_object_tagging(**at)["TagSet"] == [{"Key": "k", "Value": "v"}]
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [at["Key"]]
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    wrong = client_of(colony, secret_key="wrong", signature_version="s3")
    with pytest.raises(wrong.exceptions.ClientError, match="SignatureDoesNotMatch"):
        wrong.list_buckets()
