"""Encryption as headers ask for it: what is refused and how, what is shown, and what a bucket sets."""

import asyncio
import base64
import hashlib
import json

import pytest

from proxy.encryption.defaults import BucketEncryption, CustomerKeys
from proxy.s3.call import Settings
from tests.unit.proxy.s3.client import Client, World

SSE = "x-amz-server-side-encryption"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def customer(key: bytes = KEY, *, source: str = "") -> dict[str, str]:
    """The headers of a customer's key."""
    prefix = f"x-amz-{source}server-side-encryption-customer-"
    return {
        f"{prefix}algorithm": "AES256",
        f"{prefix}key": base64.b64encode(key).decode(),
        f"{prefix}key-md5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


def rule(inner: str) -> bytes:
    """An encryption configuration of one rule."""
    name = "ServerSideEncryptionConfiguration"
    return f"<{name}><Rule>{inner}</Rule></{name}>".encode()


def by_default(algorithm: str, key_id: str = "") -> str:
    named = f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>" if key_id else ""
    name = "ApplyServerSideEncryptionByDefault"
    return f"<{name}><SSEAlgorithm>{algorithm}</SSEAlgorithm>{named}</{name}>"


@pytest.fixture
def client() -> Client:
    made = World(Settings(customer_keys=CustomerKeys.ANY)).admin
    assert made("PUT", "/bucket").status == 200
    return made


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        ({"key": None, "key-md5": None}, "InvalidArgument", "an appropriate secret key"),
        ({"algorithm": None}, "InvalidArgument", "a valid encryption algorithm"),
        ({"key-md5": None}, "InvalidArgument", "MD5 of the secret key"),
        ({"key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument", "did not match"),
        ({"key-md5": "?"}, "InvalidArgument", "did not match"),
        ({"key": "c2hvcnQ="}, "InvalidArgument", "invalid for the specified algorithm"),
        ({"key": "?"}, "InvalidArgument", "invalid for the specified algorithm"),
        ({"algorithm": "AES192"}, "InvalidEncryptionAlgorithmError", "AES256"),
    ],
)
def test_a_customers_key_that_is_not_whole_is_refused(
    client: Client, changed: dict[str, str | None], code: str, message: str
) -> None:
    headers = customer()
    for name, value in changed.items():
        del headers[f"{SSE}-customer-{name}"]
        if value is not None:
            headers[f"{SSE}-customer-{name}"] = value
    client("PUT", "/bucket/plain", b"x")
    for method, path in (("PUT", "/bucket/k"), ("GET", "/bucket/plain"), ("POST", "/bucket/k?uploads")):
        refused = client(method, path, b"x" if method == "PUT" else b"", headers)
        assert (refused.status, refused.code) == (400, code)
        assert message in refused.text("Message")
    assert client("HEAD", "/bucket/plain", headers=headers).status == 400
    assert client("GET", "/bucket/k").code == "NoSuchKey"


def test_customers_keys_go_over_tls_unless_the_operator_says_otherwise() -> None:
    client = World().admin
    client("PUT", "/bucket")
    refused = client("PUT", "/bucket/k", b"x", customer())
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert "secure connection" in refused.text("Message")


@pytest.mark.parametrize(
    "headers",
    [
        {SSE: "aes:kms"},
        {SSE: ""},
        {SSE: "AES256", **customer()},
        {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "k", **customer()},
        {SSE: "AES256", f"{SSE}-aws-kms-key-id": "k"},
        {f"{SSE}-aws-kms-key-id": "k"},
        {f"{SSE}-context": "e30="},
        {SSE: "AES256", f"{SSE}-context": "e30="},
        {SSE: "aws:kms", f"{SSE}-context": "no base64"},
        {SSE: "aws:kms", f"{SSE}-context": base64.b64encode(b'{"a":1}').decode()},
        {SSE: "aws:kms", f"{SSE}-context": base64.b64encode(b"[" * 100_000).decode()},
        {SSE: "aws:kms", f"{SSE}-bucket-key-enabled": "maybe"},
    ],
)
def test_what_does_not_fit_together_is_an_invalid_argument(client: Client, headers: dict[str, str]) -> None:
    refused = client("PUT", "/bucket/k", b"x", headers)
    assert (refused.status, refused.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("key_id", ["", "unknown", "sse-s3", "arn:aws:kms:r:1:key/unknown", "\u00fc"])
def test_a_master_key_that_is_not_there_or_not_to_be_named_is_not_found(client: Client, key_id: str) -> None:
    headers = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": key_id}
    assert client("PUT", "/bucket/k", b"x", {SSE: "AES256"}).status == 200
    refused = client("PUT", "/bucket/k2", b"x", headers)
    assert (refused.status, refused.code) == (400, "KMS.NotFoundException")


def test_reads_do_not_ask_for_encryption(client: Client) -> None:
    client("PUT", "/bucket/k", b"x", {SSE: "AES256"})
    assert client("GET", "/bucket/k", headers={SSE: "AES256"}).code == "InvalidArgument"
    assert client("HEAD", "/bucket/k", headers={SSE: "AES256"}).status == 400
    found = client("GET", "/bucket/k")
    assert (found.body, found.headers[SSE]) == (b"x", "AES256")


def test_who_may_not_read_learns_nothing_of_keys() -> None:
    world = World(Settings(customer_keys=CustomerKeys.ANY))
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"x", customer())
    stranger = world.user("other", "stranger")
    for headers in ({}, customer(), customer(OTHER_KEY)):
        assert stranger("GET", "/bucket/k", headers=headers).status == 403
        assert stranger("HEAD", "/bucket/k", headers=headers).status == 403


def test_a_customers_object_is_copied_with_its_key_alone(client: Client) -> None:
    client("PUT", "/bucket/k", b"x", customer())
    copy = {"x-amz-copy-source": "/bucket/k"}
    assert client("PUT", "/bucket/to", headers=copy).code == "InvalidRequest"
    wrong = customer(OTHER_KEY, source="copy-source-")
    assert client("PUT", "/bucket/to", headers=copy | wrong).code == "InvalidRequest"
    right = copy | customer(source="copy-source-")
    copied = client("PUT", "/bucket/to", headers=right | customer(OTHER_KEY))
    assert copied.headers[f"{SSE}-customer-key-md5"] == customer(OTHER_KEY)[f"{SSE}-customer-key-md5"]
    assert client("GET", "/bucket/to", headers=customer(OTHER_KEY)).body == b"x"
    # Onto itself: only where something changes, and a customer's key is such a thing.
    assert client("PUT", "/bucket/k", headers=right).code == "InvalidRequest"
    assert client("PUT", "/bucket/k", headers=right | customer(OTHER_KEY)).status == 200
    assert client("GET", "/bucket/k", headers=customer(OTHER_KEY)).body == b"x"


def test_a_part_that_is_sent_again_has_the_same_etag_and_no_md5(client: Client) -> None:
    begun = client("POST", "/bucket/k?uploads", headers=customer())
    upload = begun.text("UploadId")
    etags = [
        client("PUT", f"/bucket/k?uploadId={upload}&partNumber=1", b"part", customer()).headers["etag"]
        for _ in range(2)
    ]
    assert etags[0] == etags[1] != f'"{hashlib.md5(b"part").hexdigest()}"'
    other = client("POST", "/bucket/k?uploads", headers=customer()).text("UploadId")
    again = client("PUT", f"/bucket/k?uploadId={other}&partNumber=1", b"part", customer())
    assert again.headers["etag"] != etags[0]
    for headers in ({}, customer(OTHER_KEY)):
        refused = client("PUT", f"/bucket/k?uploadId={upload}&partNumber=2", b"part", headers)
        assert (refused.status, refused.code) == (400, "InvalidRequest")
    plain = client("POST", "/bucket/k?uploads").text("UploadId")
    refused = client("PUT", f"/bucket/k?uploadId={plain}&partNumber=1", b"part", customer())
    assert refused.code == "InvalidRequest"


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("", "MalformedXML"),
        (by_default(""), "MalformedXML"),
        (by_default("AES128"), "MalformedXML"),
        (by_default("AES256") + "<BucketKeyEnabled>x</BucketKeyEnabled>", "MalformedXML"),
        (by_default("AES256") + "</Rule><Rule>" + by_default("AES256"), "MalformedXML"),
        (
            by_default("AES256")
            + "<BlockedEncryptionTypes><EncryptionType>X</EncryptionType></BlockedEncryptionTypes>",
            "MalformedXML",
        ),
        (by_default("AES256", "k"), "InvalidArgument"),
        (by_default("aws:kms:dsse"), "NotImplemented"),
        (by_default("aws:kms", "sse-s3"), "KMS.NotFoundException"),
    ],
)
def test_a_bucket_refuses_a_rule_that_cannot_be(client: Client, inner: str, code: str) -> None:
    refused = client("PUT", "/bucket?encryption", rule(inner))
    assert refused.code == code
    assert client("GET", "/bucket?encryption").code == "ServerSideEncryptionConfigurationNotFoundError"


def test_only_the_owner_sets_and_sees_the_encryption_of_a_bucket() -> None:
    world = World()
    world.admin("PUT", "/bucket")
    stranger = world.user("other", "stranger")
    for method in ("GET", "PUT", "DELETE"):
        body = rule(by_default("AES256")) if method == "PUT" else b""
        assert stranger(method, "/bucket?encryption", body).code == "AccessDenied"
    assert world.admin("PUT", "/bucket?encryption", rule(by_default("AES256"))).status == 200
    assert world.admin("GET", "/bucket?encryption").text("SSEAlgorithm") == "AES256"
    assert world.admin("PUT", "/bucket/k", b"x").headers[SSE] == "AES256"
    assert world.admin("DELETE", "/bucket?encryption").status == 204
    assert SSE not in world.admin("PUT", "/bucket/k", b"x").headers


def test_buckets_that_say_nothing_do_as_the_operator_says() -> None:
    client = World(Settings(default_encryption=BucketEncryption())).admin
    client("PUT", "/bucket")
    assert client("GET", "/bucket?encryption").text("SSEAlgorithm") == "AES256"
    put = client("PUT", "/bucket/k", b"hello")
    assert (put.headers[SSE], put.headers["etag"]) == ("AES256", f'"{hashlib.md5(b"hello").hexdigest()}"')
    assert client("POST", "/bucket/m?uploads").headers[SSE] == "AES256"
    assert client("PUT", "/bucket?encryption", rule(by_default("aws:kms", "unknown"))).status == 200
    assert client("PUT", "/bucket/k", b"x").code == "KMS.NotFoundException"


def test_the_context_is_told_to_who_writes_and_to_nobody_else() -> None:
    world = World()
    asyncio.run(world.colony.keys.add("team"))
    world.admin("PUT", "/bucket")
    asked = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "team", f"{SSE}-bucket-key-enabled": "true"}
    context = base64.b64encode(b'{"b": "2", "a": "1"}').decode()
    put = world.admin("PUT", "/bucket/k", b"x", asked | {f"{SSE}-context": context})
    assert json.loads(base64.b64decode(put.headers[f"{SSE}-context"])) == {"a": "1", "b": "2"}
    world.admin("PUT", "/bucket?encryption", rule(by_default("aws:kms", "team")))
    by_itself = world.admin("PUT", "/bucket/d", b"x", {f"{SSE}-bucket-key-enabled": "true"})
    assert {name: by_itself.headers[name] for name in asked} == asked
    found = world.admin("GET", "/bucket/k")
    shown = {name: value for name, value in found.headers.items() if name.startswith(SSE)}
    assert (found.body, shown) == (b"x", asked)
