"""Objects: put, get, head, delete, ranges, conditions, metadata."""

import pytest

from model.stamp import make_stamp, version_id
from tests.unit.proxy.s3.client import Answer, Client, World, path_of

MD5_HELLO = '"5d41402abc4b2a76b9719d911017c592"'


@pytest.fixture
def client() -> Client:
    made = World().admin
    assert made("PUT", "/bucket").status == 200
    return made


@pytest.mark.parametrize(
    "key", ["a", "a//b", "./.", "../x", " s p ", "a+b%20c", "100%", "💾/ü", "k" * 1024, "a?b&c=d", "~(x)!*'"]
)
def test_any_key_reads_back_what_was_put(client: Client, key: str) -> None:
    path = path_of("bucket", key)
    assert client("PUT", path, b"hello").headers["etag"] == MD5_HELLO
    found = client("GET", path)
    assert (found.status, found.body, found.headers["etag"]) == (200, b"hello", MD5_HELLO)
    assert client("HEAD", path).headers["content-length"] == "5"
    assert client("GET", "/bucket?list-type=2").texts("Key") == [key]
    assert client("DELETE", path).status == 204
    assert client("GET", path).code == "NoSuchKey"


def test_metadata_and_headers_come_back(client: Client) -> None:
    sent = {
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "content-encoding": "aws-chunked,gzip",
        "content-disposition": 'attachment; filename="x"',
        "content-language": "fr",
        "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
        "x-amz-meta-colour": "red",
        "x-amz-meta-Two": "1",
    }
    client("PUT", "/bucket/k", b"hello", sent)
    found = client("HEAD", "/bucket/k").headers
    assert found["content-encoding"] == "gzip"
    assert found["x-amz-meta-two"] == "1"
    for name in ("content-type", "cache-control", "content-language", "expires", "x-amz-meta-colour"):
        assert found[name] == sent[name]
    assert client("PUT", "/bucket/k", b"", {"x-amz-meta-a": "v" * 3000}).code == "MetadataTooLarge"


def test_a_response_may_be_overridden_by_who_signs(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello", {"x-amz-acl": "public-read"})
    query = "?response-content-type=a%2Fb&response-cache-control=no-store"
    found = client("GET", "/bucket/k" + query)
    assert (found.headers["content-type"], found.headers["cache-control"]) == ("a/b", "no-store")
    anonymous = Client(client.app, None)
    assert anonymous("GET", "/bucket/k").body == b"hello"
    assert anonymous("GET", "/bucket/k" + query).code == "InvalidRequest"
    assert client("GET", "/bucket/k?response-expires=a%0D%0Ab").code == "InvalidArgument"


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"h", "bytes 0-0/5"),
        ("bytes=1-", 206, b"ello", "bytes 1-4/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=3-99", 206, b"lo", "bytes 3-4/5"),
        ("bytes=0-1,3-4", 200, b"hello", None),
        ("lines=1-2", 200, b"hello", None),
        ("bytes=9-2", 200, b"hello", None),
    ],
)
def test_ranges(client: Client, asked: str, status: int, body: bytes, content_range: str | None) -> None:
    client("PUT", "/bucket/k", b"hello")
    found = client("GET", "/bucket/k", headers={"range": asked})
    assert (found.status, found.body) == (status, body)
    assert found.headers.get("content-range") == content_range
    head = client("HEAD", "/bucket/k", headers={"range": asked})
    assert (head.status, head.headers["content-length"]) == (status, str(len(body)))


def test_a_range_outside_of_the_object_is_refused_with_its_size(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    found = client("GET", "/bucket/k", headers={"range": "bytes=5-"})
    assert (found.status, found.code, found.headers["content-range"]) == (416, "InvalidRange", "bytes */5")


def conditional(client: Client, **headers: str) -> Answer:
    return client("GET", "/bucket/k", headers={name.replace("_", "-"): v for name, v in headers.items()})


def test_conditions_of_reading(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    when = client("HEAD", "/bucket/k").headers["last-modified"]
    earlier = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert when.endswith(" GMT")
    assert conditional(client, if_match=MD5_HELLO).status == 200
    assert conditional(client, if_match="*").status == 200
    assert conditional(client, if_match='"other"').status == 412
    assert conditional(client, if_none_match='"other"').status == 200
    unchanged = conditional(client, if_none_match=MD5_HELLO)
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", MD5_HELLO)
    assert conditional(client, if_modified_since=when).status == 304
    assert conditional(client, if_modified_since=earlier).status == 200
    assert conditional(client, if_unmodified_since=when).status == 200
    refused = conditional(client, if_unmodified_since=earlier)
    assert (refused.status, refused.text("Condition")) == (412, "If-Unmodified-Since")
    assert conditional(client, if_match=MD5_HELLO, if_unmodified_since=earlier).status == 200
    assert conditional(client, if_none_match='"x"', if_modified_since=when).status == 200


def test_conditions_of_writing(client: Client) -> None:
    assert client("PUT", "/bucket/k", b"1", {"if-match": "*"}).code == "NoSuchKey"
    first = client("PUT", "/bucket/k", b"1", {"if-none-match": "*"})
    assert first.status == 200
    refused = client("PUT", "/bucket/k", b"2", {"if-none-match": "*"})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert client("PUT", "/bucket/k", b"2", {"if-match": first.headers["etag"]}).status == 200
    assert client("PUT", "/bucket/k", b"3", {"if-match": first.headers["etag"]}).status == 412
    assert client("GET", "/bucket/k").body == b"2"
    assert client("DELETE", "/bucket/k", headers={"if-match": first.headers["etag"]}).status == 412
    assert client("DELETE", "/bucket/k", headers={"x-amz-if-match-size": "2"}).status == 412
    assert client("DELETE", "/bucket/k", headers={"x-amz-if-match-size": "1"}).status == 204


def test_deleting_what_is_not_there_succeeds_but_not_in_a_bucket_that_is_not_there(client: Client) -> None:
    assert client("DELETE", "/bucket/absent").status == 204
    assert client("DELETE", "/nowhere/absent").code == "NoSuchBucket"


def test_a_bucket_that_is_not_there_is_told_from_a_key(client: Client) -> None:
    assert client("GET", "/bucket/absent").code == "NoSuchKey"
    assert client("HEAD", "/bucket/absent").status == 404
    assert client("GET", "/nowhere/k").code == "NoSuchBucket"
    assert client("PUT", "/nowhere/k", b"x").code == "NoSuchBucket"
    assert client("GET", "/NoWhere/k").code == "InvalidBucketName"


def test_versions_other_than_null_do_not_exist(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    assert client("GET", "/bucket/k?versionId=null").body == b"hello"
    assert client("GET", "/bucket/k?versionId=abc").code == "InvalidArgument"
    assert client("GET", f"/bucket/k?versionId={version_id(make_stamp(1, 2, 3))}").code == "NoSuchVersion"
    assert client("GET", "/bucket/k?versionId=").code == "InvalidArgument"


def test_a_whole_object_is_its_first_part(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    found = client("GET", "/bucket/k?partNumber=1")
    assert (found.status, found.body) == (206, b"hello")
    assert client("GET", "/bucket/k?partNumber=2").code == "InvalidPartNumber"
    assert client("GET", "/bucket/k?partNumber=0").code == "InvalidArgument"


def test_tags_come_with_the_object_or_later(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello", {"x-amz-tagging": "a=1&b=x%20y"})
    assert client("HEAD", "/bucket/k").headers["x-amz-tagging-count"] == "2"
    assert client("GET", "/bucket/k?tagging").texts("Value") == ["1", "x y"]
    body = b"<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>"
    assert client("PUT", "/bucket/k?tagging", body).status == 200
    assert client("GET", "/bucket/k?tagging").texts("Key") == ["c"]
    assert client("DELETE", "/bucket/k?tagging").status == 204
    assert client("GET", "/bucket/k?tagging").texts("Key") == []
    many = "&".join(f"k{number}=v" for number in range(11))
    assert client("PUT", "/bucket/k", b"", {"x-amz-tagging": many}).code == "InvalidTag"
    assert client("PUT", "/bucket/k", b"", {"x-amz-tagging": "a=1&a=2"}).code == "InvalidArgument"


def test_attributes_are_those_asked_for(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    asked = {"x-amz-object-attributes": "ETag,ObjectSize,StorageClass,Checksum"}
    found = client("GET", "/bucket/k?attributes", headers=asked)
    assert (found.text("ETag"), found.text("ObjectSize")) == (MD5_HELLO.strip('"'), "5")
    assert (found.text("ChecksumCRC64NVME"), found.text("ChecksumType")) == ("M3eFcAZSQlc=", "FULL_OBJECT")
    asked = {"x-amz-object-attributes": "Colour"}
    assert client("GET", "/bucket/k?attributes", headers=asked).code == "InvalidArgument"


def test_what_is_promised_but_not_kept_is_refused_by_name(client: Client) -> None:
    refused = client("PUT", "/bucket/k", b"", {"x-amz-write-offset-bytes": "x"})
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert refused.text("Header") == "x-amz-write-offset-bytes"
    assert client("PUT", "/bucket/k", b"", {"x-amz-storage-class": "GLACIER"}).code == "NotImplemented"
    assert client("PUT", "/bucket/k", b"", {"x-amz-storage-class": "?"}).code == "InvalidStorageClass"


def test_each_answer_bears_a_request_id(client: Client) -> None:
    for answer in (
        client("GET", "/bucket/absent"),
        client("HEAD", "/bucket"),
        client("PUT", "/bucket/k", b""),
    ):
        assert answer.headers["x-amz-request-id"]
    refused = client("GET", "/bucket/absent")
    assert refused.text("RequestId") == refused.headers["x-amz-request-id"]
    assert refused.text("Resource") == "/bucket/absent"


def test_a_condition_of_deletion_is_met_by_absence(client: Client) -> None:
    for headers in ({"if-match": "*"}, {"if-match": '"other"'}, {"x-amz-if-match-size": "7"}):
        assert client("DELETE", "/bucket/absent", headers=headers).status == 204


def test_a_condition_met_by_absence_makes_no_delete_marker(client: Client) -> None:
    enable = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client("PUT", "/bucket?versioning", enable).status == 200
    gone = client("DELETE", "/bucket/absent", headers={"if-match": "*"})
    assert gone.status == 204
    assert "x-amz-delete-marker" not in gone.headers
    assert b"<DeleteMarker>" not in client("GET", "/bucket?versions").body
