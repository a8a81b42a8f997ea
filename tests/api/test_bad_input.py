"""Whatever a client sends, it is answered soon, and never by an error of the server's own.

Requests are put together from what parsers trip over, signed where that gets them further in, and
written to a raw socket: no client library mends them on the way.
"""

import hmac
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import swiftclient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.auth.query import canonical_path, canonical_query, parse_query
from proxy.auth.sigv4 import Carrier, Claim, Payload, Scope, canonical_request, signing_key, string_to_sign
from proxy.http.messages import Headers
from proxy.s3.router import SELECTED
from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

ANSWER_S = 20.0
REGION = "us-east-1"
STREAMED = (Payload.CHUNKS_SIGNED, Payload.CHUNKS_SIGNED_TRAILER, Payload.CHUNKS_UNSIGNED_TRAILER)

VALUES = st.sampled_from(
    (
        *(
            "",
            "0",
            "-1",
            "1",
            "2",
            "1000",
            "9" * 19,
            "9" * 400,
            "\N{SUPERSCRIPT TWO}",
            "\N{ARABIC-INDIC DIGIT FIVE}",
        ),
        *(
            "bytes=0-",
            "bytes=-0",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=" + "9" * 30 + "-",
            "bytes=--1",
            "items=1-2",
        ),
        *(
            "*",
            '"',
            '""',
            "W/",
            "%",
            "%00",
            "%ff",
            "%zz",
            "+",
            "\x7f",
            "é",
            "\udcff\udcfe",
            "a\tb",
            ",",
            ";",
            ":",
            "=",
            "/",
        ),
        *(
            "null",
            "true",
            "url",
            "json",
            "xml",
            "CRC32",
            "SHA1",
            "AAAAAA==",
            "1B2M2Y8AsgTpgAmY7PhCfg==",
            "ENABLED",
        ),
        *(
            "/bucket/key",
            "bucket/key?versionId=null",
            "bucket",
            "//",
            "c/o",
            "/c/%ff",
            "AUTH_test/c/o",
            "-",
            ".r:*",
            "{}",
        ),
        *(
            "Tue, 07 Jul 1950 21:53:04 GMT",
            "Tue, 07 Jul 99999 21:53:04 GMT",
            "Mon, 99 Foo 1 1:1:1",
            "2038-01-01T00:00:00Z",
        ),
        *(
            "public-read",
            "id=x",
            'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
            "a=b&c",
            "a=" + "b" * 300,
        ),
        *(
            "100-continue",
            "chunked",
            "aws-chunked",
            "aws-chunked,gzip",
            "x-amz-checksum-crc32",
            "REPLACE",
            "COPY",
        ),
    )
) | st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)

HEADER_NAMES = st.sampled_from(
    (
        *(
            "range",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "if-range",
            "expect",
        ),
        *("content-type", "content-md5", "content-encoding", "x-amz-decoded-content-length", "x-amz-trailer"),
        *(
            "x-amz-acl",
            "x-amz-grant-read",
            "x-amz-tagging",
            "x-amz-meta-a",
            "x-amz-checksum-crc32",
            "x-amz-date",
        ),
        *(
            "x-amz-checksum-algorithm",
            "x-amz-checksum-type",
            "x-amz-sdk-checksum-algorithm",
            "x-amz-checksum-mode",
        ),
        *(
            "x-amz-copy-source",
            "x-amz-copy-source-range",
            "x-amz-copy-source-if-match",
            "x-amz-metadata-directive",
        ),
        *("x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker", "x-amz-mp-object-size"),
        *("x-amz-if-match-size", "x-amz-if-match-last-modified-time", "x-amz-expected-bucket-owner"),
        *(
            "x-amz-storage-class",
            "x-amz-security-token",
            "authorization",
            "date",
            "origin",
            "cookie",
            "referer",
        ),
        *(
            "x-delete-at",
            "x-delete-after",
            "x-object-manifest",
            "x-copy-from",
            "destination",
            "destination-account",
        ),
        *(
            "x-container-read",
            "x-container-meta-a",
            "x-object-meta-a",
            "x-auth-user",
            "x-auth-key",
            "accept",
            "etag",
        ),
        *(
            "x-remove-container-read",
            "x-detect-content-type",
            "x-versions-location",
            "x-storage-policy",
            "x-timestamp",
        ),
    )
)
QUERIES = st.sampled_from(
    (
        *sorted({name for table in SELECTED.values() for name in table}),
        *(
            "prefix",
            "delimiter",
            "marker",
            "limit",
            "end_marker",
            "reverse",
            "format",
            "path",
            "multipart-manifest",
        ),
        *(
            "max-keys",
            "max-uploads",
            "max-parts",
            "max-buckets",
            "encoding-type",
            "start-after",
            "key-marker",
        ),
        *(
            "continuation-token",
            "part-number-marker",
            "upload-id-marker",
            "version-id-marker",
            "versionId",
            "part-number",
        ),
        *(
            "list-type",
            "fetch-owner",
            "partNumber",
            "uploadId",
            "response-content-type",
            "x-id",
            "heartbeat",
            "symlink",
        ),
        *(
            "X-Amz-Signature",
            "X-Amz-Algorithm",
            "X-Amz-Expires",
            "AWSAccessKeyId",
            "Signature",
            "Expires",
            "temp_url_sig",
        ),
    )
)
SEGMENTS = st.sampled_from(
    (
        *(
            "bucket",
            "bucket",
            "key",
            "key",
            "c",
            "o",
            "",
            ".",
            "..",
            "%2F",
            "%2e%2e",
            "%00",
            "%ff",
            "%",
            "%zz",
            "%C3%A9",
        ),
        *(
            "v1",
            "v1.0",
            "AUTH_test",
            "auth",
            "info",
            "a" * 300,
            "%F0%9F%98%80",
            "B",
            "xn--a",
            "a.b",
            "a+b",
            "?",
            "&",
            "*",
        ),
    )
)
MARKUP = st.sampled_from(
    (
        *(
            "<Delete>",
            "</Delete>",
            "<Object>",
            "</Object>",
            "<Key>",
            "</Key>",
            "<Quiet>",
            "<VersionId>",
            "key",
            "null",
        ),
        *(
            "<CompleteMultipartUpload>",
            "</CompleteMultipartUpload>",
            "<Part>",
            "</Part>",
            "<PartNumber>1</PartNumber>",
        ),
        *(
            "<ETag>",
            "</ETag>",
            "<Tagging><TagSet>",
            "</TagSet></Tagging>",
            "<Tag>",
            "</Tag>",
            "<Value>",
            "</Value>",
        ),
        *(
            "<AccessControlPolicy>",
            "<Owner><ID>x</ID></Owner>",
            "<AccessControlList>",
            "<Grant>",
            "<Grantee xsi:type='a'>",
        ),
        *(
            "<!DOCTYPE a [<!ENTITY b 'c'>]>",
            "&b;",
            "&#0;",
            "&amp;",
            "<![CDATA[",
            "]]>",
            "<?xml version='1.0'?>",
            "<a:b/>",
            "<",
        ),
        *(
            "[",
            "]",
            '{"path":"/c/o"}',
            '{"path":"/c","size_bytes":-1}',
            ",",
            '{"data":"***"}',
            "null",
            "1",
            "\udcff",
            "é",
        ),
        *(
            "5\r\nhello\r\n",
            "0\r\n\r\n",
            "0;chunk-signature=a\r\n\r\n",
            "ffffffff\r\n",
            "x-amz-checksum-crc32:AA\r\n\r\n",
            "-1\r\n",
        ),
    )
)


@dataclass(frozen=True)
class Crafted:
    """A request before it is signed."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    payload: str
    signed: bool


def _query(pairs: list[tuple[str, str | None]]) -> str:
    return "&".join(name if value is None else f"{name}={value}" for name, value in pairs)


CRAFTED = st.builds(
    Crafted,
    st.sampled_from(("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "COPY", "PATCH", "BREW")),
    st.tuples(
        st.sampled_from(
            ("/bucket/", "/bucket/key", "/", "/v1/AUTH_test/", "/v1/AUTH_test/c/", "//", "/auth/")
        ),
        st.lists(SEGMENTS, max_size=3).map("/".join),
    ).map("".join),
    st.lists(st.tuples(QUERIES, st.none() | VALUES), max_size=3).map(_query),
    st.dictionaries(HEADER_NAMES, VALUES, max_size=4),
    st.lists(MARKUP, max_size=8).map(lambda found: "".join(found).encode("utf-8", "surrogateescape")),
    st.sampled_from(("UNSIGNED-PAYLOAD", "0" * 64, "a", *(one.value for one in STREAMED))),
    st.booleans(),
)


class Target:
    """A colony of this file's own, and how to speak to it."""

    def __init__(self, colony: Colony) -> None:
        self.colony = colony
        host, _, port = colony.s3_endpoint.removeprefix("http://").partition(":")
        self.address = (host, int(port))
        self.token = swiftclient.get_auth(colony.swift_auth, colony.swift_user, colony.swift_key)[1]

    def sign(self, crafted: Crafted, headers: dict[str, str]) -> None:
        """Sign as the server checks it, whatever the request holds."""
        amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers |= {"x-amz-date": amz_date, "x-amz-content-sha256": crafted.payload}
        scope = Scope(self.colony.access_key, amz_date[:8], REGION, tuple(sorted(headers)))
        claim = Claim(Carrier.HEADER, scope, "", amz_date, 0, Payload.UNSIGNED, crafted.payload)
        query = canonical_query(parse_query(crafted.query))
        canonical = canonical_request(
            claim, crafted.method, canonical_path(crafted.path), query, Headers(list(headers.items()))
        )
        key = signing_key(self.colony.secret_key, scope.date, REGION, "s3")
        to_sign = string_to_sign(claim, canonical).encode("utf-8", "surrogateescape")
        signature = hmac.digest(key, to_sign, "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={scope.access_key_id}/{scope.text}, "
            f"SignedHeaders={';'.join(scope.signed_headers)}, Signature={signature}"
        )

    def send(self, crafted: Crafted) -> int:
        """Send a request; return the status of the answer."""
        headers = {name: value.strip() for name, value in crafted.headers.items()}
        headers |= {"host": "h", "content-length": str(len(crafted.body))}
        if "/v1/" in crafted.path:
            headers["x-auth-token"] = self.token
        elif crafted.signed:
            self.sign(crafted, headers)
        target = crafted.path + (f"?{crafted.query}" if crafted.query else "")
        target = "".join(f"%{ord(one):02x}" if one in " \t\x7f" else one for one in target)
        lines = [f"{crafted.method} {target} HTTP/1.1", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines) + "\r\n\r\n"
        return self.exchange(head.encode("utf-8", "surrogateescape") + crafted.body)

    def exchange(self, sent: bytes, *, ends: bool = False) -> int:
        """Write bytes, and end there or not; return the status of the first answer, 0 for none."""
        with socket.create_connection(self.address, timeout=ANSWER_S) as connection:
            try:
                connection.sendall(sent)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionResetError:
                pass
        while received.startswith(b"HTTP/1.1 100"):
            received = received.partition(b"\r\n\r\n")[2]
        return int(received[9:12]) if received else 0


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Target]:
    """A colony whose buckets nobody else counts."""
    with Colony(tmp_path_factory.mktemp("bad-input") / "data", workers=1) as colony:
        s3 = client_of(colony)
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="key", Body=b"bytes")
        yield Target(colony)
        # Whatever came, it serves as before.
        s3.create_bucket(Bucket="after")
        s3.put_object(Bucket="after", Key="key", Body=b"bytes")
        assert s3.get_object(Bucket="after", Key="key")["Body"].read() == b"bytes"


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(CRAFTED)
def test_no_request_is_the_servers_fault(target: Target, crafted: Crafted) -> None:
    status = target.send(crafted)
    assert 200 <= status < 500 or status == 501, status


FRAGMENTS = st.sampled_from(
    (
        *(
            b"GET ",
            b"PUT ",
            b"/bucket/key",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b" HTTP/9.9\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
        ),
        *(
            b"Host: h\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: -5\r\n",
            b"Content-Length: 5, 5\r\n",
            b"hello",
        ),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
        ),
        *(
            b"Expect: 100-continue\r\n",
            b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            b"X:\r\n",
            b" folded\r\n",
            b"\0",
            b"\xff",
            b": \r\n",
        ),
        *(b"A" * 70_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"),
    )
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(FRAGMENTS, min_size=1, max_size=10).map(b"".join))
@example(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
def test_no_bytes_on_the_wire_hang_or_break_the_server(target: Target, sent: bytes) -> None:
    status = target.exchange(sent, ends=True)
    assert status < 500 or status in (501, 505), status
