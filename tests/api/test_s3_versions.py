"""boto3 keeps, lists, restores and removes versions in a running colony; Swift sees the current ones."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import swiftclient
from botocore.client import Config
from botocore.exceptions import ClientError

from tests.support.colony import Colony

KEY = "a/key"


@pytest.fixture(scope="module")
def s3(colony: Colony) -> Any:
    """A client of the first administrator."""
    return boto3.client(
        "s3",
        endpoint_url=colony.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=colony.access_key,
        aws_secret_access_key=colony.secret_key,
        config=Config(retries={"max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"}),
    )


def set_versioning(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.fixture(scope="module")
def bucket(s3: Any) -> Iterator[str]:
    """A bucket with versions; a test has keys of its own in it."""
    name = f"versions-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    set_versioning(s3, name, "Enabled")
    yield name
    empty(s3, name)
    s3.delete_bucket(Bucket=name)


def empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            named = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": named})


def put(s3: Any, bucket: str, key: str, body: bytes) -> str:
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])


def body_of(s3: Any, bucket: str, key: str, **named: str) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read())


def refused(call: Any, **arguments: Any) -> tuple[str, int, dict[str, str]]:
    """Return code, status and headers of the error that a call ends with."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    meta = error.value.response["ResponseMetadata"]
    return error.value.response["Error"]["Code"], meta["HTTPStatusCode"], meta["HTTPHeaders"]


def test_every_write_makes_a_version_that_stays_readable(s3: Any, bucket: str) -> None:
    first, second = put(s3, bucket, "w", b"one"), put(s3, bucket, "w", b"two")
    assert first != second
    assert s3.head_object(Bucket=bucket, Key="w")["VersionId"] == second
    assert body_of(s3, bucket, "w") == b"two"
    assert body_of(s3, bucket, "w", VersionId=first) == b"one"
    listed = s3.list_object_versions(Bucket=bucket, Prefix="w")["Versions"]
    assert [(one["VersionId"], one["IsLatest"]) for one in listed] == [(second, True), (first, False)]
    assert listed[0]["ChecksumAlgorithm"] == ["CRC32"]
    assert (listed[0]["StorageClass"], listed[0]["Size"]) == ("STANDARD", 3)


def test_a_delete_marker_hides_the_object_until_it_is_deleted(s3: Any, bucket: str) -> None:
    version = put(s3, bucket, "m", b"kept")
    marked = s3.delete_object(Bucket=bucket, Key="m")
    assert marked["DeleteMarker"] is True
    marker = marked["VersionId"]
    code, status, headers = refused(s3.get_object, Bucket=bucket, Key="m")
    assert (code, status, headers["x-amz-delete-marker"]) == ("NoSuchKey", 404, "true")
    assert headers["x-amz-version-id"] == marker
    code, status, headers = refused(s3.get_object, Bucket=bucket, Key="m", VersionId=marker)
    assert (code, status, headers["x-amz-delete-marker"]) == ("MethodNotAllowed", 405, "true")
    assert headers["allow"] == "DELETE"
    assert "last-modified" in headers
    assert s3.list_objects_v2(Bucket=bucket, Prefix="m")["KeyCount"] == 0
    page = s3.list_object_versions(Bucket=bucket, Prefix="m")
    assert [(one["VersionId"], one["IsLatest"]) for one in page["DeleteMarkers"]] == [(marker, True)]
    assert [(one["VersionId"], one["IsLatest"]) for one in page["Versions"]] == [(version, False)]
    assert body_of(s3, bucket, "m", VersionId=version) == b"kept"
    removed = s3.delete_object(Bucket=bucket, Key="m", VersionId=marker)
    assert (removed["DeleteMarker"], removed["VersionId"]) == (True, marker)
    assert body_of(s3, bucket, "m") == b"kept"


def test_removing_the_current_version_shows_the_one_before(s3: Any, bucket: str) -> None:
    first, second = put(s3, bucket, "r", b"one"), put(s3, bucket, "r", b"two")
    removed = s3.delete_object(Bucket=bucket, Key="r", VersionId=second)
    assert removed["VersionId"] == second
    assert "DeleteMarker" not in removed
    assert s3.head_object(Bucket=bucket, Key="r")["VersionId"] == first
    assert refused(s3.head_object, Bucket=bucket, Key="r", VersionId=second)[1] == 404
    assert refused(s3.get_object, Bucket=bucket, Key="r", VersionId=second)[0] == "NoSuchVersion"
    assert refused(s3.get_object, Bucket=bucket, Key="r", VersionId="nonsense")[0] == "InvalidArgument"
    # To remove it once more succeeds, as every deletion of what is not there.
    assert s3.delete_object(Bucket=bucket, Key="r", VersionId=second)["VersionId"] == second


def test_batches_delete_versions_and_make_markers(s3: Any, bucket: str) -> None:
    version = put(s3, bucket, "b1", b"x")
    put(s3, bucket, "b2", b"x")
    wanted = [{"Key": "b1", "VersionId": version}, {"Key": "b2"}, {"Key": "b3", "VersionId": "nonsense"}]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    by_key = {one["Key"]: one for one in done["Deleted"]}
    assert by_key["b1"] == {"Key": "b1", "VersionId": version}
    assert by_key["b2"]["DeleteMarker"] is True
    assert [one["Code"] for one in done["Errors"]] == ["NoSuchVersion"]
    marker = by_key["b2"]["DeleteMarkerVersionId"]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b2", "VersionId": marker}]})
    (removed,) = done["Deleted"]
    assert (removed["DeleteMarker"], removed["DeleteMarkerVersionId"]) == (True, marker)
    assert body_of(s3, bucket, "b2") == b"x"


def test_tags_and_acls_belong_to_a_version(s3: Any, bucket: str) -> None:
    first, second = put(s3, bucket, "t", b"one"), put(s3, bucket, "t", b"two")
    tags = [{"Key": "of", "Value": "first"}]
    done = s3.put_object_tagging(Bucket=bucket, Key="t", VersionId=first, Tagging={"TagSet": tags})
    assert done["VersionId"] == first
    assert s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"] == []
    found = s3.get_object_tagging(Bucket=bucket, Key="t", VersionId=first)
    assert (found["TagSet"], found["VersionId"]) == (tags, first)
    s3.put_object_acl(Bucket=bucket, Key="t", VersionId=first, ACL="public-read")
    assert len(s3.get_object_acl(Bucket=bucket, Key="t", VersionId=first)["Grants"]) == 2
    assert len(s3.get_object_acl(Bucket=bucket, Key="t", VersionId=second)["Grants"]) == 1
    found = s3.get_object_attributes(
        Bucket=bucket, Key="t", VersionId=first, ObjectAttributes=["ObjectSize", "ETag"]
    )
    assert (found["VersionId"], found["ObjectSize"]) == (first, 3)


def test_an_old_version_is_copied_and_so_restored(s3: Any, bucket: str) -> None:
    first = put(s3, bucket, "c", b"one")
    put(s3, bucket, "c", b"two")
    source = {"Bucket": bucket, "Key": "c", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="c", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert s3.head_object(Bucket=bucket, Key="c")["VersionId"] == copied["VersionId"]
    assert body_of(s3, bucket, "c") == b"one"
    marker = s3.delete_object(Bucket=bucket, Key="c")["VersionId"]
    by_marker = {"Bucket": bucket, "Key": "c", "VersionId": marker}
    assert refused(s3.copy_object, Bucket=bucket, Key="d", CopySource=by_marker)[0] == "InvalidRequest"
    assert refused(s3.copy_object, Bucket=bucket, Key="d", CopySource=f"{bucket}/c")[0] == "NoSuchKey"


def test_a_multipart_upload_makes_a_version_whose_parts_stay(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="p", UploadId=upload, PartNumber=1, Body=b"part")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="p", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    put(s3, bucket, "p", b"later")
    assert body_of(s3, bucket, "p", VersionId=done["VersionId"]) == b"part"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p2")["UploadId"]
    source = {"Bucket": bucket, "Key": "p", "VersionId": done["VersionId"]}
    copied = s3.upload_part_copy(Bucket=bucket, Key="p2", UploadId=upload, PartNumber=1, CopySource=source)
    assert copied["CopySourceVersionId"] == done["VersionId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="p2", UploadId=upload)


def test_versions_are_listed_page_by_page_in_order(s3: Any, bucket: str) -> None:
    wanted = []
    for key in ("l/1", "l/2/x", "l/2/y", "l/3"):
        wanted += [(key, put(s3, bucket, key, b"%d" % at)) for at in range(3)][::-1]
    seen = []
    for page in s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix="l/", PaginationConfig={"PageSize": 2}
    ):
        seen += [(one["Key"], one["VersionId"]) for one in page["Versions"]]
    assert seen == wanted
    rolled = s3.list_object_versions(Bucket=bucket, Prefix="l/", Delimiter="/", MaxKeys=4)
    assert [one["Key"] for one in rolled["Versions"]] == ["l/1"] * 3
    assert rolled["CommonPrefixes"] == [{"Prefix": "l/2/"}]
    assert (rolled["IsTruncated"], rolled["NextKeyMarker"]) == (True, "l/2/")
    rest = s3.list_object_versions(
        Bucket=bucket, Prefix="l/", Delimiter="/", KeyMarker=rolled["NextKeyMarker"]
    )
    assert [one["Key"] for one in rest["Versions"]] == ["l/3"] * 3
    assert "CommonPrefixes" not in rest


def test_while_suspended_writes_replace_the_null_version(s3: Any) -> None:
    bucket = f"suspended-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key=KEY, Body=b"before")
    set_versioning(s3, bucket, "Enabled")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.head_object(Bucket=bucket, Key=KEY)["VersionId"] == "null"
    version = put(s3, bucket, KEY, b"versioned")
    assert body_of(s3, bucket, KEY, VersionId="null") == b"before"
    set_versioning(s3, bucket, "Suspended")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
    for body in (b"one", b"two"):
        assert "VersionId" not in s3.put_object(Bucket=bucket, Key=KEY, Body=body)
    assert s3.head_object(Bucket=bucket, Key=KEY)["VersionId"] == "null"
    assert body_of(s3, bucket, KEY) == b"two"
    assert body_of(s3, bucket, KEY, VersionId=version) == b"versioned"
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [one["VersionId"] for one in listed] == ["null", version]
    marked = s3.delete_object(Bucket=bucket, Key=KEY)
    assert (marked["DeleteMarker"], marked["VersionId"]) == (True, "null")
    assert refused(s3.head_object, Bucket=bucket, Key=KEY)[1] == 404
    s3.delete_object(Bucket=bucket, Key=KEY, VersionId="null")
    assert body_of(s3, bucket, KEY) == b"versioned"
    # Neither versions nor markers are left behind by whoever deletes the bucket.
    s3.delete_object(Bucket=bucket, Key=KEY)
    assert refused(s3.delete_bucket, Bucket=bucket)[0] == "BucketNotEmpty"
    empty(s3, bucket)
    s3.delete_bucket(Bucket=bucket)


def test_what_versioning_cannot_be_is_refused(s3: Any, bucket: str) -> None:
    def ask(**configuration: str) -> str:
        return refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=configuration)[0]

    assert ask(Status="Off") == "MalformedXML"
    assert ask(MFADelete="Enabled", Status="Enabled") == "NotImplemented"
    assert ask() == "IllegalVersioningConfigurationException"


def test_swift_sees_the_current_version_and_deletes_by_a_marker(s3: Any, bucket: str, colony: Colony) -> None:
    swift = swiftclient.Connection(
        colony.swift_auth, colony.swift_user, colony.swift_key, retries=0, auth_version="1"
    )
    put(s3, bucket, "s", b"one")
    swift.put_object(bucket, "s", b"two")
    assert swift.get_object(bucket, "s")[1] == b"two"
    assert [one["name"] for one in swift.get_container(bucket, prefix="s")[1]] == ["s"]
    swift.delete_object(bucket, "s")
    page = s3.list_object_versions(Bucket=bucket, Prefix="s")
    assert (len(page["Versions"]), len(page["DeleteMarkers"])) == (2, 1)
    with pytest.raises(Exception, match="404"):
        swift.delete_object(bucket, "s")
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="s")["DeleteMarkers"]) == 1
