"""boto3 as it comes, over http and TLS, by path and by virtual host; and certificates that are renewed."""

import hashlib
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.support.addresses import SCHEMES, STYLES, Address, address_of, loopback_names
from tests.support.colony import Colony

__all__ = ["loopback_names"]

MIB = 1 << 20
ALGORITHMS = ("", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@pytest.fixture(params=[(scheme, style) for scheme in SCHEMES for style in STYLES], ids="-".join)
def address(colony: Colony, request: pytest.FixtureRequest, loopback_names: None) -> Address:
    """The shared colony, each way to come to it in turn."""
    return address_of(colony, *request.param)


@pytest.fixture
def bucket(address: Address) -> Iterator[str]:
    """A bucket of the test's own."""
    s3 = address.client()
    name = f"h-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_boto3_stores_with_each_checksum_and_reads_back(
    address: Address, bucket: str, algorithm: str
) -> None:
    s3 = address.client()
    asked = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    body = bytes(range(256)) * 300
    put = s3.put_object(Bucket=bucket, Key="a b/ü+%", Body=body, Metadata={"side": "a"}, **asked)
    got = s3.get_object(Bucket=bucket, Key="a b/ü+%", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    name = f"Checksum{algorithm or 'CRC32'}"
    assert got[name] == put[name]
    assert (got["ETag"], got["Metadata"]) == (f'"{hashlib.md5(body).hexdigest()}"', {"side": "a"})


def test_boto3_carries_a_large_file_in_parts(address: Address, bucket: str, tmp_path: Path) -> None:
    s3 = address.client()
    content = hashlib.shake_128(b"x").digest(17 * MIB)
    (tmp_path / "large").write_bytes(content)
    s3.upload_file(str(tmp_path / "large"), bucket, "large")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    s3.download_file(bucket, "large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy")
    assert s3.get_object(Bucket=bucket, Key="copy", Range="bytes=-7")["Body"].read() == content[-7:]


def test_presigned_urls_of_every_style_are_served(address: Address, bucket: str) -> None:
    s3 = address.client()
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch(url, address.certificate) == b"content"
    assert (urlsplit(url).hostname or "").startswith(bucket) == (address.style == "virtual")


def fetch(url: str, certificate: str) -> bytes:
    """Get a presigned URL by the library that boto3 brings."""
    with urllib3.PoolManager(ca_certs=certificate) as pool:
        answer = pool.request("GET", url)
    assert answer.status == 200, answer.data
    return bytes(answer.data)


def served_certificate(url: str) -> bytes:
    """The certificate that is served there now."""
    parts = urlsplit(url)
    pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 0))
    return ssl.PEM_cert_to_DER_cert(pem)


def test_a_renewed_certificate_is_served_after_a_restart_of_the_proxy_and_connections_live_on(
    tmp_path: Path,
) -> None:
    with Colony(tmp_path / "data", workers=1, options=("--tls-port", "0")) as colony:
        before = served_certificate(colony.s3_https)
        put = put_over(colony)
        put("first")
        colony.command("certificate")
        assert served_certificate(colony.s3_https) == before
        colony.command("restart", "proxy")
        after = served_certificate(colony.s3_https)
        assert after != before
        put_over(colony)("second")
        # Files that do not fit leave what serves in place, and the command says so.
        Path(colony.certificate).write_text("no certificate\n")
        refused = colony.command("restart", "proxy", check=False)
        assert refused.returncode == 1
        assert "tls.certificate" in refused.stderr
        assert served_certificate(colony.s3_https) == after


def put_over(colony: Colony) -> Callable[[str], Any]:
    """Return what stores an object over TLS, on a connection of its own, and reads it back."""
    s3 = address_of(colony, "https").client()

    def put(key: str) -> None:
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key=key, Body=key.encode())
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == key.encode()

    return put


def test_a_client_that_speaks_no_tls_at_the_tls_port_disturbs_nobody(colony: Colony) -> None:
    parts = urlsplit(colony.s3_https)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert not plain.recv(1000).startswith(b"HTTP/")
    assert address_of(colony, "https").client().list_buckets()["Owner"]["ID"]
