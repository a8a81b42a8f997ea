"""Bucket policies, public access blocks and ownership, end to end through the verbs."""

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from model.containers import POLICY
from model.names import ContainerPath
from tests.unit.proxy.s3.client import Answer, Client, World

BUCKET = "arn:aws:s3:::bucket"


@pytest.fixture
def world() -> World:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"hello")
    return world


def statement(effect: str, action: Any, resource: Any = f"{BUCKET}/*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": resource, **more}


def put_policy(world: World, *statements: dict[str, Any], bucket: str = "bucket") -> None:
    body = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()
    answer = world.admin("PUT", f"/{bucket}?policy", body)
    assert answer.status == 204, answer.body


def put_block(world: World, **switches: bool) -> None:
    inner = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in switches.items())
    body = f"<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>"
    assert world.admin("PUT", "/bucket?publicAccessBlock", body.encode()).status == 200


def put_ownership(client: Client, ownership: str) -> Answer:
    rule = f"<Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule>"
    return client(
        "PUT", "/bucket?ownershipControls", f"<OwnershipControls>{rule}</OwnershipControls>".encode()
    )


# Policies.


def test_a_policy_is_kept_as_it_was_put_until_it_is_deleted(world: World) -> None:
    text = (
        b'{ "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",\n "Resource": "*"}}'
    )
    assert world.admin("PUT", "/bucket?policy", text).status == 204
    found = world.admin("GET", "/bucket?policy")
    assert (found.status, found.body, found.headers["content-type"]) == (200, text, "application/json")
    assert world.admin("DELETE", "/bucket?policy").status == 204
    assert world.admin("DELETE", "/bucket?policy").status == 204
    assert world.admin("GET", "/bucket?policy").code == "NoSuchBucketPolicy"


def test_what_is_no_policy_is_refused_and_changes_nothing(world: World) -> None:
    put_policy(world, statement("Deny", "s3:PutObject"))
    refused = world.admin("PUT", "/bucket?policy", b'{"Statement": {}}')
    assert (refused.status, refused.code) == (400, "MalformedPolicy")
    assert refused.text("Message") == "Missing required field Effect"
    assert world.admin("PUT", "/bucket?policy", b"").code == "MalformedPolicy"
    assert b"s3:PutObject" in world.admin("GET", "/bucket?policy").body


def test_an_allow_opens_what_it_names_and_no_more(world: World) -> None:
    friend = world.user("other", "friend", "member")
    put_policy(world, statement("Allow", "s3:GetObject", Principal={"AWS": "arn:aws:iam::other:user/friend"}))
    assert friend("GET", "/bucket/k").body == b"hello"
    assert friend("HEAD", "/bucket/k").status == 200
    for method, path in (
        ("PUT", "/bucket/k"),
        ("DELETE", "/bucket/k"),
        ("GET", "/bucket"),
        ("GET", "/bucket/k?acl"),
        ("GET", "/bucket/k?tagging"),
        ("GET", "/bucket/k?versionId=null"),
        ("GET", "/bucket?policy"),
        ("GET", "/bucket/absent"),
    ):
        assert friend(method, path).code == "AccessDenied", (method, path)
    assert world.user("other", "foe", "member")("GET", "/bucket/k").code == "AccessDenied"
    assert world.anonymous("GET", "/bucket/k").code == "AccessDenied"


def test_members_of_the_account_get_in_by_policy_alone(world: World) -> None:
    member = world.user("acme", "member", "member")
    assert member("GET", "/bucket/k").code == "AccessDenied"
    put_policy(
        world,
        statement("Allow", ["s3:GetObject", "s3:PutObject"], Principal={"AWS": "acme"}),
        statement("Allow", "s3:ListBucket", BUCKET, Principal={"AWS": "acme:member"}),
    )
    assert member("GET", "/bucket/k").body == b"hello"
    assert member("PUT", "/bucket/theirs", b"x").status == 200
    assert member("GET", "/bucket").texts("Key") == ["k", "theirs"]
    # What a member wrote is the account's.
    assert world.admin("GET", "/bucket/theirs").body == b"x"


def test_a_denial_binds_the_owner_who_can_still_lift_it(world: World) -> None:
    put_policy(world, statement("Deny", "s3:*", [BUCKET, f"{BUCKET}/*"]))
    root = world.user("cloud", "root", "reseller_admin")
    for client in (world.admin, root):
        for method, path in (
            ("GET", "/bucket/k"),
            ("PUT", "/bucket/k"),
            ("GET", "/bucket"),
            ("DELETE", "/bucket"),
        ):
            assert client(method, path).code == "AccessDenied"
    assert world.admin("GET", "/bucket?policy").status == 200
    put_policy(world, statement("Deny", "s3:PutObject"))
    assert world.admin("GET", "/bucket/k").body == b"hello"
    assert world.admin("DELETE", "/bucket?policy").status == 204
    assert world.admin("PUT", "/bucket/k", b"x").status == 200


def test_a_policy_that_cannot_be_read_opens_nothing_and_can_be_replaced(world: World) -> None:
    path = ContainerPath("acme", "bucket")
    asyncio.run(world.colony.set_container(path, {POLICY: b"{"}))
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "public-read"})
    for client in (world.admin, world.anonymous):
        assert client("GET", "/bucket/k").code == "InternalError"
    assert world.admin("DELETE", "/bucket?policy").status == 204
    assert world.admin("GET", "/bucket/k").body == b"hello"


def test_a_denial_outweighs_acls_and_allows(world: World) -> None:
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "public-read"})
    assert world.anonymous("GET", "/bucket/k").status == 200
    put_policy(world, statement("Allow", "s3:*"), statement("Deny", "s3:GetObject"))
    assert world.anonymous("GET", "/bucket/k").code == "AccessDenied"


def test_no_other_account_touches_a_policy(world: World) -> None:
    friend = world.user("other", "friend")
    put_policy(world, statement("Allow", "s3:*", [BUCKET, f"{BUCKET}/*"]))
    for method in ("GET", "PUT", "DELETE"):
        assert friend(method, "/bucket?policy", b"{}" if method == "PUT" else b"").status == 405
    assert friend("GET", "/bucket?policyStatus").text("IsPublic") == "true"
    assert friend("GET", "/bucket?location").status == 200


def test_each_key_of_a_batch_is_judged_by_itself(world: World) -> None:
    friend = world.user("other", "friend", "member")
    for key in ("open/1", "open/2", "shut/1"):
        world.admin("PUT", f"/bucket/{key}", b"x")
    put_policy(world, statement("Allow", "s3:DeleteObject", f"{BUCKET}/open/*"))
    keys = ("open/1", "shut/1", "open/2", "k")
    body = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>"
    done = friend("POST", "/bucket?delete", body.encode())
    assert done.status == 200
    deleted = [node.findtext("{*}Key") for node in done.tree.iter("{*}Deleted")]
    refused = [(node.findtext("{*}Key"), node.findtext("{*}Code")) for node in done.tree.iter("{*}Error")]
    assert deleted == ["open/1", "open/2"]
    assert refused == [("shut/1", "AccessDenied"), ("k", "AccessDenied")]
    assert world.admin("GET", "/bucket").texts("Key") == ["k", "shut/1"]


def test_a_copy_needs_its_source_its_target_and_the_tags_between(world: World) -> None:
    friend = world.user("other", "friend")
    friend("PUT", "/mine")
    world.admin("PUT", "/bucket/tagged", b"x", {"x-amz-tagging": "a=b"})
    source = {"x-amz-copy-source": "/bucket/k"}
    assert friend("PUT", "/mine/k", headers=source).code == "AccessDenied"
    put_policy(world, statement("Allow", "s3:GetObject"))
    assert friend("PUT", "/mine/k", headers=source).status == 200
    assert friend("PUT", "/bucket/copy", headers=source).code == "AccessDenied"
    tagged = {"x-amz-copy-source": "/bucket/tagged"}
    assert friend("PUT", "/mine/t", headers=tagged).code == "AccessDenied"
    assert friend("PUT", "/mine/t", headers={**tagged, "x-amz-tagging-directive": "REPLACE"}).status == 200
    put_policy(world, statement("Allow", ["s3:GetObject", "s3:GetObjectTagging"]))
    assert friend("PUT", "/mine/t", headers=tagged).status == 200
    expected = {**source, "x-amz-source-expected-bucket-owner": "somebody"}
    assert friend("PUT", "/mine/k", headers=expected).code == "AccessDenied"


def test_tags_with_a_new_object_need_their_own_action(world: World) -> None:
    friend = world.user("other", "friend", "member")
    put_policy(world, statement("Allow", "s3:PutObject"))
    assert friend("PUT", "/bucket/a", b"x").status == 200
    assert friend("PUT", "/bucket/b", b"x", {"x-amz-tagging": "a=b"}).code == "AccessDenied"
    put_policy(world, statement("Allow", ["s3:PutObject", "s3:PutObjectTagging"]))
    assert friend("PUT", "/bucket/b", b"x", {"x-amz-tagging": "a=b"}).status == 200


def test_parts_are_judged_by_what_their_upload_began_with(world: World) -> None:
    friend = world.user("other", "friend", "member")
    given = {"StringNotEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    tagged = {"StringEquals": {"s3:RequestObjectTag/a": "b"}}
    put_policy(
        world,
        statement("Allow", ["s3:PutObject", "s3:PutObjectTagging"], Condition=tagged),
        statement("Deny", "s3:PutObject", Condition=given),
    )
    said = {"x-amz-acl": "bucket-owner-full-control", "x-amz-tagging": "a=b"}
    assert friend("POST", "/bucket/m?uploads", headers={"x-amz-tagging": "a=b"}).code == "AccessDenied"
    upload = friend("POST", "/bucket/m?uploads", headers=said).text("UploadId")
    part = friend("PUT", f"/bucket/m?partNumber=1&uploadId={upload}", b"x")
    assert part.status == 200
    assert friend("PUT", "/bucket/m?partNumber=1&uploadId=none", b"x").code == "AccessDenied"
    one = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{one}</CompleteMultipartUpload>".encode()
    assert friend("POST", f"/bucket/m?uploadId={upload}", body).status == 200
    assert world.admin("GET", "/bucket/m").body == b"x"


def test_a_denied_acl_is_not_given_with_a_new_object_either(world: World) -> None:
    put_policy(world, statement("Deny", "s3:PutObjectAcl"))
    assert world.admin("PUT", "/bucket/a", b"x", {"x-amz-acl": "public-read"}).code == "AccessDenied"
    assert world.admin("PUT", "/bucket/a", b"x").status == 200


@pytest.mark.parametrize(
    ("condition", "headers", "denied"),
    [
        ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"x-amz-acl": "public-read"}, True),
        ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"x-amz-acl": "private"}, False),
        ({"Null": {"s3:x-amz-server-side-encryption": "true"}}, {}, True),
        ({"StringEquals": {"s3:RequestObjectTag/a": "b"}}, {"x-amz-tagging": "a=b"}, True),
        (
            {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["c"]}},
            {"x-amz-tagging": "a=b&c=d"},
            True,
        ),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, {}, True),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {}, True),
        ({"StringEquals": {"s3:authType": "POST"}}, {}, False),
        ({"NumericGreaterThan": {"s3:signatureAge": "600000"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, True),
        ({"StringLike": {"aws:UserAgent": "curl/*"}}, {"user-agent": "curl/8"}, True),
        ({"StringLike": {"aws:Referer": "http://bad/*"}}, {"referer": "http://good/"}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, True),
        ({"StringEquals": {"aws:username": "admin", "aws:userid": "acme:admin"}}, {}, True),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, {}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::acme:user/*"}}, {}, True),
        ({"StringEquals": {"s3:ResourceAccount": "acme"}}, {}, True),
        ({"Null": {"s3:if-none-match": "true"}}, {"if-none-match": "*"}, False),
        ({"Null": {"s3:if-none-match": "true"}}, {}, True),
    ],
)
def test_conditions_see_the_request(
    world: World, condition: dict[str, Any], headers: dict[str, str], denied: bool
) -> None:
    put_policy(world, statement("Deny", "s3:PutObject", Condition=condition))
    assert world.admin("PUT", "/bucket/new", b"x", headers).status == (403 if denied else 200)


def test_tags_that_an_object_has_decide(world: World) -> None:
    friend = world.user("other", "friend", "member")
    world.admin("PUT", "/bucket/open", b"x", {"x-amz-tagging": "class=public"})
    tag = {"StringEquals": {"s3:ExistingObjectTag/class": "public"}}
    put_policy(world, statement("Allow", ["s3:GetObject", "s3:PutObjectTagging"], Condition=tag))
    assert friend("GET", "/bucket/open").body == b"x"
    assert friend("GET", "/bucket/k").code == "AccessDenied"
    body = b"<Tagging><TagSet><Tag><Key>class</Key><Value>secret</Value></Tag></TagSet></Tagging>"
    assert friend("PUT", "/bucket/open?tagging", body).status == 200
    assert friend("PUT", "/bucket/open?tagging", body).code == "AccessDenied"


def test_listing_is_judged_by_prefix_and_so_is_the_knowledge_of_absence(world: World) -> None:
    friend = world.user("other", "friend", "member")
    prefix = {"StringLike": {"s3:prefix": "open/*"}, "NumericLessThanEquals": {"s3:max-keys": "10"}}
    put_policy(
        world,
        statement("Allow", "s3:ListBucket", BUCKET, Condition=prefix),
        statement("Allow", "s3:GetObject"),
    )
    assert friend("GET", "/bucket?max-keys=10&prefix=open%2Fa").status == 200
    for query in ("?max-keys=11&prefix=open%2Fa", "?max-keys=1&prefix=shut%2F", "?max-keys=1", ""):
        assert friend("GET", f"/bucket{query}").code == "AccessDenied"
    put_policy(
        world,
        statement("Allow", "s3:ListBucket", BUCKET, Condition={"StringLike": {"s3:prefix": "open/*"}}),
        statement("Allow", "s3:GetObject"),
    )
    assert friend("GET", "/bucket/open/absent").code == "NoSuchKey"
    assert friend("GET", "/bucket/shut/absent").code == "AccessDenied"


# Blocks of public access.


def test_a_block_is_kept_until_it_is_deleted(world: World) -> None:
    assert world.admin("GET", "/bucket?publicAccessBlock").code == "NoSuchPublicAccessBlockConfiguration"
    put_block(world, BlockPublicAcls=True, RestrictPublicBuckets=True)
    found = world.admin("GET", "/bucket?publicAccessBlock")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    assert [found.text(name) for name in names] == ["true", "false", "false", "true"]
    name = b"PublicAccessBlockConfiguration"
    bad = b"<%s><BlockPublicAcls>maybe</BlockPublicAcls></%s>" % (name, name)
    assert world.admin("PUT", "/bucket?publicAccessBlock", bad).code == "MalformedXML"
    assert world.admin("DELETE", "/bucket?publicAccessBlock").status == 204
    assert world.admin("GET", "/bucket?publicAccessBlock").status == 404


def test_blocked_public_acls_cannot_be_set(world: World) -> None:
    put_block(world, BlockPublicAcls=True)
    for name in ("public-read", "public-read-write", "authenticated-read"):
        acl = {"x-amz-acl": name}
        assert world.admin("PUT", "/bucket?acl", headers=acl).code == "AccessDenied"
        assert world.admin("PUT", "/bucket/k?acl", headers=acl).code == "AccessDenied"
        assert world.admin("PUT", "/bucket/new", b"x", acl).code == "AccessDenied"
    assert world.admin("PUT", "/bucket/new", b"x", {"x-amz-acl": "private"}).status == 200


def test_ignored_public_acls_let_nobody_in(world: World) -> None:
    friend = world.user("other", "friend", "member")
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "authenticated-read"})
    assert world.admin("GET", "/bucket?policyStatus").text("IsPublic") == "true"
    put_block(world, IgnorePublicAcls=True)
    assert world.anonymous("GET", "/bucket").code == "AccessDenied"
    assert world.anonymous("PUT", "/bucket/k", b"x").code == "AccessDenied"
    assert friend("GET", "/bucket/k").code == "AccessDenied"
    assert world.admin("GET", "/bucket?policyStatus").text("IsPublic") == "false"
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-grant-read": "id=other:friend"})
    assert friend("GET", "/bucket/k").body == b"hello"


def test_a_blocked_public_policy_is_refused_and_a_narrow_one_is_not(world: World) -> None:
    put_block(world, BlockPublicPolicy=True)
    public = json.dumps({"Statement": statement("Allow", "s3:GetObject")}).encode()
    assert world.admin("PUT", "/bucket?policy", public).code == "AccessDenied"
    put_policy(world, statement("Allow", "s3:GetObject", Principal={"AWS": "other"}))
    put_policy(world, statement("Deny", "s3:GetObject"))


def test_a_restricted_bucket_with_a_public_policy_is_for_its_account_alone(world: World) -> None:
    friend, member = world.user("other", "friend"), world.user("acme", "member", "member")
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-grant-read": "id=other:friend"})
    put_policy(world, statement("Allow", "s3:GetObject"))
    assert world.anonymous("GET", "/bucket/k").body == b"hello"
    put_block(world, RestrictPublicBuckets=True)
    assert world.anonymous("GET", "/bucket/k").code == "AccessDenied"
    assert friend("GET", "/bucket/k").code == "AccessDenied"
    assert member("GET", "/bucket/k").body == b"hello"
    assert world.admin("GET", "/bucket/k").body == b"hello"


# Ownership of objects.


def test_what_another_account_wrote_is_its_own_unless_the_bucket_says_otherwise(world: World) -> None:
    friend = world.user("other", "friend")
    put_policy(world, statement("Allow", "s3:*", [BUCKET, f"{BUCKET}/*"]))
    assert friend("PUT", "/bucket/theirs", b"x").status == 200
    # Neither the bucket's owner nor its policy gives away what is not theirs; both may take it down.
    assert world.admin("GET", "/bucket/theirs").code == "AccessDenied"
    assert world.admin("GET", "/bucket/theirs?acl").code == "AccessDenied"
    assert world.anonymous("GET", "/bucket/theirs").code == "AccessDenied"
    assert friend("GET", "/bucket/theirs").body == b"x"
    assert put_ownership(world.admin, "BucketOwnerEnforced").status == 200
    assert world.admin("GET", "/bucket/theirs").body == b"x"
    assert world.admin("GET", "/bucket/theirs?acl").texts("ID")[0] == "acme:admin"
    assert world.admin("DELETE", "/bucket?ownershipControls").status == 204
    assert world.admin("GET", "/bucket/theirs").code == "AccessDenied"
    assert world.admin("DELETE", "/bucket/theirs").status == 204


def test_a_foreign_object_is_the_owners_where_its_writer_grants_it(world: World) -> None:
    friend, colleague = world.user("other", "friend"), world.user("acme", "colleague")
    world.admin("PUT", "/bucket?acl", headers={"x-amz-grant-write": "id=other:friend"})
    friend("PUT", "/bucket/theirs", b"x", {"x-amz-acl": "bucket-owner-full-control"})
    assert world.admin("GET", "/bucket/theirs").body == b"x"
    assert colleague("GET", "/bucket/theirs").body == b"x"
    assert world.admin("GET", "/bucket/theirs?acl").texts("ID")[0] == "other:friend"
    assert put_ownership(world.admin, "BucketOwnerPreferred").status == 200
    friend("PUT", "/bucket/given", b"x", {"x-amz-acl": "bucket-owner-full-control"})
    friend("PUT", "/bucket/kept", b"x")
    assert world.admin("GET", "/bucket/given?acl").texts("ID")[0] == "acme:admin"
    assert friend("GET", "/bucket/given").code == "AccessDenied"
    assert world.admin("GET", "/bucket/kept").code == "AccessDenied"


def test_an_administrator_of_all_accounts_writes_in_the_name_of_the_bucket(world: World) -> None:
    root = world.user("cloud", "root", "reseller_admin")
    assert root("PUT", "/bucket/from-root", b"x").status == 200
    assert world.admin("GET", "/bucket/from-root").body == b"x"
    assert world.admin("GET", "/bucket/from-root?acl").texts("ID")[0] == "acme:admin"


def test_an_owner_who_enforces_ownership_disables_acls(world: World) -> None:
    friend = world.user("other", "friend")
    world.admin("PUT", "/bucket/k?acl", headers={"x-amz-acl": "public-read"})
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read"})
    assert put_ownership(world.admin, "BucketOwnerEnforced").code == "InvalidBucketAclWithObjectOwnership"
    world.admin("PUT", "/bucket?acl", headers={"x-amz-acl": "private"})
    assert put_ownership(world.admin, "BucketOwnerEnforced").status == 200
    assert world.admin("GET", "/bucket?ownershipControls").text("ObjectOwnership") == "BucketOwnerEnforced"
    assert friend("GET", "/bucket/k").code == "AccessDenied"
    private = {"x-amz-acl": "private"}
    for method, path in (
        ("PUT", "/bucket?acl"),
        ("PUT", "/bucket/k?acl"),
        ("PUT", "/bucket/n"),
        ("POST", "/bucket/n?uploads"),
    ):
        assert world.admin(method, path, headers=private).code == "AccessControlListNotSupported"
    assert world.admin("PUT", "/bucket/n", b"x", {"x-amz-acl": "bucket-owner-full-control"}).status == 200


def test_ownership_is_chosen_when_a_bucket_is_made(world: World) -> None:
    chosen = {"x-amz-object-ownership": "BucketOwnerPreferred"}
    assert world.admin("PUT", "/second", headers=chosen).status == 200
    assert world.admin("GET", "/second?ownershipControls").text("ObjectOwnership") == "BucketOwnerPreferred"
    wrong = {"x-amz-object-ownership": "Nobody"}
    assert world.admin("PUT", "/third", headers=wrong).code == "InvalidArgument"
    both = {"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-acl": "public-read"}
    assert world.admin("PUT", "/third", headers=both).code == "InvalidBucketAclWithObjectOwnership"
    assert put_ownership(world.admin, "Nobody").code == "MalformedXML"


# Names.


def test_a_bucket_is_named_with_its_account_too(world: World) -> None:
    friend = world.user("other", "friend", "member")
    put_policy(world, statement("Allow", "s3:*", [BUCKET, f"{BUCKET}/*"]))
    for named in ("acme:bucket", ":bucket", "acme%3Abucket"):
        assert friend("GET", f"/{named}/k").body == b"hello"
        assert friend("GET", f"/{named}").texts("Key") == ["k"]
    assert friend("GET", "/other:bucket/k").code == "NoSuchBucket"
    assert friend("GET", "/acme:absent-bucket").code in ("NoSuchBucket", "AccessDenied")


def test_a_grant_by_e_mail_is_kept_by_id(world: World) -> None:
    friend = world.user("other", "friend", "member")
    assert friend.key is not None
    named = dataclasses.replace(friend.key.user, email="friend@example.org", display_name="A Friend")
    world.directory.keys[friend.key.id] = dataclasses.replace(friend.key, user=named)
    granted = {"x-amz-grant-read": 'emailAddress="friend@example.org"'}
    assert world.admin("PUT", "/bucket/k?acl", headers=granted).status == 200
    assert friend("GET", "/bucket/k").body == b"hello"
    shown = world.admin("GET", "/bucket/k?acl")
    assert "other:friend" in shown.texts("ID")
    assert "A Friend" in shown.texts("DisplayName")
    unknown = {"x-amz-grant-read": "emailAddress=nobody@example.org"}
    assert world.admin("PUT", "/bucket/k?acl", headers=unknown).code == "UnresolvableGrantByEmailAddress"
    assert (
        world.admin("PUT", "/bucket/k?acl", headers={"x-amz-grant-read": "id=no:body"}).code
        == "InvalidArgument"
    )


def test_a_bucket_made_again_with_another_acl_is_refused(world: World) -> None:
    assert world.admin("PUT", "/bucket").status == 200
    assert world.admin("PUT", "/bucket", headers={"x-amz-acl": "public-read"}).code == "BucketAlreadyExists"
    assert world.anonymous("GET", "/bucket").code == "AccessDenied"


def test_nobody_has_no_buckets(world: World) -> None:
    listed = world.anonymous("GET", "/")
    assert (listed.status, listed.texts("Bucket")) == (200, [])
