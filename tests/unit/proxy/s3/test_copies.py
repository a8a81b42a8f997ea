"""CopyObject and UploadPartCopy."""

import pytest

from proxy.s3.call import Settings
from tests.unit.proxy.s3.client import Answer, Client, World


@pytest.fixture
def client() -> Client:
    made = World(Settings(put_bytes_max=100, part_bytes_min=10)).admin
    made("PUT", "/bucket")
    made("PUT", "/other")
    sent = {
        "content-type": "text/x",
        "x-amz-meta-a": "1",
        "cache-control": "no-store",
        "x-amz-tagging": "t=1",
    }
    made("PUT", "/bucket/src", b"hello", sent)
    return made


def copy(client: Client, target: str, source: str, **headers: str) -> Answer:
    more = {f"x-amz-{name.replace('_', '-')}": value for name, value in headers.items()}
    return client("PUT", target, b"", {"x-amz-copy-source": source, **more})


def test_bytes_and_metadata_are_copied(client: Client) -> None:
    done = copy(client, "/other/dst", "/bucket/src")
    assert (done.status, done.text("ETag")) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    found = client("GET", "/other/dst")
    assert (found.body, found.headers["content-type"], found.headers["x-amz-meta-a"]) == (
        b"hello",
        "text/x",
        "1",
    )
    assert found.headers["cache-control"] == "no-store"
    assert client("GET", "/other/dst?tagging").texts("Value") == ["1"]


def test_metadata_and_tags_may_be_replaced(client: Client) -> None:
    copy(
        client,
        "/other/dst",
        "bucket/src",
        metadata_directive="REPLACE",
        meta_b="2",
        tagging_directive="REPLACE",
    )
    found = client("GET", "/other/dst")
    assert found.headers["x-amz-meta-b"] == "2"
    assert "x-amz-meta-a" not in found.headers
    assert "cache-control" not in found.headers
    assert "x-amz-tagging-count" not in found.headers
    assert copy(client, "/other/dst", "bucket/src", metadata_directive="MIX").code == "InvalidArgument"


def test_a_copy_onto_itself_must_change_something(client: Client) -> None:
    assert copy(client, "/bucket/src", "bucket/src").code == "InvalidRequest"
    done = copy(client, "/bucket/src", "bucket/src", metadata_directive="REPLACE", meta_b="2")
    assert done.status == 200
    found = client("GET", "/bucket/src")
    assert (found.body, found.headers["x-amz-meta-b"]) == (b"hello", "2")


@pytest.mark.parametrize("key", ["a b", "a%2Fb", "ü/💾", "a+b", "100%"])
def test_the_source_is_decoded_once(client: Client, key: str) -> None:
    from urllib.parse import quote

    client("PUT", f"/bucket/{quote(key)}", b"odd")
    assert copy(client, "/other/dst", quote(f"bucket/{key}")).status == 200
    assert client("GET", "/other/dst").body == b"odd"


def test_conditions_are_held_against_the_source(client: Client) -> None:
    etag = '"5d41402abc4b2a76b9719d911017c592"'
    assert copy(client, "/other/d", "bucket/src", copy_source_if_match=etag).status == 200
    assert copy(client, "/other/d", "bucket/src", copy_source_if_match='"x"').code == "PreconditionFailed"
    assert copy(client, "/other/d", "bucket/src", copy_source_if_none_match=etag).status == 412
    late = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert copy(client, "/other/d", "bucket/src", copy_source_if_unmodified_since=late).status == 412
    assert copy(client, "/other/d", "bucket/src", copy_source_if_modified_since=late).status == 200


def test_sources_that_are_not_there_are_named(client: Client) -> None:
    assert copy(client, "/other/d", "bucket/absent").code == "NoSuchKey"
    assert copy(client, "/other/d", "nowhere/src").code == "NoSuchBucket"
    assert copy(client, "/nowhere/d", "bucket/src").code == "NoSuchBucket"
    assert copy(client, "/other/d", "bucket").code == "InvalidArgument"
    assert copy(client, "/other/d", "bucket/src?versionId=x").code == "InvalidArgument"
    assert copy(client, "/other/d", "bucket/src?versionId=null").status == 200


def test_parts_are_copied_from_ranges(client: Client) -> None:
    upload = client("POST", "/other/d?uploads").text("UploadId")
    part = f"/other/d?partNumber=1&uploadId={upload}"
    done = copy(client, part, "bucket/src", copy_source_range="bytes=1-3")
    assert done.status == 200
    etag = done.text("ETag")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
    assert client("POST", f"/other/d?uploadId={upload}", body.encode()).status == 200
    assert client("GET", "/other/d").body == b"ell"


@pytest.mark.parametrize(
    ("asked", "code"),
    [("bytes=1-9", "InvalidRange"), ("bytes=1-", "InvalidArgument"), ("1-3", "InvalidArgument")],
)
def test_ranges_of_sources_must_be_whole(client: Client, asked: str, code: str) -> None:
    upload = client("POST", "/other/d?uploads").text("UploadId")
    part = f"/other/d?partNumber=1&uploadId={upload}"
    assert copy(client, part, "bucket/src", copy_source_range=asked).code == code


def test_a_source_too_large_for_one_copy_is_refused(client: Client) -> None:
    upload = client("POST", "/bucket/big?uploads").text("UploadId")
    part = "/bucket/big?partNumber={}&uploadId=" + upload
    etags = [client("PUT", part.format(number), b"x" * 90).headers["etag"] for number in (1, 2)]
    inner = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    assert client("POST", f"/bucket/big?uploadId={upload}", body).status == 200
    assert copy(client, "/other/d", "bucket/big").code == "InvalidRequest"
    refused = client("PUT", "/bucket/k", b"x" * 101)
    assert (refused.code, refused.text("MaxSizeAllowed")) == ("EntityTooLarge", "100")
