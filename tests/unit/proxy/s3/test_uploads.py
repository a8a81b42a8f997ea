"""Bodies of uploads in every framing, and what follows where they are not what was said of them."""

import hashlib
import hmac
from base64 import b64encode

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from proxy import checksums
from proxy.auth.sigv4 import signing_key
from tests.unit.proxy.s3.client import HOST, Answer, Client, World

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def client() -> Client:
    made = World().admin
    assert made("PUT", "/bucket").status == 200
    return made


def signed(client: Client, headers: dict[str, str], payload_hash: str) -> dict[str, str]:
    """Headers of a PUT of /bucket/k with a payload hash of any kind, signed."""
    assert client.key is not None

    class Auth(S3SigV4Auth):  # type: ignore[misc]
        def payload(self, request: AWSRequest) -> str:
            return payload_hash

    request = AWSRequest("PUT", f"http://{HOST}/bucket/k", headers={"host": HOST, **headers})
    Auth(Credentials(client.key.id, client.key.secret), "s3", "us-east-1").add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def framed(body: bytes, headers: dict[str, str], payload_hash: str, client: Client) -> Answer:
    sent = signed(client, {"content-length": str(len(body)), **headers}, payload_hash)
    return client.send("PUT", "/bucket/k", body, sent)


def chunk_signed(client: Client, payload: bytes, trailer: str = "") -> Answer:
    """A PUT with signed chunks, and a signed trailer of one field where it is given."""
    assert client.key is not None
    mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = {"x-amz-decoded-content-length": str(len(payload)), "content-encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = trailer.partition(":")[0]
    sent = signed(client, headers, mode)
    date = sent["X-Amz-Date"]
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    key = signing_key(client.key.secret, date[:8], "us-east-1", "s3")
    previous = sent["Authorization"].rpartition("Signature=")[2]
    body = b""
    for chunk in (payload, b""):
        hashed = hashlib.sha256(chunk).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{EMPTY}\n{hashed}"
        previous = hmac.digest(key, to_sign.encode(), "sha256").hex()
        end = b"\r\n" if chunk or not trailer else b""
        body += b"%x;chunk-signature=%b\r\n%b" % (len(chunk), previous.encode(), chunk) + end
    if trailer:
        hashed = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{previous}\n{hashed}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        body += f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    return client.send("PUT", "/bucket/k", body, {**sent, "content-length": str(len(body))})


@pytest.mark.parametrize("name", checksums.BYTES)
def test_a_checksum_in_a_header_is_verified_stored_and_returned(client: Client, name: str) -> None:
    header = f"x-amz-checksum-{name.lower()}"
    value = checksums.checksum(name, b"hello")
    stored = client("PUT", "/bucket/k", b"hello", {header: value})
    assert (stored.status, stored.headers[header]) == (200, value)
    found = client("GET", "/bucket/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert (found.headers[header], found.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    assert header not in client("GET", "/bucket/k").headers
    wrong = client("PUT", "/bucket/k", b"other", {header: value})
    assert (wrong.status, wrong.code) == (400, "BadDigest")
    assert client("GET", "/bucket/k").body == b"hello"
    assert client("PUT", "/bucket/k", b"x", {header: "zzzz"}).code == "InvalidRequest"
    assert client("PUT", "/bucket/k", b"x", {header: "zz"}).code == "BadDigest"
    named = {header: value, "x-amz-sdk-checksum-algorithm": name.lower()}
    assert client("PUT", "/bucket/k", b"hello", named).status == 200
    other = "SHA1" if name != "SHA1" else "CRC32"
    mixed = client("PUT", "/bucket/k", b"hello", {**named, "x-amz-sdk-checksum-algorithm": other})
    assert (mixed.code, "x-amz-sdk-checksum-algorithm" in mixed.text("Message")) == ("InvalidRequest", True)


def test_a_checksum_with_stray_bits_is_none() -> None:
    assert checksums.well_formed("CRC32", "y/Q5Jg==")
    for text in ("y/Q5Jh==", "y/Q5J===", "shrt", "toolong=", "^^^^^^==", ""):
        assert not checksums.well_formed("CRC32", text)


@pytest.mark.parametrize("name", checksums.BYTES)
def test_a_checksum_in_an_unsigned_trailer_is_verified(client: Client, name: str) -> None:
    header = f"x-amz-checksum-{name.lower()}"
    for payload, status in ((b"hello", 200), (b"jello", 400)):
        body = b"5\r\n%b\r\n0\r\n%b:%b\r\n\r\n" % (
            payload,
            header.encode(),
            checksums.checksum(name, b"hello").encode(),
        )
        sent = {"x-amz-decoded-content-length": "5", "x-amz-trailer": header}
        answer = framed(body, sent, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", client)
        assert answer.status == status
    assert client("GET", "/bucket/k").body == b"hello"


def test_a_declared_trailer_must_come(client: Client) -> None:
    sent = {"x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"}
    answer = framed(b"5\r\nhello\r\n0\r\n\r\n", sent, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", client)
    assert answer.code == "MalformedTrailerError"
    sent["x-amz-trailer"] = "x-amz-meta-later"
    answer = framed(b"5\r\nhello\r\n0\r\n\r\n", sent, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", client)
    assert answer.code == "InvalidRequest"


def test_signed_chunks_are_stored_without_their_framing(client: Client) -> None:
    payload = b"0123456789" * 3000
    assert chunk_signed(client, payload).status == 200
    found = client("GET", "/bucket/k")
    assert found.body == payload
    assert "content-encoding" not in found.headers


def test_a_signed_trailer_is_verified(client: Client) -> None:
    right = checksums.checksum("CRC32C", b"hello")
    assert chunk_signed(client, b"hello", f"x-amz-checksum-crc32c:{right}").status == 200
    wrong = checksums.checksum("CRC32C", b"jello")
    assert chunk_signed(client, b"hello", f"x-amz-checksum-crc32c:{wrong}").code == "BadDigest"


def test_the_decoded_length_must_be_said_and_kept(client: Client) -> None:
    mode = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    body = b"5\r\nhello\r\n0\r\n\r\n"
    assert framed(body, {}, mode, client).code == "MissingContentLength"
    assert framed(body, {"x-amz-decoded-content-length": "6"}, mode, client).code == "IncompleteBody"
    assert framed(body, {"x-amz-decoded-content-length": "4"}, mode, client).code == "IncompleteBody"
    assert framed(body, {"x-amz-decoded-content-length": "5"}, mode, client).status == 200


def test_the_signed_hash_of_the_body_is_verified(client: Client) -> None:
    right = hashlib.sha256(b"hello").hexdigest()
    assert framed(b"hello", {}, right, client).status == 200
    refused = framed(b"jello", {}, right, client)
    assert (refused.status, refused.code) == (400, "XAmzContentSHA256Mismatch")
    assert framed(b"jello", {}, "UNSIGNED-PAYLOAD", client).status == 200


def test_content_md5_is_verified(client: Client) -> None:
    right = b64encode(hashlib.md5(b"hello").digest()).decode()
    assert client("PUT", "/bucket/k", b"hello", {"content-md5": right}).status == 200
    assert client("PUT", "/bucket/k", b"jello", {"content-md5": right}).code == "BadDigest"
    for broken in ("", "zz", "AAAA"):
        assert client("PUT", "/bucket/k", b"hello", {"content-md5": broken}).code == "InvalidDigest"


def test_a_length_must_be_said(client: Client) -> None:
    sent = signed(client, {}, "UNSIGNED-PAYLOAD")
    refused = client.send("PUT", "/bucket/k", b"hello", sent)
    assert (refused.status, refused.code) == (411, "MissingContentLength")
    assert client.send("PUT", "/bucket/k", b"hello", {**sent, "transfer-encoding": "chunked"}).status == 200


def test_two_checksums_at_once_are_refused(client: Client) -> None:
    sent = {f"x-amz-checksum-{name}": checksums.checksum(name.upper(), b"a") for name in ("crc32", "sha1")}
    assert client("PUT", "/bucket/k", b"a", sent).code == "InvalidRequest"
    assert client("PUT", "/bucket/k", b"a", {"x-amz-sdk-checksum-algorithm": "MD4"}).code == "InvalidRequest"


def test_without_a_checksum_one_is_computed(client: Client) -> None:
    client("PUT", "/bucket/k", b"hello")
    found = client("HEAD", "/bucket/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.headers["x-amz-checksum-crc64nvme"] == checksums.checksum("CRC64NVME", b"hello")


def test_a_wrong_hash_is_told_before_a_wrong_md5_and_each_with_both_values(client: Client) -> None:
    md5 = b64encode(hashlib.md5(b"other").digest()).decode()
    wrong = hashlib.sha256(b"other").hexdigest().upper()
    both = framed(b"hello", {"content-md5": md5}, wrong, client)
    assert (both.status, both.code) == (400, "XAmzContentSHA256Mismatch")
    assert both.text("ClientComputedContentSHA256") == wrong
    assert both.text("S3ComputedContentSHA256") == hashlib.sha256(b"hello").hexdigest()
    one = client("PUT", "/bucket/k", b"hello", {"content-md5": md5})
    assert (one.status, one.code) == (400, "BadDigest")
    assert one.text("ExpectedDigest") == hashlib.md5(b"other").hexdigest()
    assert one.text("CalculatedDigest") == b64encode(hashlib.md5(b"hello").digest()).decode()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-checksum-whirlpool": "AAAA"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, "MalformedTrailerError"),
        ({"content-md5": "aGVsbG8="}, "InvalidDigest"),
    ],
)
def test_a_digest_that_cannot_be_held_against_the_body_is_refused(
    client: Client, headers: dict[str, str], code: str
) -> None:
    assert client("PUT", "/bucket/k", b"hello", headers).code == code
    assert client("GET", "/bucket/k").code == "NoSuchKey"


def test_a_trailer_that_was_not_announced_is_refused(client: Client) -> None:
    value = checksums.checksum("CRC32", b"hello")
    headers = {
        "x-amz-decoded-content-length": "5",
        "content-encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32,",
    }
    body = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{value}\r\n".encode()
    mode = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert framed(body + b"\r\n", headers, mode, client).status == 200
    assert framed(body + b"more:1\r\n\r\n", headers, mode, client).code == "MalformedTrailerError"


def test_many_deletions_need_a_digest_of_their_list(client: Client) -> None:
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    headers = {"content-length": str(len(body)), "host": HOST}
    request = AWSRequest("POST", f"http://{HOST}/bucket?delete=", data=body, headers=headers)
    assert client.key is not None
    S3SigV4Auth(Credentials(client.key.id, client.key.secret), "s3", "us-east-1").add_auth(request)
    sent = {name: str(value) for name, value in request.headers.items()}
    refused = client.send("POST", "/bucket?delete=", body, sent)
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert "Content-MD5" in refused.text("Message")
