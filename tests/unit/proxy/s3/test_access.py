"""Who gets in: signatures end to end, and access control lists."""

import pytest

from model.containers import ACL_READ, ACL_WRITE
from model.names import ContainerPath
from proxy.s3.acl import ALL_USERS, AUTHENTICATED_USERS
from proxy.s3.call import Settings
from tests.unit.proxy.s3.client import Client, World

DAY_MS = 86_400_000


@pytest.fixture
def world() -> World:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"hello")
    return world


def test_nothing_is_open_to_the_anonymous(world: World) -> None:
    for method, path in (
        ("GET", "/bucket"),
        ("GET", "/bucket/k"),
        ("GET", "/bucket/absent"),
        ("PUT", "/bucket/k"),
        ("DELETE", "/bucket/k"),
        ("DELETE", "/bucket"),
        ("PUT", "/new-bucket"),
        ("POST", "/bucket/k?uploads"),
        ("POST", "/bucket?delete"),
        ("GET", "/bucket?acl"),
        ("GET", "/bucket/k?acl"),
        ("GET", "/bucket?policy"),
        ("GET", "/bucket/k?tagging"),
    ):
        refused = world.anonymous(method, path)
        assert (refused.status, refused.code) == (403, "AccessDenied"), (method, path)
    assert world.anonymous("HEAD", "/bucket/k").status == 403


def test_unknown_keys_and_wrong_secrets_are_told_apart(world: World) -> None:
    assert world.admin.key is not None
    del world.directory.keys[world.admin.key.id]
    refused = world.admin("GET", "/bucket/k")
    assert (refused.status, refused.code) == (403, "InvalidAccessKeyId")
    assert refused.text("AWSAccessKeyId") == world.admin.key.id
    world.user("acme", "admin")
    import dataclasses

    forged = Client(world.app, dataclasses.replace(world.admin.key, secret="guess"))
    refused = forged("GET", "/bucket/k")
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert refused.text("StringToSign").startswith("AWS4-HMAC-SHA256")


def test_a_skewed_clock_is_refused(world: World) -> None:
    world.now_ms += 20 * 60 * 1000
    refused = world.admin("GET", "/bucket/k")
    assert (refused.status, refused.code) == (403, "RequestTimeTooSkewed")


def test_presigned_urls_work_until_they_expire(world: World) -> None:
    path = world.admin.presign("GET", "/bucket/k", 60)
    assert world.anonymous("GET", path).body == b"hello"
    assert world.anonymous("PUT", path, b"x").code == "SignatureDoesNotMatch"
    assert world.anonymous("GET", path.replace("/k?", "/other?")).code == "SignatureDoesNotMatch"
    put = world.admin.presign("PUT", "/bucket/new")
    assert world.anonymous("PUT", put, b"by url").status == 200
    assert world.admin("GET", "/bucket/new").body == b"by url"
    world.now_ms += 61_000 + 60_000
    refused = world.anonymous("GET", path)
    assert (refused.status, refused.code, refused.text("Message")) == (
        403,
        "AccessDenied",
        "Request has expired",
    )
    assert world.anonymous("GET", path.split("&X-Amz-Expires")[0]).code == "AuthorizationQueryParametersError"


def test_regions_may_be_held_to() -> None:
    world = World(Settings(region="eu-1", regions=("eu-1",)))
    refused = world.admin("GET", "/")
    assert (refused.code, refused.text("Region")) == ("AuthorizationHeaderMalformed", "eu-1")


def test_another_account_is_kept_out(world: World) -> None:
    other = world.user("other", "admin")
    for method, path in (
        ("GET", "/bucket/k"),
        ("GET", "/bucket"),
        ("PUT", "/bucket/k"),
        ("DELETE", "/bucket"),
    ):
        assert other(method, path).code == "AccessDenied"
    assert world.user("cloud", "root", "reseller_admin")("GET", "/bucket/k").body == b"hello"


def test_a_public_object_is_read_by_anyone(world: World) -> None:
    assert world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "public-read"}).status == 200
    assert world.anonymous("GET", "/bucket/k").body == b"hello"
    assert world.anonymous("GET", "/bucket").code == "AccessDenied"
    assert world.anonymous("PUT", "/bucket/k", b"x").code == "AccessDenied"
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "private"})
    assert world.anonymous("GET", "/bucket/k").code == "AccessDenied"


def test_a_public_bucket_is_listed_and_written_by_anyone(world: World) -> None:
    world.admin("PUT", "/open", headers={"x-amz-acl": "public-read-write"})
    assert world.anonymous("GET", "/open?list-type=2").status == 200
    assert world.anonymous("PUT", "/open/theirs", b"x").status == 200
    assert world.anonymous("GET", "/open/absent").code == "NoSuchKey"
    assert world.admin("GET", "/open/theirs").body == b"x"
    assert world.anonymous("DELETE", "/open").code == "AccessDenied"


def test_authenticated_users_are_not_the_anonymous(world: World) -> None:
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "authenticated-read"})
    assert world.user("other", "someone", "member")("GET", "/bucket").status == 200
    assert world.anonymous("GET", "/bucket").code == "AccessDenied"
    grants = world.admin("GET", "/bucket?acl")
    assert grants.texts("URI") == [AUTHENTICATED_USERS]
    assert grants.texts("Permission") == ["READ", "FULL_CONTROL"]


def test_grants_by_header_and_by_document(world: World) -> None:
    friend = world.user("other", "friend", "member")
    sent = {"x-amz-grant-read": 'id="other:friend"', "x-amz-grant-full-control": "id=acme:admin"}
    assert world.admin("PUT", "/bucket/k?acl", headers=sent).status == 200
    assert friend("GET", "/bucket/k").body == b"hello"
    shown = world.admin("GET", "/bucket/k?acl")
    assert world.admin("PUT", "/bucket/k?acl", shown.body).status == 200
    assert friend("GET", "/bucket/k").body == b"hello"
    document = shown.body.replace(b"other:friend", b"other:else")
    assert world.admin("PUT", "/bucket/k?acl", document).code == "InvalidArgument"
    world.user("other", "else", "member")
    assert world.admin("PUT", "/bucket/k?acl", document).status == 200
    assert friend("GET", "/bucket/k").code == "AccessDenied"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"x-amz-acl": "wide-open"}, b"", "InvalidArgument"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=x"}, b"", "InvalidRequest"),
        ({"x-amz-grant-read": "name=x"}, b"", "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://nobody"}, b"", "InvalidArgument"),
        ({}, b"", "MissingSecurityHeader"),
        ({}, b"<AccessControlPolicy/>", "MalformedACLError"),
        ({"x-amz-acl": "private"}, b"<AccessControlPolicy/>", "UnexpectedContent"),
    ],
)
def test_senseless_lists_are_refused(world: World, headers: dict[str, str], body: bytes, code: str) -> None:
    assert world.admin("PUT", "/bucket?acl", body, headers).code == code


def swift_acl(world: World, **registers: bytes) -> None:
    import asyncio

    path = ContainerPath("acme", "bucket")
    named = {"read": ACL_READ, "write": ACL_WRITE}
    asyncio.run(world.colony.set_container(path, {named[n]: v for n, v in registers.items()}))


def test_a_swift_acl_opens_the_bucket_too(world: World) -> None:
    friend = world.user("other", "friend", "member")
    swift_acl(world, read=b".r:*")
    assert world.anonymous("GET", "/bucket/k").body == b"hello"
    assert world.anonymous("GET", "/bucket").code == "AccessDenied"
    swift_acl(world, read=b".r:*,.rlistings")
    assert world.anonymous("GET", "/bucket").texts("Key") == ["k"]
    swift_acl(world, read=b"", write=b"other:friend")
    assert friend("PUT", "/bucket/theirs", b"x").status == 200
    assert friend("GET", "/bucket/k").code == "AccessDenied"


def test_who_may_not_list_does_not_learn_what_is_absent(world: World) -> None:
    swift_acl(world, read=b".r:*")
    assert world.anonymous("GET", "/bucket/absent").code == "AccessDenied"
    assert world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read"}).status == 200
    assert world.anonymous("GET", "/bucket/absent").code == "NoSuchKey"
    assert world.admin("GET", "/bucket?acl").texts("URI") == [ALL_USERS]
