"""Requests framed as SDKs other than boto3 frame them: streamed, of unknown length, with trailers."""

import hashlib
import http.client
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from proxy import checksums
from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

PAYLOAD = bytes(range(256)) * 9000


@pytest.fixture
def bucket(colony: Colony) -> Iterator[str]:
    """A bucket of the test's own."""
    s3: Any = client_of(colony)
    name = f"f-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)


class _Auth(S3SigV4Auth):  # type: ignore[misc]
    def __init__(self, colony: Colony, payload_hash: str) -> None:
        super().__init__(Credentials(colony.access_key, colony.secret_key), "s3", "us-east-1")
        self.payload_hash = payload_hash

    def payload(self, request: AWSRequest) -> str:
        return self.payload_hash


def send(
    colony: Colony, path: str, body: Any, payload_hash: str, headers: dict[str, str]
) -> tuple[int, bytes]:
    """PUT a body: bytes with Content-Length, or an iterator, chunked by HTTP."""
    host = urlsplit(colony.s3_endpoint).netloc
    request = AWSRequest("PUT", f"http://{host}{path}", headers={"host": host, **headers})
    _Auth(colony, payload_hash).add_auth(request)
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        chunked = not isinstance(body, bytes)
        connection.request("PUT", path, body, dict(request.headers.items()), encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def framed(payload: bytes, trailer: str, size: int) -> Iterator[bytes]:
    for start in range(0, len(payload), size):
        piece = payload[start : start + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield f"0\r\n{trailer}\r\n\r\n".encode()


@pytest.mark.parametrize("name", checksums.BYTES)
def test_a_stream_of_unknown_length_with_a_trailer(colony: Colony, bucket: str, name: str) -> None:
    header = f"x-amz-checksum-{name.lower()}"
    sent = {
        "x-amz-decoded-content-length": str(len(PAYLOAD)),
        "x-amz-trailer": header,
        "content-encoding": "aws-chunked",
        "transfer-encoding": "chunked",
    }
    trailer = f"{header}:{checksums.checksum(name, PAYLOAD)}"
    mode = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    status, text = send(colony, f"/{bucket}/k", framed(PAYLOAD, trailer, 65536), mode, sent)
    assert (status, text) == (200, b"")
    s3 = client_of(colony)
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == PAYLOAD
    assert found[f"Checksum{name}"] == checksums.checksum(name, PAYLOAD)
    wrong = f"{header}:{checksums.checksum(name, b'')}"
    status, text = send(colony, f"/{bucket}/k", framed(PAYLOAD[:-1] + b"x", wrong, 65536), mode, sent)
    assert (status, b"<Code>BadDigest</Code>" in text) == (400, True)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == PAYLOAD


def test_an_unsigned_payload_with_its_length(colony: Colony, bucket: str) -> None:
    sent = {"content-length": str(len(PAYLOAD))}
    assert send(colony, f"/{bucket}/k", PAYLOAD, "UNSIGNED-PAYLOAD", sent)[0] == 200
    assert client_of(colony).get_object(Bucket=bucket, Key="k")["Body"].read() == PAYLOAD


def test_a_body_that_is_not_what_was_signed_leaves_nothing(colony: Colony, bucket: str) -> None:
    sent = {"content-length": str(len(PAYLOAD))}
    status, text = send(colony, f"/{bucket}/k", PAYLOAD, hashlib.sha256(b"").hexdigest(), sent)
    assert (status, b"XAmzContentSHA256Mismatch" in text) == (400, True)
    assert client_of(colony).list_objects_v2(Bucket=bucket)["KeyCount"] == 0
