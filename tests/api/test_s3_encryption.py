"""boto3 encrypts by every mode, reads whole, by range and by part, copies between modes, and re-encrypts."""

import base64
import hashlib
import io
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.api.test_s3_objects import client_of, code_of
from tests.support.colony import Colony

MIB = 1 << 20
KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
OTHER_CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER_KEY}
FROM_CUSTOMER = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
OWN = {"ServerSideEncryption": "AES256"}
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "testkey-1"}
MODES: dict[str, dict[str, Any]] = {"plain": {}, "c": CUSTOMER, "s3": OWN, "kms": KMS}


def reading(mode: str) -> dict[str, Any]:
    """What a GET of an object in this mode needs."""
    return CUSTOMER if mode == "c" else {}


def spelled(key: bytes) -> dict[str, str]:
    """A customer's key as its headers spell it, for calls where botocore leaves that to the caller."""
    digest = hashlib.md5(key).digest()
    return {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(key).decode(),
        "SSECustomerKeyMD5": base64.b64encode(digest).decode(),
    }


def shown(answer: Any) -> tuple[str | None, str | None, str | None]:
    """What an answer tells of encryption: method, master key, customer's algorithm."""
    return answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId"), answer.get("SSECustomerAlgorithm")


EXPECTED = {
    "plain": (None, None, None),
    "c": (None, None, "AES256"),
    "s3": ("AES256", None, None),
    "kms": ("aws:kms", "testkey-1", None),
}


@pytest.fixture(scope="module")
def keyed(colony: Colony) -> Colony:
    """The colony, with two master keys."""
    for key in ("testkey-1", "testkey-2"):
        if colony.command("keys", "show", key, check=False).returncode:
            colony.command("keys", "add", key)
    return colony


@pytest.fixture(scope="module")
def s3(keyed: Colony) -> Any:
    """A client of the first administrator."""
    return client_of(keyed)


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """A bucket of the test's own."""
    name = f"b-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    for one in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that proxies learn within two seconds."""
    give_up_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


def refusal(work: Any, /, **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that a call ends in."""
    with pytest.raises(ClientError) as refused:
        work(**arguments)
    return refused.value.response["ResponseMetadata"]["HTTPStatusCode"], code_of(refused)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [0, 1, 65_536, MIB, 3 * MIB + 7])
def test_what_was_put_comes_back_whole_and_by_range(s3: Any, bucket: str, mode: str, size: int) -> None:
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **MODES[mode])
    assert shown(put) == EXPECTED[mode]
    found = s3.get_object(Bucket=bucket, Key="k", **reading(mode))
    assert (found["Body"].read(), shown(found), found["ETag"]) == (body, EXPECTED[mode], put["ETag"])
    head = s3.head_object(Bucket=bucket, Key="k", **reading(mode))
    assert (head["ContentLength"], shown(head)) == (size, EXPECTED[mode])
    is_md5 = put["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    assert is_md5 == (mode in ("plain", "s3"))
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == size
    for first, last in ((0, 0), (65_535, 65_536), (100_000, 300_000), (size - 3, size - 1)):
        if 0 <= first <= last < size:
            part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}", **reading(mode))
            assert part["Body"].read() == body[first : last + 1]
            assert part["ContentRange"] == f"bytes {first}-{last}/{size}"


@pytest.mark.parametrize("source", MODES)
@pytest.mark.parametrize("target", [*MODES, "other customer"])
def test_any_mode_is_copied_to_any_other(s3: Any, bucket: str, source: str, target: str) -> None:
    body = os.urandom(100_001)
    s3.put_object(Bucket=bucket, Key="source", Body=body, **MODES[source])
    opening = FROM_CUSTOMER if source == "c" else {}
    wanted = OTHER_CUSTOMER if target == "other customer" else MODES[target]
    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"}, **opening, **wanted
    )
    expected = EXPECTED["c" if target == "other customer" else target]
    assert shown(copied) == expected
    read = wanted if "SSECustomerKey" in wanted else {}
    found = s3.get_object(Bucket=bucket, Key="copy", **read)
    assert (found["Body"].read(), shown(found)) == (body, expected)


def test_an_object_is_encrypted_anew_by_a_copy_onto_itself(s3: Any, bucket: str) -> None:
    body = os.urandom(2 * MIB)
    source = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"a": "1"})
    assert refusal(s3.copy_object, Bucket=bucket, Key="k", CopySource=source) == (400, "InvalidRequest")
    opening: dict[str, Any] = {}
    for wanted in (OWN, KMS, CUSTOMER, KMS | {"SSEKMSKeyId": "testkey-2"}):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source, **opening, **wanted)
        reads = CUSTOMER if wanted is CUSTOMER else {}
        opening = FROM_CUSTOMER if wanted is CUSTOMER else {}
        found = s3.get_object(Bucket=bucket, Key="k", **reads)
        assert (found["Body"].read(), found["Metadata"]) == (body, {"a": "1"})
    assert found["SSEKMSKeyId"] == "testkey-2"


@pytest.mark.parametrize("mode", ["c", "s3", "kms"])
def test_parts_are_encrypted_one_by_one_and_read_across(s3: Any, bucket: str, mode: str) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    begun = s3.create_multipart_upload(**named, **MODES[mode])
    assert shown(begun) == EXPECTED[mode]
    named["UploadId"] = begun["UploadId"]
    bodies = [os.urandom(5 * MIB + 1), os.urandom(5 * MIB), os.urandom(70_000)]
    parts = []
    for number, body in enumerate(bodies, start=1):
        part = s3.upload_part(**named, PartNumber=number, Body=body, **reading(mode))
        assert shown(part) == EXPECTED[mode]
        parts.append({"ETag": part["ETag"], "PartNumber": number, "ChecksumCRC32": part["ChecksumCRC32"]})
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}, **reading(mode))
    assert shown(done)[:2] == EXPECTED[mode][:2]
    whole = b"".join(bodies)
    key = {"Bucket": bucket, "Key": "k", **reading(mode)}
    found = s3.get_object(**key)
    assert (found["Body"].read(), shown(found)) == (whole, EXPECTED[mode])
    for first, last in (
        (0, 10),
        (5 * MIB - 9, 5 * MIB + 9),
        (MIB, 10 * MIB),
        (len(whole) - 70_005, len(whole) - 1),
    ):
        span = s3.get_object(Range=f"bytes={first}-{last}", **key)
        assert span["Body"].read() == whole[first : last + 1]
    second = s3.get_object(PartNumber=2, **key)
    assert (second["Body"].read(), second["PartsCount"]) == (bodies[1], 3)
    assert s3.head_object(PartNumber=3, **key)["ContentLength"] == 70_000


def test_parts_may_be_copied_out_of_any_mode(s3: Any, bucket: str) -> None:
    body = os.urandom(5 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=body, **CUSTOMER)
    named = {"Bucket": bucket, "Key": "k"}
    named["UploadId"] = s3.create_multipart_upload(**named, **OTHER_CUSTOMER)["UploadId"]
    copy = {**named, "PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "source"}}
    assert refusal(s3.upload_part_copy, **copy, **FROM_CUSTOMER) == (400, "InvalidRequest")
    assert refusal(s3.upload_part_copy, **copy, **CUSTOMER, **FROM_CUSTOMER) == (400, "InvalidRequest")
    assert refusal(s3.upload_part_copy, **copy, **OTHER_CUSTOMER) == (400, "InvalidRequest")
    copied = s3.upload_part_copy(**copy, CopySourceRange="bytes=100-70000", **OTHER_CUSTOMER, **FROM_CUSTOMER)
    assert copied["SSECustomerAlgorithm"] == "AES256"
    result = copied["CopyPartResult"]
    parts = [{"ETag": result["ETag"], "PartNumber": 1}]
    done = {**named, "MultipartUpload": {"Parts": parts}}
    assert refusal(s3.complete_multipart_upload, **done) == (400, "InvalidRequest")
    assert refusal(s3.complete_multipart_upload, **done, **CUSTOMER) == (400, "InvalidRequest")
    s3.complete_multipart_upload(**done, **OTHER_CUSTOMER)
    found = s3.get_object(Bucket=bucket, Key="k", **OTHER_CUSTOMER)
    assert found["Body"].read() == body[100:70_001]


def test_only_the_customers_key_opens_the_object(s3: Any, bucket: str) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**named, Body=b"secret", **CUSTOMER)
    assert refusal(s3.get_object, **named) == (400, "InvalidRequest")
    assert refusal(s3.get_object, **named, **OTHER_CUSTOMER) == (400, "InvalidRequest")
    assert s3.get_object(**named, **CUSTOMER)["Body"].read() == b"secret"
    attributes = {**named, "ObjectAttributes": ["ETag", "ObjectSize"]}
    assert refusal(s3.get_object_attributes, **attributes) == (400, "InvalidRequest")
    assert refusal(s3.get_object_attributes, **attributes, **spelled(OTHER_KEY)) == (400, "InvalidRequest")
    assert s3.get_object_attributes(**attributes, **spelled(KEY))["ObjectSize"] == 6
    assert refusal(s3.head_object, **named)[0] == 400
    assert refusal(s3.head_object, **named, **OTHER_CUSTOMER)[0] == 400
    for mode in ("plain", "s3", "kms"):
        s3.put_object(**named, Body=b"x", **MODES[mode])
        assert refusal(s3.get_object, **named, **CUSTOMER) == (400, "InvalidRequest")
        assert refusal(s3.head_object, **named, **CUSTOMER)[0] == 400


def test_a_bucket_encrypts_what_comes_without_a_word(s3: Any, bucket: str) -> None:
    named = {"Bucket": bucket}
    absent = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert refusal(s3.get_bucket_encryption, **named) == absent
    s3.delete_bucket_encryption(**named)
    s3.put_object(**named, Key="before", Body=b"x")
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "testkey-2"}
    rule = {"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(**named, ServerSideEncryptionConfiguration={"Rules": [rule]})
    kept = s3.get_bucket_encryption(**named)["ServerSideEncryptionConfiguration"]
    assert kept == {"Rules": [rule]}
    put = s3.put_object(**named, Key="k", Body=b"x")
    assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == ("testkey-2", True)
    copied = s3.copy_object(**named, Key="copy", CopySource={**named, "Key": "before"})
    assert copied["SSEKMSKeyId"] == "testkey-2"
    assert s3.create_multipart_upload(**named, Key="m")["SSEKMSKeyId"] == "testkey-2"
    # What a request says counts for more.
    assert shown(s3.put_object(**named, Key="own", Body=b"x", **OWN)) == EXPECTED["s3"]
    assert shown(s3.put_object(**named, Key="c", Body=b"x", **CUSTOMER)) == EXPECTED["c"]
    blocking = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BucketKeyEnabled": False,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    s3.put_bucket_encryption(**named, ServerSideEncryptionConfiguration={"Rules": [blocking]})
    assert s3.get_bucket_encryption(**named)["ServerSideEncryptionConfiguration"]["Rules"] == [blocking]
    assert refusal(s3.put_object, **named, Key="c2", Body=b"x", **CUSTOMER) == (403, "AccessDenied")
    assert s3.get_object(**named, Key="c", **CUSTOMER)["Body"].read() == b"x"
    assert shown(s3.put_object(**named, Key="k", Body=b"x")) == EXPECTED["s3"]
    s3.delete_bucket_encryption(**named)
    assert refusal(s3.get_bucket_encryption, **named) == absent
    assert shown(s3.put_object(**named, Key="k", Body=b"x")) == EXPECTED["plain"]
    assert s3.head_object(**named, Key="own")["ServerSideEncryption"] == "AES256"


def test_keys_that_are_not_there_and_contexts_are_told(s3: Any, keyed: Colony, bucket: str) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    unknown = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "no-such-key"}
    assert refusal(s3.put_object, **named, Body=b"x", **unknown) == (400, "KMS.NotFoundException")
    assert refusal(s3.put_object, **named, Body=b"x", ServerSideEncryption="aws:kms") == (
        400,
        "KMS.NotFoundException",
    )
    assert refusal(s3.put_object, **named, ServerSideEncryption="aws:kms:dsse") == (501, "NotImplemented")
    context = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()
    put = s3.put_object(**named, Body=b"x", **KMS, SSEKMSEncryptionContext=context)
    assert json.loads(base64.b64decode(put["SSEKMSEncryptionContext"])) == {"project": "x"}
    assert s3.get_object(**named)["Body"].read() == b"x"
    arn = "arn:aws:kms:us-east-1:123456789012:key/testkey-1"
    put = s3.put_object(**named, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn)
    assert put["SSEKMSKeyId"] == "testkey-1"


def test_swift_reads_what_the_colony_can_open_and_says_why_of_the_rest(
    s3: Any, keyed: Colony, bucket: str
) -> None:
    signed_in = requests.get(
        keyed.swift_auth, headers={"X-Auth-User": keyed.swift_user, "X-Auth-Key": keyed.swift_key}, timeout=10
    )
    url = f"{signed_in.headers['X-Storage-Url']}/{bucket}"
    token = {"X-Auth-Token": signed_in.headers["X-Auth-Token"]}
    body = os.urandom(2 * MIB)
    for mode in ("s3", "kms"):
        s3.put_object(Bucket=bucket, Key=mode, Body=body, **MODES[mode])
        found = requests.get(f"{url}/{mode}", headers={**token, "Range": "bytes=65530-65540"}, timeout=10)
        assert (found.status_code, found.content) == (206, body[65530:65541])
        assert requests.get(f"{url}/{mode}", headers=token, timeout=10).content == body
    s3.put_object(Bucket=bucket, Key="c", Body=body, **CUSTOMER)
    refused = requests.get(f"{url}/c", headers=token, timeout=10)
    assert refused.status_code == 403
    assert "key" in refused.text
    # A container's encryption holds for Swift's writes too; their ETag stays what Swift promises.
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "testkey-1"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    put = requests.put(f"{url}/swift", headers=token, data=body, timeout=10)
    assert put.headers["Etag"] == hashlib.md5(body).hexdigest()
    found = s3.get_object(Bucket=bucket, Key="swift")
    assert (found["Body"].read(), shown(found)) == (body, EXPECTED["kms"])


def test_no_plaintext_is_on_the_devices(s3: Any, keyed: Colony, bucket: str) -> None:
    marks = {}
    began_s = time.time() - 1
    for mode, asked in MODES.items():
        for size in (100, 200_000, 3 * MIB):
            mark = os.urandom(24)
            marks[mode, size] = mark
            filler = os.urandom(32) * (size // 64)
            s3.put_object(Bucket=bucket, Key=f"{mode}-{size}", Body=filler + mark + filler, **asked)
    found = set()
    for path in (keyed.data / "devices").rglob("*"):
        try:
            # What other tests have stored before need not be searched.
            if not path.is_file() or path.stat().st_mtime < began_s:
                continue
            held = path.read_bytes()
        except FileNotFoundError:
            continue  # compacted away meanwhile: what it held is in another file
        found |= {name for name, mark in marks.items() if mark in held}
        assert KEY not in held
    assert found == {("plain", size) for size in (100, 200_000, 3 * MIB)}


def test_keys_are_rotated_shut_off_and_removed_under_a_running_colony(
    s3: Any, keyed: Colony, bucket: str
) -> None:
    key_id = f"team/{bucket}"
    named = {"Bucket": bucket, "Key": "k"}
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id}
    # No proxy remembers that a key is absent.
    assert refusal(s3.put_object, **named, Body=b"x", **asked) == (400, "KMS.NotFoundException")
    keyed.command("keys", "add", key_id)
    bodies = {f"k{number}": os.urandom(70_000) for number in range(3)}
    for name, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=name, Body=body, **asked)
        keyed.command("keys", "rotate", key_id)
    assert len(json.loads(keyed.command("keys", "show", key_id, "--json").stdout)["versions"]) == 4
    s3.put_object(**named, Body=b"x", **asked)
    keyed.command("restart")
    for name, body in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == body

    def reads() -> str:
        try:
            return str(s3.get_object(**named)["Body"].read())
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    keyed.command("keys", "disable", key_id)
    eventually(lambda: reads() == "KMS.DisabledException")
    assert s3.head_object(**named)["SSEKMSKeyId"] == key_id
    keyed.command("keys", "enable", key_id)
    eventually(lambda: reads() == "b'x'")
    keyed.command("keys", "disable", key_id)
    keyed.command("keys", "remove", key_id, "--yes")
    eventually(lambda: reads() == "KMS.NotFoundException")
    s3.delete_object(**named)


def test_each_version_opens_by_what_it_was_encrypted_under(s3: Any, keyed: Colony) -> None:
    name = f"v-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    bodies = {mode: os.urandom(2 * MIB if mode == "c" else 70_000) for mode in MODES}
    versions = {
        mode: s3.put_object(Bucket=name, Key="k", Body=body, **MODES[mode])["VersionId"]
        for mode, body in bodies.items()
    }
    for mode, version in versions.items():
        found = s3.get_object(Bucket=name, Key="k", VersionId=version, **reading(mode))
        assert (found["Body"].read(), shown(found)) == (bodies[mode], EXPECTED[mode])
        span = s3.get_object(
            Bucket=name, Key="k", VersionId=version, Range="bytes=65530-65550", **reading(mode)
        )
        assert span["Body"].read() == bodies[mode][65530:65551]
    assert refusal(s3.get_object, Bucket=name, Key="k", VersionId=versions["c"]) == (400, "InvalidRequest")
    source = {"Bucket": name, "Key": "k", "VersionId": versions["c"]}
    s3.copy_object(Bucket=name, Key="k", CopySource=source, **FROM_CUSTOMER, **OWN)
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == bodies["c"]
    for one in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key="k", VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("mode", ["c", "kms"])
def test_transfers_of_large_files_encrypt_every_part(s3: Any, bucket: str, mode: str) -> None:
    body = os.urandom(20 * MIB + 1)
    s3.upload_fileobj(io.BytesIO(body), bucket, "k", ExtraArgs=MODES[mode])
    found = io.BytesIO()
    s3.download_fileobj(bucket, "k", found, ExtraArgs=reading(mode) or None)
    assert found.getvalue() == body
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1, **reading(mode))["PartsCount"] == 3
