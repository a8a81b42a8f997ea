"""PostObject: what a form stores, for whom, and what it is refused for."""

import datetime as dt
import hmac
import json
from base64 import b64encode
from typing import Any

import pytest

from proxy.auth.sigv4 import signing_key
from proxy.s3.call import Settings, VersionTwo
from tests.unit.proxy.s3.client import Answer, Client, World

NOW = dt.datetime.now(dt.UTC)
DAY = NOW.strftime("%Y%m%d")
LATER = (NOW + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def world() -> World:
    return made(World())


def made(world: World) -> World:
    world.admin("PUT", "/bucket")
    return world


def post(
    world: World,
    fields: dict[str, str],
    content: bytes = b"content",
    *,
    filename: str = "a.txt",
    path: str = "/bucket",
    more: dict[str, str] | None = None,
) -> Answer:
    body = b""
    for name, value in fields.items():
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += head.encode() + value.encode() + b"\r\n"
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    body += head.encode() + content + b"\r\n--x--\r\n"
    headers = {"host": "s3.example.org", "content-type": "multipart/form-data; boundary=x", **(more or {})}
    headers["content-length"] = str(len(body))
    return world.anonymous.send("POST", path, body, headers)


def signed(
    client: Client, fields: dict[str, str], *conditions: Any, expiration: str = LATER
) -> dict[str, str]:
    """The fields of a form with a policy that allows just them and what else is said, signed by version 4."""
    assert client.key is not None
    credential = f"{client.key.id}/{DAY}/us-east-1/s3/aws4_request"
    carried = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": credential,
        "x-amz-date": f"{DAY}T000000Z",
    }
    named = [{name: value} for name, value in {**fields, **carried, "bucket": "bucket"}.items()]
    if conditions:
        named = [one for one in named if not {"key", "x-skip"} & one.keys()]
    document = {"expiration": expiration, "conditions": [*named, *conditions]}
    policy = b64encode(json.dumps(document).encode()).decode()
    signature = hmac.digest(
        signing_key(client.key.secret, DAY, "us-east-1", "s3"), policy.encode(), "sha256"
    ).hex()
    return {**fields, **carried, "policy": policy, "x-amz-signature": signature}


def test_a_signed_form_stores_its_file(world: World) -> None:
    fields = {
        "key": "dir/${filename}",
        "acl": "public-read",
        "Content-Type": "text/plain",
        "Cache-Control": "no-cache",
        "x-amz-meta-colour": "blue",
        "tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>a b:c</Value></Tag></TagSet></Tagging>",
        "x-amz-storage-class": "STANDARD_IA",
    }
    answer = post(
        world, signed(world.admin, fields, ["starts-with", "$key", "dir/"]), filename="C:\\x\\a b.txt"
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["location"] == "http://s3.example.org/bucket/dir/a%20b.txt"
    got = world.anonymous("GET", "/bucket/dir/a%20b.txt")
    assert (got.status, got.body) == (200, b"content")
    assert answer.headers["etag"] == got.headers["etag"]
    assert got.headers["content-type"] == "text/plain"
    assert got.headers["cache-control"] == "no-cache"
    assert got.headers["x-amz-meta-colour"] == "blue"
    assert got.headers["x-amz-storage-class"] == "STANDARD_IA"
    tags = world.admin("GET", "/bucket/dir/a%20b.txt?tagging")
    assert (tags.texts("Key"), tags.texts("Value")) == (["k"], ["a b:c"])


def test_a_form_signed_by_version_2_stores_its_file(world: World) -> None:
    key = world.admin.key
    assert key is not None
    document = {"expiration": LATER, "conditions": [{"bucket": "bucket"}, ["starts-with", "$key", ""]]}
    policy = b64encode(json.dumps(document).encode()).decode()
    signature = b64encode(hmac.digest(key.secret.encode(), policy.encode(), "sha1")).decode()
    fields = {"key": "k", "AWSAccessKeyId": key.id, "policy": policy, "signature": signature}
    assert post(world, fields).status == 204
    assert world.admin("GET", "/bucket/k").body == b"content"
    assert world.admin("HEAD", "/bucket/k").headers["content-type"] == "binary/octet-stream"
    assert post(world, {**fields, "signature": "AAAA"}).code == "SignatureDoesNotMatch"
    refusing = made(World(Settings(version2=VersionTwo.REFUSED)))
    assert post(refusing, fields).code == "InvalidRequest"


def test_an_anonymous_form_stores_where_anybody_may_write(world: World) -> None:
    assert post(world, {"key": "k"}).code == "AccessDenied"
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    assert post(world, {"key": "k"}).status == 204
    assert world.admin("GET", "/bucket/k").body == b"content"


def test_a_form_says_how_it_is_answered(world: World) -> None:
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    for asked, status in (("200", 200), ("204", 204), ("404", 204), ("", 204)):
        answer = post(world, {"key": "k", "success_action_status": asked})
        assert (answer.status, answer.body) == (status, b"")
    answer = post(world, {"key": "a&b", "success_action_status": "201"})
    assert (answer.status, answer.text("Key"), answer.text("Bucket")) == (201, "a&b", "bucket")
    assert answer.text("ETag") == answer.headers["etag"]
    assert answer.text("Location") == "http://s3.example.org/bucket/a%26b"


def test_a_form_may_send_the_browser_on(world: World) -> None:
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    answer = post(world, {"key": "k k", "success_action_redirect": "https://a.example/done?x=1#top"})
    etag = answer.headers["etag"].strip('"')
    assert answer.status == 303
    assert (
        answer.headers["location"]
        == f"https://a.example/done?x=1&bucket=bucket&key=k+k&etag=%22{etag}%22#top"
    )
    for nowhere in ("not a url", "javascript:alert(1)", "https://a\r\nSet-Cookie: b", "http://[", "/here"):
        assert post(world, {"key": "k", "success_action_redirect": nowhere}).status == 204


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"x-amz-meta-other": "1"}, "AccessDenied"),
        ({"key": "other"}, "AccessDenied"),
        ({"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"policy": "e30="}, "SignatureDoesNotMatch"),
        ({"x-amz-credential": f"nobody/{DAY}/us-east-1/s3/aws4_request"}, "InvalidAccessKeyId"),
        ({"x-amz-date": ""}, "InvalidArgument"),
        ({"policy": ""}, "InvalidArgument"),
        ({"key": ""}, "InvalidArgument"),
    ],
)
def test_a_form_that_is_not_what_was_signed_is_refused(
    world: World, changed: dict[str, str], code: str
) -> None:
    fields = signed(world.admin, {"key": "k"})
    assert post(world, {**fields, **changed}).code == code
    assert world.admin("HEAD", "/bucket/k").status == 404


def test_a_form_is_for_the_bucket_of_its_policy(world: World) -> None:
    world.admin("PUT", "/other")
    fields = signed(world.admin, {"key": "k"})
    assert post(world, {**fields, "bucket": "bucket"}, path="/other").code == "AccessDenied"


def test_a_policy_expires(world: World) -> None:
    fields = signed(world.admin, {"key": "k"}, {"key": "k"}, expiration="2025-12-31T23:59:59Z")
    assert post(world, fields).code == "AccessDenied"
    fields = signed(world.admin, {"key": "k"}, {"key": "k"}, expiration="tomorrow")
    assert post(world, fields).code == "InvalidPolicyDocument"


def test_the_file_is_held_to_the_lengths_of_the_policy(world: World) -> None:
    fields = signed(world.admin, {"key": "k"}, {"key": "k"}, ["content-length-range", 3, 5])
    assert post(world, fields, b"12").code == "EntityTooSmall"
    assert post(world, fields, b"123456").code == "EntityTooLarge"
    assert world.admin("HEAD", "/bucket/k").status == 404
    assert post(world, fields, b"12345").status == 204
    small = made(World(Settings(put_bytes_max=4)))
    assert post(small, signed(small.admin, {"key": "k"}), b"12345").code == "EntityTooLarge"


def test_checksums_of_a_form_are_verified(world: World) -> None:
    good = {"key": "k", "x-amz-checksum-crc32": "DUoRhQ=="}
    assert post(world, signed(world.admin, good), b"hello world").status == 204
    assert post(world, signed(world.admin, good), b"hello worlds").code == "BadDigest"
    assert post(world, signed(world.admin, {"key": "k", "content-md5": "AAAA"})).code == "InvalidDigest"


def test_fields_that_can_be_no_headers_are_refused(world: World) -> None:
    for name, value in (("x-amz-meta-a", "b\r\nc"), ("x-amz-meta-a b", "c"), ("acl", "a\0")):
        assert post(world, signed(world.admin, {"key": "k", name: value})).code == "InvalidArgument"
    assert post(world, signed(world.admin, {"key": "k", "tagging": "<x"})).code == "MalformedXML"
    assert post(world, signed(world.admin, {"key": "k" * 1025})).code == "KeyTooLongError"


def test_a_framing_that_a_form_names_means_nothing(world: World) -> None:
    fields = signed(world.admin, {"key": "k", "content-encoding": "aws-chunked,gzip"})
    assert post(world, fields).status == 204
    assert world.admin("GET", "/bucket/k").body == b"content"


def test_what_is_no_form_is_refused(world: World) -> None:
    assert world.admin("POST", "/bucket", b"x").code == "PreconditionFailed"
    sent = {
        "host": "s3.example.org",
        "content-type": "multipart/form-data; boundary=x",
        "content-length": "1",
    }
    assert world.anonymous.send("POST", "/bucket", b"-", sent).code == "MalformedPOSTRequest"
    assert world.admin("POST", "/bucket", b"-", sent).code == "InvalidArgument"


def test_a_form_for_a_bucket_that_is_not_there_is_refused(world: World) -> None:
    assert post(world, {"key": "k"}, path="/nowhere").code == "NoSuchBucket"
    answer = post(world, {"key": "k"}, path="/bucket/key")
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
