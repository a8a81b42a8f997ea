"""boto3 locks versions, meets the locks of a bucket through both APIs, and is told what rules will end."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import swiftclient
from botocore.exceptions import ClientError

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def s3(colony: Colony) -> Any:
    """A client of the first administrator."""
    return client_of(colony)


@pytest.fixture(scope="module")
def locked(s3: Any) -> str:
    """A bucket with object lock and no default; a test has keys of its own in it, and some stay for good."""
    name = f"locked-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            named = {"Bucket": bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
            if one in page.get("Versions", []):
                s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
            s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=bucket)


def later(days: float) -> dt.datetime:
    return (dt.datetime.now(dt.UTC) + days * DAY).replace(microsecond=0)


def refusal(act: Callable[..., object], **arguments: object) -> tuple[int, str]:
    """Return status and code of a request that must fail."""
    with pytest.raises(ClientError) as refused:
        act(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_a_locked_version_outlives_every_deletion_but_one_that_bypasses(s3: Any, locked: str) -> None:
    key = {"Bucket": locked, "Key": "governed"}
    until = later(1)
    made = s3.put_object(**key, Body=b"kept", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    version = {"VersionId": made["VersionId"]}
    head = s3.head_object(**key)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert refusal(s3.delete_object, **key, **version) == (403, "AccessDenied")
    objects = [{"Key": "governed", **version}, {"Key": "absent"}]
    told = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert [(one["Key"], one["Code"]) for one in told["Errors"]] == [("governed", "AccessDenied")]
    assert [one["Key"] for one in told["Deleted"]] == ["absent"]
    marker = s3.delete_object(**key)
    assert marker["DeleteMarker"]
    s3.delete_object(**key, VersionId=marker["VersionId"])
    assert s3.get_object(**key)["Body"].read() == b"kept"
    s3.delete_object(**key, **version, BypassGovernanceRetention=True)
    assert refusal(s3.head_object, **key)[0] == 404


def test_compliance_is_bypassed_by_nobody(s3: Any, locked: str) -> None:
    key = {"Bucket": locked, "Key": "compliant"}
    until = later(1)
    made = s3.put_object(**key, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    version = {"VersionId": made["VersionId"]}
    bypass = {"BypassGovernanceRetention": True}
    assert refusal(s3.delete_object, **key, **version, **bypass) == (403, "AccessDenied")
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": until - dt.timedelta(hours=2)}
    assert refusal(s3.put_object_retention, **key, **bypass, Retention=shorter) == (403, "AccessDenied")


def test_a_legal_hold_holds_until_it_is_taken_off(s3: Any, locked: str) -> None:
    key = {"Bucket": locked, "Key": "held"}
    upload = s3.create_multipart_upload(**key, ObjectLockLegalHoldStatus="ON")
    named = {**key, "UploadId": upload["UploadId"]}
    etag = s3.upload_part(**named, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    version = s3.complete_multipart_upload(**named, MultipartUpload=parts)["VersionId"]
    bypass = {"BypassGovernanceRetention": True}
    assert refusal(s3.delete_object, **key, VersionId=version, **bypass) == (403, "AccessDenied")
    s3.put_object_legal_hold(**key, LegalHold={"Status": "OFF"})
    s3.delete_object(**key, VersionId=version)


def test_a_default_locks_what_either_api_writes(s3: Any, colony: Colony) -> None:
    bucket = f"default-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    arguments = {"Bucket": bucket, "ObjectLockConfiguration": configuration}
    assert refusal(s3.put_object_lock_configuration, **arguments) == (409, "InvalidBucketState")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**arguments)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration
    s3.put_object(Bucket=bucket, Key="s3", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/s3")
    url, token = swiftclient.get_auth(colony.swift_auth, colony.swift_user, colony.swift_key)
    swiftclient.put_object(url, token, bucket, "swift", b"x")
    for key in ("s3", "copy", "swift"):
        until = s3.get_object_retention(Bucket=bucket, Key=key)["Retention"]["RetainUntilDate"]
        assert abs(until - later(2)) < dt.timedelta(minutes=2)
    suspended = {"Status": "Suspended"}
    arguments = {"Bucket": bucket, "VersioningConfiguration": suspended}
    assert refusal(s3.put_bucket_versioning, **arguments) == (409, "InvalidBucketState")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    empty(s3, bucket)


def test_the_metadata_of_a_locked_version_is_changed_through_neither_api(
    s3: Any, locked: str, colony: Colony
) -> None:
    held = s3.put_object(
        Bucket=locked, Key="metadata", Body=b"own", Metadata={"a": "1"}, ObjectLockLegalHoldStatus="ON"
    )
    named = {"Bucket": locked, "Key": "metadata", "VersionId": held["VersionId"]}
    swift = swiftclient.Connection(colony.swift_auth, colony.swift_user, colony.swift_key)
    posted = {"X-Object-Meta-A": "2", "Content-Type": "text/html", "X-Object-Manifest": f"{locked}/other"}
    with pytest.raises(swiftclient.ClientException) as refused:
        swift.post_object(locked, "metadata", posted)
    assert refused.value.http_status == 403
    assert s3.head_object(**named)["Metadata"] == {"a": "1"}
    assert swift.get_object(locked, "metadata")[1] == b"own"
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    swift.post_object(locked, "metadata", {"X-Object-Meta-A": "2"})
    assert s3.head_object(**named)["Metadata"] == {"a": "2"}


def test_what_rules_will_end_is_told_on_the_way(s3: Any, locked: str) -> None:
    filters = {"Filter": {"Prefix": "logs/"}, "Status": "Enabled"}
    rules = [
        {"ID": "a rule", "Expiration": {"Days": 3}, **filters},
        {"ID": "abort", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 5}, **filters},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=locked, LifecycleConfiguration={"Rules": rules})
    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    expires = (midnight + 4 * DAY).strftime("%a, %d %b %Y 00:00:00 GMT")
    key = {"Bucket": locked, "Key": "logs/1"}
    told = [s3.put_object(**key), s3.head_object(**key), s3.get_object(**key)]
    assert {one["Expiration"] for one in told} == {f'expiry-date="{expires}", rule-id="a%20rule"'}
    upload = s3.create_multipart_upload(**key)
    listed = s3.list_parts(**key, UploadId=upload["UploadId"])
    for one in (upload, listed):
        assert (one["AbortDate"], one["AbortRuleId"]) == (midnight + 6 * DAY, "abort")
    s3.abort_multipart_upload(**key, UploadId=upload["UploadId"])
    assert "Expiration" not in s3.put_object(Bucket=locked, Key="other")
    assert "Expiration" not in s3.head_object(Bucket=locked, Key="other")
    s3.delete_bucket_lifecycle(Bucket=locked)
