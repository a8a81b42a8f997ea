"""boto3 stores, reads, lists, copies and deletes in a running colony."""

import hashlib
import io
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from tests.support.colony import Colony

BODY = b"0123456789" * 1000
MIB = 1 << 20


def client_of(colony: Colony, access_key: str = "", secret_key: str = "", **config: Any) -> Any:
    """A client of the first administrator, or of the key given."""
    return boto3.client(
        "s3",
        endpoint_url=colony.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key or colony.access_key,
        aws_secret_access_key=secret_key or colony.secret_key,
        config=Config(
            retries={"max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"}, **config
        ),
    )


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
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    for page in pages:
        if page.get("Contents"):
            s3.delete_objects(
                Bucket=name, Delete={"Objects": [{"Key": one["Key"]} for one in page["Contents"]]}
            )
    s3.delete_bucket(Bucket=name)


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_an_object_comes_back_as_it_was_put(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="a/ü b+%", Body=BODY, Metadata={"k": "v"}, ContentType="text/x")
    assert put["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    found = s3.get_object(Bucket=bucket, Key="a/ü b+%")
    assert found["Body"].read() == BODY
    assert (found["Metadata"], found["ContentType"]) == ({"k": "v"}, "text/x")
    assert s3.head_object(Bucket=bucket, Key="a/ü b+%")["ContentLength"] == len(BODY)


@pytest.mark.parametrize(
    "key", ["a//b", "./x", "../x", " lead", "trail ", "+", "%41", "💾", "k" * 1024, "~!'()*"]
)
def test_odd_keys_are_plain_keys(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == key.encode()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_verified_stored_and_returned(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == BODY
    assert found[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize"])
    assert attributes["Checksum"][f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert attributes["ObjectSize"] == len(BODY)


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 7])
def test_any_size_reads_back_whole_and_by_range(s3: Any, bucket: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    if size > 10:
        found = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes=5-{size - 5}")
        assert found["Body"].read() == body[5 : size - 4]
        assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-3")["Body"].read() == body[-3:]


def test_a_write_is_read_and_listed_at_once(s3: Any, bucket: str) -> None:
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=b"%d" % number)
        assert s3.get_object(Bucket=bucket, Key=f"k{number:02}")["Body"].read() == b"%d" % number
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == number + 1
    s3.put_object(Bucket=bucket, Key="k00", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="k00")["Body"].read() == b"new"
    s3.delete_object(Bucket=bucket, Key="k00")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="k00")
    assert code_of(refused) == "NoSuchKey"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 19


def test_listings_roll_up_and_page(s3: Any, bucket: str) -> None:
    keys = [f"{folder}/{number}" for folder in "abc" for number in range(4)] + ["z"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for name in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": 5}))
        assert [one["Key"] for page in pages for one in page["Contents"]] == keys
        assert len(pages) == 3
        rolled = list(
            s3.get_paginator(name).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        )
        assert [one["Prefix"] for page in rolled for one in page.get("CommonPrefixes", [])] == [
            "a/",
            "b/",
            "c/",
        ]
        assert [one["Key"] for page in rolled for one in page.get("Contents", [])] == ["z"]
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == len(keys)


def test_conditions_are_kept(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(refused) == "PreconditionFailed"
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"2"


def test_a_copy_keeps_or_replaces_metadata(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"a": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}
    )
    assert s3.head_object(Bucket=bucket, Key="kept")["Metadata"] == {"a": "1"}
    assert s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"b": "2"}
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "t", "Value": "1"}]
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    assert code_of(refused) == "InvalidRequest"


def test_a_thousand_keys_go_in_one_batch(s3: Any, bucket: str) -> None:
    for number in range(30):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    names = [{"Key": f"k{number}"} for number in range(1000)]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": names})
    assert len(done["Deleted"]) == 1000
    assert "Errors" not in done
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_parts_become_one_object(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    bodies = [b"a" * (5 * MIB), b"b" * (5 * MIB), b"c"]
    parts = []
    for number, body in enumerate(bodies, 1):
        put = s3.upload_part(**named, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": put["ETag"], "ChecksumCRC32": put["ChecksumCRC32"]})
    assert [one["Size"] for one in s3.list_parts(**named)["Parts"]] == [len(body) for body in bodies]
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(bodies)
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=3)
    assert (part["Body"].read(), part["PartsCount"]) == (b"c", 3)
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert across["Body"].read() == b"aabb"


def test_the_transfer_manager_uploads_downloads_and_copies(s3: Any, bucket: str) -> None:
    body = hashlib.sha256(b"seed").digest() * (20 * MIB // 32)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big")
    received = io.BytesIO()
    s3.download_fileobj(bucket, "big", received)
    assert received.getvalue() == body
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copied")
    assert s3.head_object(Bucket=bucket, Key="copied")["ContentLength"] == len(body)


def test_an_aborted_upload_leaves_nothing(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with pytest.raises(ClientError) as refused:
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert code_of(refused) == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_presigned_urls_need_no_credentials(colony: Colony, bucket: str) -> None:
    s3 = client_of(colony, signature_version="s3v4")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k é"})
    urllib.request.urlopen(urllib.request.Request(put, data=BODY, method="PUT")).close()
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k é"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == BODY
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(get.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    assert refused.value.code == 403


def test_wrong_credentials_are_refused_by_name(colony: Colony, bucket: str) -> None:
    for key, secret, code in (("nobody", "x", "InvalidAccessKeyId"), ("", "wrong", "SignatureDoesNotMatch")):
        with pytest.raises(ClientError) as refused:
            client_of(colony, key, secret).list_objects_v2(Bucket=bucket)
        assert code_of(refused) == code


def test_buckets_answer_for_what_they_do_not_have(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    for name, code in (
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_tagging", "NoSuchTagSet"),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(s3, name)(Bucket=bucket)
        assert code_of(refused) == code


def test_a_bucket_with_objects_stays(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError) as refused:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(refused) == "BucketNotEmpty"


def test_clients_at_once_each_read_what_they_wrote(colony: Colony, bucket: str) -> None:
    s3 = client_of(colony, max_pool_connections=8)
    wrong: list[str] = []

    def work(name: str) -> None:
        for number in range(20):
            body = f"{name}-{number}".encode() * 500
            s3.put_object(Bucket=bucket, Key=name, Body=body)
            if s3.get_object(Bucket=bucket, Key=name)["Body"].read() != body:
                wrong.append(f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_delete_marker_does_not_meet_a_condition_on_what_it_hides(s3: Any) -> None:
    bucket = f"m-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch='"other"')
    assert s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)["DeleteMarker"]
    for condition in ({"IfMatch": etag}, {"IfMatchSize": 1}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.delete_object(Bucket=bucket, Key="k", **condition)
    assert s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")["DeleteMarker"]
    listed = s3.list_object_versions(Bucket=bucket)
    for one in [*listed["Versions"], *listed["DeleteMarkers"]]:
        s3.delete_object(Bucket=bucket, Key="k", VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=bucket)
