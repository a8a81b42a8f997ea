"""boto3 where test_s3_objects.py stops: refusals and their codes, listings of odd keys, files in parts."""

import datetime as dt
import hashlib
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony
from tests.support.streams import GeneratedBody

MIB = 1 << 20
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
ODD_KEYS = (
    "a",
    "a//b",
    "a/./b",
    "a/../b",
    "a b",
    "a+b",
    "a%2Fb",
    "A",
    "é",
    "e\u0301",
    "日本",
    "💾",
    "~",
    "z" * 1024,
)


@pytest.fixture(scope="module")
def s3(colony: Colony) -> Any:
    """A client of the first administrator."""
    return client_of(colony, signature_version="s3v4")


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """A bucket of the test's own, emptied a thousand keys at a time."""
    name = f"c-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
        if keys:
            s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    s3.delete_bucket(Bucket=name)


def refusal(act: Callable[..., object], **arguments: object) -> tuple[int, str]:
    """Return status and code of a request that must fail."""
    with pytest.raises(ClientError) as refused:
        act(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_a_file_of_thirty_mib_goes_up_in_parts_with_its_metadata(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    body = GeneratedBody(30 * MIB)
    (tmp_path / "sent").write_bytes(b"".join(body.pieces()))
    s3.upload_file(str(tmp_path / "sent"), bucket, "k", ExtraArgs={"Metadata": {"author": "me"}})
    found = s3.head_object(Bucket=bucket, Key="k")
    assert (found["ContentLength"], found["Metadata"]) == (body.size, {"author": "me"})
    assert found["ETag"].endswith('-4"')
    s3.download_file(bucket, "k", str(tmp_path / "received"))
    assert (tmp_path / "received").read_bytes() == (tmp_path / "sent").read_bytes()


def test_odd_keys_are_listed_in_the_order_of_their_bytes(s3: Any, bucket: str) -> None:
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    expected = sorted(ODD_KEYS, key=str.encode)
    for name in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
        assert [item["Key"] for page in pages for item in page["Contents"]] == expected
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="a/./b")
    assert [item["Key"] for item in after["Contents"]] == expected[expected.index("a/./b") + 1 :]
    rolled = s3.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert [item["Prefix"] for item in rolled["CommonPrefixes"]] == ["a/../", "a/./", "a//"]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ODD_KEYS]})
    assert {item["Key"] for item in gone["Deleted"]} == set(ODD_KEYS)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_times_and_etags_condition_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, named = modified - dt.timedelta(hours=1), {"Bucket": bucket, "Key": "k"}
    assert s3.get_object(**named, IfModifiedSince=before)["Body"].read() == b"1"
    assert refusal(s3.get_object, **named, IfModifiedSince=modified)[0] == 304
    assert refusal(s3.get_object, **named, IfUnmodifiedSince=before) == (412, "PreconditionFailed")
    assert s3.get_object(**named, IfMatch=etag, IfUnmodifiedSince=before)["Body"].read() == b"1"
    assert refusal(s3.head_object, **named, IfMatch='"other"')[0] == 412
    copied = {"Bucket": bucket, "Key": "copy", "CopySource": named}
    assert refusal(s3.copy_object, **copied, CopySourceIfNoneMatch=etag)[0] == 412
    s3.copy_object(**copied, CopySourceIfMatch=etag)
    assert refusal(s3.put_object, **named, Body=b"2", IfMatch='"other"') == (412, "PreconditionFailed")
    assert refusal(s3.put_object, Bucket=bucket, Key="none", Body=b"", IfMatch=etag) == (404, "NoSuchKey")


def test_ranges_beyond_the_end_are_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    named = {"Bucket": bucket, "Key": "k"}
    found = s3.get_object(**named, Range="bytes=7-100")
    assert (found["Body"].read(), found["ContentRange"]) == (b"789", "bytes 7-9/10")
    assert refusal(s3.get_object, **named, Range="bytes=10-") == (416, "InvalidRange")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_stores_nothing(s3: Any, bucket: str, algorithm: str) -> None:
    right = s3.put_object(Bucket=bucket, Key="k", Body=b"right", ChecksumAlgorithm=algorithm)
    wrong = {f"Checksum{algorithm}": right[f"Checksum{algorithm}"]}
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"wrong", **wrong) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"right"


def test_parts_are_copied_and_judged(s3: Any, bucket: str) -> None:
    body = GeneratedBody(6 * MIB)
    s3.put_object(Bucket=bucket, Key="a b+%", Body=b"".join(body.pieces()))
    named = {"Bucket": bucket, "Key": "k"}
    named["UploadId"] = s3.create_multipart_upload(**named)["UploadId"]
    first = s3.upload_part_copy(
        **named,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "a b+%"},
        CopySourceRange=f"bytes=0-{5 * MIB - 1}",
    )["CopyPartResult"]["ETag"]
    assert first == f'"{hashlib.md5(body.slice(0, 5 * MIB)).hexdigest()}"'
    second = s3.upload_part(**named, PartNumber=2, Body=b"end")["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]

    def complete(*listed: dict[str, object]) -> tuple[int, str]:
        return refusal(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": list(listed)})

    assert complete(parts[1], parts[0]) == (400, "InvalidPartOrder")
    assert complete(parts[0], {"PartNumber": 2, "ETag": first}) == (400, "InvalidPart")
    third = {"PartNumber": 3, "ETag": s3.upload_part(**named, PartNumber=3, Body=b"x")["ETag"]}
    assert complete(*parts, third) == (400, "EntityTooSmall")
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body.slice(0, 5 * MIB) + b"end"


def test_presigned_addresses_end_and_say_how_to_answer(s3: Any, bucket: str) -> None:
    named = {"Bucket": bucket, "Key": "a b/ü+%.txt"}
    put = s3.generate_presigned_url("put_object", Params={**named, "ContentType": "text/x"})
    request = urllib.request.Request(put, data=b"body", method="PUT", headers={"Content-Type": "text/x"})
    urllib.request.urlopen(request).close()
    shown = {"ResponseContentDisposition": 'attachment; filename="x"', "ResponseCacheControl": "no-store"}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={**named, **shown})) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"body", "text/x")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="x"'
        assert answer.headers["Cache-Control"] == "no-store"
    for method, url in (("PUT", s3.generate_presigned_url("get_object", Params=named)), ("GET", put)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, method=method))
        assert (refused.value.code, b"SignatureDoesNotMatch" in refused.value.read()) == (403, True)


def test_what_is_not_there_is_named(s3: Any, bucket: str) -> None:
    absent = f"absent-{uuid.uuid4().hex}"
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert refusal(s3.head_object, Bucket=bucket, Key="k")[0] == 404
    assert refusal(s3.list_objects_v2, Bucket=absent) == (404, "NoSuchBucket")
    assert refusal(s3.put_object, Bucket=absent, Key="k", Body=b"") == (404, "NoSuchBucket")
    assert refusal(s3.head_bucket, Bucket=absent)[0] == 404
    upload = {"Bucket": bucket, "Key": "k", "UploadId": "none"}
    assert refusal(s3.upload_part, **upload, PartNumber=1, Body=b"") == (404, "NoSuchUpload")
    assert refusal(s3.create_bucket, Bucket="Bad_Name") == (400, "InvalidBucketName")
    assert refusal(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == (400, "KeyTooLongError")
    many = [{"Key": str(number)} for number in range(1001)]
    assert refusal(s3.delete_objects, Bucket=bucket, Delete={"Objects": many}) == (400, "MalformedXML")
    s3.delete_object(Bucket=bucket, Key="k")
