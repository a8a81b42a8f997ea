"""boto3 with several users: policies, public access, ownership and ACLs of a running colony, and Swift."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from tests.api.test_s3_objects import client_of, code_of
from tests.support.colony import Colony

FELT_S = 5.0


@dataclass(frozen=True)
class Party:
    """Clients of an owner, a member of its account, a friend in another account, and nobody."""

    owner: Any
    member: Any
    friend: Any
    nobody: Any
    account: str
    friends: str


@pytest.fixture(scope="module")
def party(colony: Colony) -> Party:
    """Users of two accounts, made by the command."""
    account, friends = f"own{uuid.uuid4().hex[:8]}", f"far{uuid.uuid4().hex[:8]}"

    def client(user_id: str, *options: str) -> Any:
        made = colony.command("user", "add", user_id, "--key", "--json", *options)
        keys = json.loads(made.stdout)
        return client_of(colony, keys["access_key"], keys["secret_key"])

    owner = client(f"{account}:owner", "--admin", "--name", "The Owner")
    member = client(f"{account}:member")
    email = f"{friends}@example.org"
    friend = client(f"{friends}:friend", "--admin", "--name", "A Friend", "--email", email)
    nobody = client_of(colony, signature_version=UNSIGNED)
    return Party(owner, member, friend, nobody, account, friends)


@pytest.fixture
def bucket(party: Party) -> Iterator[str]:
    """A bucket of the owner's with one object."""
    name = f"policies-{uuid.uuid4().hex[:12]}"
    party.owner.create_bucket(Bucket=name)
    party.owner.put_object(Bucket=name, Key="k", Body=b"hello")
    yield name
    party.owner.delete_bucket_policy(Bucket=name)
    for found in party.owner.list_objects_v2(Bucket=name).get("Contents", ()):
        party.owner.delete_object(Bucket=name, Key=found["Key"])
    party.owner.delete_bucket(Bucket=name)


def put_policy(party: Party, bucket: str, *statements: dict[str, Any]) -> None:
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    party.owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def statement(effect: str, action: Any, resource: str, principal: Any = "*", **more: Any) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": f"arn:aws:s3:::{resource}",
        **more,
    }


def read(client: Any, bucket: str, key: str = "k") -> str:
    """The text of an object, or the code of the refusal."""
    try:
        return str(client.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def comes_true(client: Any, bucket: str, expected: str) -> None:
    """What is closed may be open for a second more, in processes that remember the bucket."""
    give_up_s = time.monotonic() + FELT_S
    while read(client, bucket) != expected and time.monotonic() < give_up_s:
        time.sleep(0.05)
    assert read(client, bucket) == expected


def test_a_policy_opens_to_whom_it_names_at_once_and_closes_within_a_second(
    party: Party, bucket: str
) -> None:
    everybody = (party.owner, party.member, party.friend, party.nobody)
    denied = "AccessDenied"
    assert [read(client, bucket) for client in everybody] == ["hello", denied, denied, denied]
    put_policy(
        party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*", {"AWS": f"{party.account}:member"})
    )
    assert [read(client, bucket) for client in everybody] == ["hello", "hello", denied, denied]
    friend = {"AWS": f"arn:aws:iam::{party.friends}:user/friend"}
    put_policy(party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*", friend))
    assert read(party.friend, bucket) == "hello"
    comes_true(party.member, bucket, denied)
    put_policy(party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*"))
    assert [read(client, bucket) for client in everybody] == ["hello"] * 4
    assert party.owner.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    put_policy(party, bucket, statement("Deny", "s3:GetObject", f"{bucket}/*"))
    for client in everybody:
        comes_true(client, bucket, denied)
    party.owner.delete_bucket_policy(Bucket=bucket)
    assert read(party.owner, bucket) == "hello"


def test_a_policy_comes_back_as_it_was_put_and_nonsense_is_refused(party: Party, bucket: str) -> None:
    text = json.dumps({"Statement": statement("Deny", "s3:PutObject", f"{bucket}/x")}, indent=3)
    party.owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert party.owner.get_bucket_policy(Bucket=bucket)["Policy"] == text
    with pytest.raises(ClientError) as refused:
        party.owner.put_bucket_policy(Bucket=bucket, Policy='{"Statement": []}')
    assert code_of(refused) == "MalformedPolicy"
    with pytest.raises(ClientError) as refused:
        party.friend.put_bucket_policy(Bucket=bucket, Policy=text)
    assert code_of(refused) == "AccessDenied"


def test_conditions_of_prefix_and_address_decide_over_listings(party: Party, bucket: str) -> None:
    narrow = {"StringLike": {"s3:prefix": "open/*"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    put_policy(party, bucket, statement("Allow", "s3:ListBucket", bucket, Condition=narrow))
    party.friend.list_objects_v2(Bucket=bucket, Prefix="open/")
    with pytest.raises(ClientError) as refused:
        party.friend.list_objects_v2(Bucket=bucket)
    assert code_of(refused) == "AccessDenied"
    elsewhere = {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    put_policy(party, bucket, statement("Deny", "s3:*", f"{bucket}/*", Condition=elsewhere))
    assert read(party.owner, bucket) == "hello"


def test_what_a_policy_denies_is_denied_to_swift_too(colony: Colony, party: Party, bucket: str) -> None:
    user = f"{party.account}:swift"
    colony.command("user", "add", user, "--admin", "--password", "testing")
    signed = requests.get(
        colony.swift_auth, headers={"X-Auth-User": user, "X-Auth-Key": "testing"}, timeout=10
    )
    url, token = signed.headers["X-Storage-Url"], {"X-Auth-Token": signed.headers["X-Auth-Token"]}
    assert requests.get(f"{url}/{bucket}/k", headers=token, timeout=10).content == b"hello"
    put_policy(party, bucket, statement("Deny", ["s3:GetObject", "s3:DeleteObject"], f"{bucket}/*"))
    comes_true(party.owner, bucket, "AccessDenied")
    give_up_s = time.monotonic() + FELT_S
    while requests.get(f"{url}/{bucket}/k", headers=token, timeout=10).status_code != 403:
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    assert requests.delete(f"{url}/{bucket}/k", headers=token, timeout=10).status_code == 403
    assert requests.get(f"{url}/{bucket}", headers=token, timeout=10).text == "k\n"
    blocked = {"BlockPublicAcls": True}
    party.owner.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)
    public = {**token, "X-Container-Read": ".r:*"}
    assert requests.post(f"{url}/{bucket}", headers=public, timeout=10).status_code == 403


def test_public_access_is_blocked_four_ways(party: Party, bucket: str) -> None:
    def block(**switches: bool) -> None:
        party.owner.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=switches)

    party.owner.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert read(party.nobody, bucket) == "hello"
    block(IgnorePublicAcls=True)
    comes_true(party.nobody, bucket, "AccessDenied")
    block(BlockPublicAcls=True, BlockPublicPolicy=True)
    for refuse in (
        lambda: party.owner.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
        lambda: party.owner.put_object(Bucket=bucket, Key="new", Body=b"x", ACL="public-read"),
        lambda: party.owner.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: put_policy(party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*")),
    ):
        with pytest.raises(ClientError) as refused:
            refuse()
        assert code_of(refused) == "AccessDenied"
    party.owner.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    party.owner.delete_public_access_block(Bucket=bucket)
    put_policy(party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*"))
    assert read(party.nobody, bucket) == "hello"
    block(RestrictPublicBuckets=True)
    comes_true(party.nobody, bucket, "AccessDenied")
    assert read(party.member, bucket) == "hello"


def test_ownership_decides_whose_an_object_is(party: Party, bucket: str) -> None:
    put_policy(party, bucket, statement("Allow", "s3:*", f"{bucket}/*"))
    party.friend.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    assert read(party.owner, bucket, "theirs") == "AccessDenied"
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    party.owner.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    assert read(party.owner, bucket, "theirs") == "x"
    shown = party.owner.get_object_acl(Bucket=bucket, Key="theirs")
    assert shown["Owner"] == {"ID": f"{party.account}:owner", "DisplayName": "The Owner"}
    with pytest.raises(ClientError) as refused:
        party.owner.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert code_of(refused) == "AccessControlListNotSupported"


def test_a_grant_by_e_mail_opens_and_shows_the_user(party: Party, bucket: str) -> None:
    party.owner.put_object_acl(
        Bucket=bucket, Key="k", GrantRead=f'emailAddress="{party.friends.upper()}@example.org"'
    )
    assert read(party.friend, bucket) == "hello"
    (grant,) = party.owner.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert grant["Grantee"]["ID"] == f"{party.friends}:friend"
    assert grant["Grantee"]["DisplayName"] == "A Friend"


def test_a_bucket_is_addressed_with_its_account(colony: Colony, party: Party, bucket: str) -> None:
    put_policy(party, bucket, statement("Allow", "s3:GetObject", f"{bucket}/*"))
    for named in (f"{party.account}:{bucket}", f":{bucket}", bucket):
        assert requests.get(f"{colony.s3_endpoint}/{named}/k", timeout=10).content == b"hello"
    assert requests.get(f"{colony.s3_endpoint}/other:{bucket}/k", timeout=10).status_code == 404
