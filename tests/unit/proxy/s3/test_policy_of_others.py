"""Policies about versions and sources that a batch or a header names, and not the address."""

from base64 import b64encode
from hashlib import md5
from typing import Any

import pytest

from tests.unit.proxy.s3.client import Answer, Client, World
from tests.unit.proxy.s3.test_policy import put_policy, statement


@pytest.fixture
def world() -> World:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"hello")
    return world


def of_version(version: str) -> dict[str, Any]:
    return {"Condition": {"StringEquals": {"s3:VersionId": version}}}


def delete_null(client: Client, query: str = "") -> Answer:
    body = b"<Delete><Object><Key>k</Key><VersionId>null</VersionId></Object></Delete>"
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    return client("POST", f"/bucket?{query}delete", body, {"content-md5": digest})


def test_a_batch_is_judged_by_the_versions_it_names_and_not_by_its_query(world: World) -> None:
    member = world.user("acme", "member", "member")
    allow = statement("Allow", "s3:DeleteObjectVersion", **of_version("other"))
    put_policy(world, allow, statement("Deny", "s3:DeleteObjectVersion", **of_version("null")))
    assert delete_null(world.admin).texts("Code") == ["AccessDenied"]
    put_policy(world, allow)
    assert delete_null(member, "versionId=other&").texts("Code") == ["AccessDenied"]
    put_policy(world, statement("Allow", "s3:DeleteObjectVersion", **of_version("null")))
    assert delete_null(member).texts("Deleted")


def test_the_source_of_a_copy_is_judged_by_its_own_version(world: World) -> None:
    world.admin("PUT", "/target")
    copy = {"x-amz-copy-source": "bucket/k?versionId=null"}
    put_policy(world, statement("Deny", "s3:GetObjectVersion", **of_version("null")))
    assert world.admin("PUT", "/target/k", headers=copy).code == "AccessDenied"
    put_policy(world, statement("Deny", "s3:GetObjectVersion", **of_version("other")))
    assert world.admin("PUT", "/target/k?versionId=other", headers=copy).status == 200


@pytest.mark.parametrize(
    "source", ["secret/k", "/secret/k", ":secret/k", "acme:secret/k", "acme%3Asecret%2Fk"]
)
def test_a_denied_source_of_copies_is_denied_however_it_is_named(world: World, source: str) -> None:
    world.admin("PUT", "/secret")
    world.admin("PUT", "/secret/k", b"hidden")
    condition = {"Condition": {"StringLike": {"s3:x-amz-copy-source": "secret/*"}}}
    put_policy(world, statement("Deny", "s3:PutObject", **condition))
    assert world.admin("PUT", "/bucket/copy", headers={"x-amz-copy-source": source}).code == "AccessDenied"


def test_tags_that_a_copy_brings_along_are_judged_and_not_those_of_a_header(world: World) -> None:
    member = world.user("acme", "member", "member")
    world.admin("PUT", "/bucket/tagged", headers={"x-amz-tagging": "class=secret"})
    condition = {"Condition": {"StringEquals": {"s3:RequestObjectTag/class": "public"}}}
    freely = statement("Allow", ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject"])
    put_policy(world, freely, statement("Allow", "s3:PutObjectTagging", **condition))
    copy = {"x-amz-copy-source": "bucket/tagged", "x-amz-tagging": "class=public"}
    assert member("PUT", "/bucket/copy", headers=copy).code == "AccessDenied"
    replaced = {**copy, "x-amz-tagging-directive": "REPLACE"}
    assert member("PUT", "/bucket/copy", headers=replaced).status == 200
