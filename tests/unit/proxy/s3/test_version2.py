"""Requests signed by version 2: by path, by virtual host, and refused where the settings say so."""

import hmac
from base64 import b64encode
from email.utils import formatdate
from urllib.parse import urlencode

import pytest

from proxy.s3.call import Settings, VersionTwo
from tests.unit.proxy.s3.client import Answer, World


def send(world: World, host: str, path: str, resource: str) -> Answer:
    key = world.admin.key
    assert key is not None
    date = formatdate(world.now_ms / 1000, usegmt=True)
    to_sign = f"GET\n\n\n{date}\n{resource}"
    signature = b64encode(hmac.digest(key.secret.encode(), to_sign.encode(), "sha1")).decode()
    headers = {"host": host, "date": date, "authorization": f"AWS {key.id}:{signature}"}
    return world.admin.send("GET", path, b"", headers)


def world_with(settings: Settings) -> World:
    world = World(settings)
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/a%20b", b"bytes")
    return world


def test_the_bucket_is_signed_whether_path_or_host_name_it() -> None:
    world = world_with(Settings(domains=("example.net",)))
    assert send(world, "elsewhere", "/bucket/a%20b", "/bucket/a%20b").body == b"bytes"
    assert send(world, "bucket.example.net", "/a%20b", "/bucket/a%20b").body == b"bytes"
    assert send(world, "bucket.example.net", "/a%20b", "/a%20b").code == "SignatureDoesNotMatch"


def test_an_operator_may_refuse_version_2() -> None:
    world = world_with(Settings(version2=VersionTwo.REFUSED))
    refused = send(world, "elsewhere", "/bucket/a%20b", "/bucket/a%20b")
    assert (refused.status, refused.code) == (400, "InvalidRequest")


def presigned(world: World, method: str, path: str, carried: str = "", *, signed: str = "") -> str:
    """A path presigned by version 2; `signed` are the lines that the parameters carried add."""
    key = world.admin.key
    assert key is not None
    expires = world.now_ms // 1000 + 60
    to_sign = f"{method}\n\n\n{expires}\n{signed}{path}"
    signature = b64encode(hmac.digest(key.secret.encode(), to_sign.encode(), "sha1")).decode()
    credentials = urlencode({"AWSAccessKeyId": key.id, "Expires": str(expires), "Signature": signature})
    return f"{path}?{carried}{credentials}"


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("GET", "retention"),
        ("GET", "attributes"),
        ("PUT", "retention"),
        ("PUT", "legal-hold"),
        ("PUT", "renameObject"),
    ],
)
def test_no_parameter_added_to_a_presigned_address_makes_it_another_operation(
    method: str, parameter: str
) -> None:
    world = world_with(Settings())
    world.admin("PUT", "/bucket/k")
    address, length = presigned(world, method, "/bucket/k"), {"content-length": "0"}
    assert world.anonymous.send(method, address, b"", length).status == 200
    assert world.anonymous.send(method, f"{address}&{parameter}", b"", length).code == "AccessDenied"


def test_a_presigned_bucket_cannot_be_changed_by_an_added_parameter() -> None:
    world = world_with(Settings())
    world.admin("PUT", "/bucket?publicAccessBlock", b"<PublicAccessBlockConfiguration/>")
    address = presigned(world, "DELETE", "/bucket")
    assert world.anonymous.send("DELETE", f"{address}&publicAccessBlock", b"", {}).code == "AccessDenied"
    assert world.admin("GET", "/bucket?publicAccessBlock").status == 200


def test_a_presigned_listing_may_be_of_either_version() -> None:
    world = world_with(Settings())
    address = presigned(world, "GET", "/bucket")
    assert world.anonymous.send("GET", f"{address}&list-type=2", b"", {}).texts("Key") == ["a b"]


def test_two_headers_of_a_presigned_address_are_not_made_one_by_a_line_end_in_a_name() -> None:
    world = world_with(Settings())
    signed = "x-amz-acl:private\nx-amz-meta-a:1\n"
    address = presigned(world, "PUT", "/bucket/k", "x-amz-acl=private&x-amz-meta-a=1&", signed=signed)
    assert world.anonymous.send("PUT", address, b"", {"content-length": "0"}).status == 200
    joined = presigned(world, "PUT", "/bucket/k", "x-amz-acl:private%0Ax-amz-meta-a=1&", signed=signed)
    refused = world.anonymous.send("PUT", joined, b"", {"content-length": "0"})
    assert refused.code == "SignatureDoesNotMatch"
