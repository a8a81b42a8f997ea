"""Static large objects of Swift, read through S3: who reads one reads its segments."""

import asyncio
import dataclasses
import json

import pytest

from model.containers import ACL_READ
from model.names import ContainerPath, ObjectPath
from model.objects import Manifest, Part
from proxy.operations.types import HeldBody, NewObject
from tests.unit.proxy.s3.client import Client, World

PUBLIC, SECRET = ContainerPath("acme", "public"), ContainerPath("acme", "secret")


@pytest.fixture
def world() -> World:
    """A bucket that a member may read, and in it a large object of segments that it may not."""
    world = World()
    for bucket in ("public", "secret", "target"):
        world.admin("PUT", f"/{bucket}")
    world.admin("PUT", "/secret/segment", b"hidden")
    large(world, "large", SECRET.object("segment"))
    asyncio.run(world.colony.set_container(PUBLIC, {ACL_READ: b"acme:member"}))
    return world


def large(world: World, name: str, segment: ObjectPath) -> None:
    parts = (Part(1, segment.account, segment.container, segment.name, "", 6, whole=6),)
    new = NewObject(
        "text/plain", owner="acme:admin", etag="0" * 32, manifest=Manifest.STATIC, parts=parts, stated_size=6
    )
    asyncio.run(world.colony.put_object(PUBLIC.object(name), new, HeldBody(b"")))


def deny(world: World, bucket: str, key: str) -> None:
    resource = f"arn:aws:s3:::{bucket}/{key}"
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denial]}).encode()
    assert world.admin("PUT", f"/{bucket}?policy", policy).status == 204


def read(client: Client, name: str = "large") -> str:
    answer = client("GET", f"/public/{name}")
    return answer.body.decode() if answer.status == 200 else answer.code


def test_who_may_not_read_the_segments_does_not_read_the_object(world: World) -> None:
    member = world.user("acme", "member", "member")
    assert (read(world.admin), read(member)) == ("hidden", "AccessDenied")
    asyncio.run(world.colony.set_container(SECRET, {ACL_READ: b"acme:member"}))
    assert read(member) == "hidden"


def test_a_denial_of_a_segment_holds_for_reads_and_copies_of_the_object(world: World) -> None:
    deny(world, "secret", "other")
    assert read(world.admin) == "hidden"
    deny(world, "secret", "segment")
    assert read(world.admin) == "AccessDenied"
    copied = world.admin("PUT", "/target/copy", headers={"x-amz-copy-source": "public/large"})
    assert copied.code == "AccessDenied"


def test_manifests_within_manifests_hide_no_segment(world: World) -> None:
    large(world, "outer", PUBLIC.object("large"))
    assert read(world.user("acme", "member", "member"), "outer") == "AccessDenied"


def test_bytes_held_inline_need_no_leave(world: World) -> None:
    inline = dataclasses.replace(Part(1, "", "", "", "", 6, whole=6), inline=b"inline")
    new = NewObject(
        "text/plain",
        owner="acme:admin",
        etag="0" * 32,
        manifest=Manifest.STATIC,
        parts=(inline,),
        stated_size=6,
    )
    asyncio.run(world.colony.put_object(PUBLIC.object("inline"), new, HeldBody(b"")))
    member = world.user("acme", "member", "member")
    assert member("HEAD", "/public/inline").status == 200
