"""Buckets: made, claimed, listed, deleted; and what none of them has."""

import pytest

from model.names import ContainerPath
from proxy.s3.call import Settings
from tests.unit.proxy.s3.client import Client, World

EU = (
    b"<CreateBucketConfiguration>"
    b"<LocationConstraint>eu-here-1</LocationConstraint></CreateBucketConfiguration>"
)


@pytest.fixture
def world() -> World:
    return World()


def test_a_bucket_is_made_seen_and_deleted(world: World) -> None:
    admin = world.admin
    made = admin("PUT", "/bucket")
    assert (made.status, made.headers["location"]) == (200, "/bucket")
    assert admin("HEAD", "/bucket").headers["x-amz-bucket-region"] == "us-east-1"
    assert admin("GET", "/").texts("Name") == ["bucket"]
    assert admin("DELETE", "/bucket").status == 204
    assert admin("HEAD", "/bucket").status == 404
    assert admin("GET", "/").texts("Name") == []


def test_a_name_belongs_to_one_account(world: World) -> None:
    other = world.user("other", "admin")
    assert world.admin("PUT", "/bucket").status == 200
    assert other("PUT", "/bucket").code == "BucketAlreadyExists"
    assert other("GET", "/bucket").code == "AccessDenied"
    assert other("DELETE", "/bucket").code == "AccessDenied"
    assert world.admin("DELETE", "/bucket").status == 204
    assert other("PUT", "/bucket").status == 200
    assert world.admin("GET", "/bucket").code == "AccessDenied"


def test_a_name_whose_bucket_was_deleted_elsewhere_can_be_taken(world: World) -> None:
    world.admin("PUT", "/bucket")
    del world.colony.containers[ContainerPath("acme", "bucket")]
    assert world.user("other", "admin")("PUT", "/bucket").status == 200


def test_making_a_bucket_again_succeeds_only_in_the_first_region() -> None:
    world = World()
    assert [world.admin("PUT", "/bucket").status for _ in range(2)] == [200, 200]
    elsewhere = World(Settings(region="eu-here-1"))
    assert elsewhere.admin("PUT", "/bucket", EU).status == 200
    assert elsewhere.admin("PUT", "/bucket", EU).code == "BucketAlreadyOwnedByYou"
    assert elsewhere.admin("GET", "/bucket?location").text("LocationConstraint") == "eu-here-1"


def test_locations_other_than_ours_are_refused(world: World) -> None:
    assert world.admin("PUT", "/bucket", EU).code == "InvalidLocationConstraint"
    assert world.admin("PUT", "/bucket", b"<x>").code == "MalformedXML"
    assert world.admin("PUT", "/bucket").status == 200
    assert world.admin("GET", "/bucket?location").text("LocationConstraint") == ""


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "1.2.3.4", "x..y"])
def test_invalid_names_are_refused(world: World, name: str) -> None:
    assert world.admin("PUT", f"/{name}").code == "InvalidBucketName"


def test_a_bucket_that_holds_something_stays(world: World) -> None:
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"x")
    assert world.admin("DELETE", "/bucket").code == "BucketNotEmpty"
    world.admin("DELETE", "/bucket/k")
    assert world.admin("DELETE", "/bucket").status == 204


def test_an_empty_bucket_takes_its_unfinished_uploads_along(world: World) -> None:
    world.admin("PUT", "/bucket")
    upload = world.admin("POST", "/bucket/k?uploads").text("UploadId")
    world.admin("PUT", f"/bucket/k?partNumber=1&uploadId={upload}", b"part")
    assert world.admin("DELETE", "/bucket").status == 204
    world.admin("PUT", "/bucket")
    assert not world.admin("GET", "/bucket?uploads").texts("Upload")
    assert world.admin("DELETE", f"/bucket/k?uploadId={upload}").code == "NoSuchUpload"


def test_a_container_made_by_swift_is_a_bucket_of_its_account(world: World) -> None:
    async def make() -> None:
        await world.colony.create_container(ContainerPath("acme", "from-swift"), "acme:admin", {})
        await world.colony.create_container(ContainerPath("acme", "Not An S3 Name"), "acme:admin", {})

    import asyncio

    asyncio.run(make())
    assert world.admin("GET", "/").texts("Name") == ["from-swift"]
    assert world.admin("PUT", "/from-swift/k", b"x").status == 200
    assert world.user("other", "admin")("GET", "/from-swift/k").code == "NoSuchBucket"


def test_buckets_are_listed_in_pages(world: World) -> None:
    for name in ("aa1", "aa2", "bb1"):
        world.admin("PUT", f"/{name}")
    first = world.admin("GET", "/?max-buckets=2")
    assert first.texts("Name") == ["aa1", "aa2"]
    second = world.admin("GET", f"/?max-buckets=2&continuation-token={first.text('ContinuationToken')}")
    assert (second.texts("Name"), second.text("ContinuationToken")) == (["bb1"], "")
    assert world.admin("GET", "/?prefix=aa").texts("Name") == ["aa1", "aa2"]
    assert world.admin("GET", "/?max-buckets=0").code == "InvalidArgument"


def test_virtual_hosts_name_buckets() -> None:
    world = World(Settings(domains=("s3.example.org",)))
    host = "bucket.s3.example.org"
    assert world.admin("PUT", "/", host=host).status == 200
    assert world.admin("PUT", "/k", b"x", host=host).status == 200
    assert world.admin("GET", "/bucket/k").body == b"x"


_REFUSALS = ("NotImplemented", "MalformedXML", "MalformedPolicy")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cors", "NoSuchCORSConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("ownershipControls", "OwnershipControlsNotFoundError"),
        ("policy", "NoSuchBucketPolicy"),
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("website", "NoSuchWebsiteConfiguration"),
    ],
)
def test_what_is_not_configured_is_said_by_name(world: World, query: str, code: str) -> None:
    world.admin("PUT", "/bucket")
    found = world.admin("GET", f"/bucket?{query}")
    assert (found.status, found.code) == (404, code)
    assert world.admin("GET", f"/nowhere?{query}").code == "NoSuchBucket"
    assert world.admin("PUT", f"/bucket?{query}", b"<x/>").code in _REFUSALS


@pytest.mark.parametrize("query", ["versioning", "logging", "notification", "accelerate", "requestPayment"])
def test_what_is_empty_answers_empty(world: World, query: str) -> None:
    world.admin("PUT", "/bucket")
    assert world.admin("GET", f"/bucket?{query}").status == 200


def test_removing_what_was_never_configured_succeeds(world: World) -> None:
    world.admin("PUT", "/bucket")
    for query in ("cors", "lifecycle", "policy", "tagging", "website"):
        assert world.admin("DELETE", f"/bucket?{query}").status == 204


def test_what_is_not_there_is_refused_by_name(world: World) -> None:
    refused = world.admin("POST", "/bucket/k?select&select-type=2")
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert "SelectObjectContent" in refused.text("Message")
    assert world.admin("PATCH", "/bucket/k").code == "MethodNotAllowed"


def test_the_expected_owner_is_held_to(world: World) -> None:
    world.admin("PUT", "/bucket")
    header = "x-amz-expected-bucket-owner"
    assert world.admin("HEAD", "/bucket", headers={header: "acme"}).status == 200
    assert world.admin("GET", "/bucket", headers={header: "other"}).code == "AccessDenied"


def test_one_who_is_not_an_admin_makes_no_buckets_and_has_none(world: World) -> None:
    member: Client = world.user("acme", "reader", "member")
    assert member("PUT", "/bucket").code == "AccessDenied"
    assert world.admin("PUT", "/bucket").status == 200
    listed = member("GET", "/")
    assert (listed.status, listed.texts("Name")) == (200, [])
