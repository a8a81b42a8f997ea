"""What a bucket policy denies, and what a public access block blocks, holds for Swift too."""

import json
from typing import Any

import pytest

from model.containers import POLICY, PUBLIC_ACCESS_BLOCK
from model.names import ContainerPath
from model.objects import TAGS
from proxy.auth.public_access import PublicAccessBlock, pack_block
from proxy.operations.types import HeldBody, NewObject
from proxy.s3 import tags
from tests.unit.proxy.swift.client import TEST, SwiftBench

C = f"{TEST}/bucket"
PATH = ContainerPath("test", "bucket")


@pytest.fixture
def bench(swift: SwiftBench) -> SwiftBench:
    swift.call("PUT", C)
    swift.call("PUT", f"{C}/open/o", body=b"hello")
    swift.call("PUT", f"{C}/secret/o", body=b"hush")
    return swift


def deny(bench: SwiftBench, action: str, resource: str, **more: Any) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{resource}"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **more}]})
    bench.run(bench.fake.set_container(PATH, {POLICY: policy.encode()}))


def block(bench: SwiftBench, **switches: bool) -> None:
    bench.run(
        bench.fake.set_container(PATH, {PUBLIC_ACCESS_BLOCK: pack_block(PublicAccessBlock(**switches))})
    )


def test_a_denied_object_is_read_by_nobody_not_even_its_owner(bench: SwiftBench) -> None:
    deny(bench, "s3:GetObject", "bucket/secret/*")
    assert bench.call("GET", f"{C}/open/o").body == b"hello"
    for method in ("GET", "HEAD", "COPY"):
        headers = {"destination": "bucket/copy"} if method == "COPY" else {}
        assert bench.call(method, f"{C}/secret/o", headers).status == 403
    assert bench.call("PUT", f"{C}/copy", {"x-copy-from": "bucket/secret/o"}).status == 403
    assert bench.call("GET", f"{C}/secret/o", user="").status == 401


def test_denied_writes_deletions_and_listings_are_refused(bench: SwiftBench) -> None:
    deny(bench, "s3:PutObject", "bucket/secret/*")
    assert bench.call("PUT", f"{C}/secret/o", body=b"x").status == 403
    assert bench.call("POST", f"{C}/secret/o", {"x-object-meta-a": "1"}).status == 403
    assert bench.call("PUT", f"{C}/open/o", body=b"x").status == 201
    deny(bench, "s3:DeleteObject", "bucket/*")
    assert bench.call("DELETE", f"{C}/open/o").status == 403
    assert bench.call("PUT", f"{C}/open/o", body=b"x").status == 201
    deny(bench, "s3:ListBucket", "bucket", Condition={"StringNotEquals": {"s3:prefix": "open/"}})
    assert bench.call("GET", C).status == 403
    assert bench.call("GET", f"{C}?prefix=open/").body == b"open/o\n"
    deny(bench, "s3:DeleteBucket", "bucket")
    assert bench.call("DELETE", C).status == 403


def test_a_denial_by_tag_is_heeded(bench: SwiftBench) -> None:
    new = NewObject(sides={TAGS: tags.pack({"class": "secret"})})
    bench.run(bench.fake.put_object(PATH.object("secret/o"), new, HeldBody(b"hush")))
    deny(
        bench,
        "s3:GetObject",
        "bucket/*",
        Condition={"StringEquals": {"s3:ExistingObjectTag/class": "secret"}},
    )
    assert bench.call("GET", f"{C}/secret/o").status == 403
    assert bench.call("GET", f"{C}/open/o").body == b"hello"


def test_a_manifest_does_not_lead_around_a_denial(bench: SwiftBench) -> None:
    bench.call("PUT", f"{TEST}/other")
    bench.call("PUT", f"{TEST}/other/all", {"x-object-manifest": "bucket/secret/"})
    assert bench.call("GET", f"{TEST}/other/all").body == b"hush"
    deny(bench, "s3:GetObject", "bucket/secret/*")
    assert bench.call("GET", f"{TEST}/other/all").status == 403


def test_an_allow_opens_nothing_to_swift(bench: SwiftBench) -> None:
    policy = {
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}
        ]
    }
    bench.run(bench.fake.set_container(PATH, {POLICY: json.dumps(policy).encode()}))
    assert bench.call("GET", f"{C}/open/o", user="").status == 401
    assert bench.call("GET", f"{C}/open/o", user="test2:tester2").status == 403


def test_blocked_public_acls_cannot_be_set_and_ignored_ones_do_not_count(bench: SwiftBench) -> None:
    bench.call("POST", C, {"x-container-read": ".r:*"})
    assert bench.call("GET", f"{C}/open/o", user="").status == 200
    block(bench, ignore_acls=True)
    assert bench.call("GET", f"{C}/open/o", user="").status == 401
    block(bench, block_acls=True)
    for method in ("POST", "PUT"):
        assert bench.call(method, C, {"x-container-read": ".r:*,.rlistings"}).status == 403
        assert bench.call(method, C, {"x-container-write": "*:*"}).status == 403
        assert bench.call(method, C, {"x-container-read": "test2:tester2"}).status in (202, 204)


def test_a_restricted_public_bucket_is_closed_to_strangers(bench: SwiftBench) -> None:
    bench.call("POST", C, {"x-container-read": "test2:tester2,test:tester3"})
    policy = {
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}
        ]
    }
    bench.run(bench.fake.set_container(PATH, {POLICY: json.dumps(policy).encode()}))
    assert bench.call("GET", f"{C}/open/o", user="test2:tester2").status == 200
    block(bench, restrict_buckets=True)
    assert bench.call("GET", f"{C}/open/o", user="test2:tester2").status == 403
    assert bench.call("GET", f"{C}/open/o", user="test:tester3").status == 200


def test_a_denial_of_acls_binds_the_owner(bench: SwiftBench) -> None:
    deny(bench, "s3:PutBucketAcl", "bucket")
    assert bench.call("POST", C, {"x-container-read": "test2"}).status == 403
    assert bench.call("POST", C, {"x-container-meta-a": "1"}).status == 204
