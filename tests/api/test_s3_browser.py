"""What browsers do: forms that boto3 signs, cut anywhere on the wire, and requests across origins."""

import http.client
import socket
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

PAGE = "https://page.example"
BUCKET = "browsers"
LARGE = bytes(range(256)) * (12 << 10)


@dataclass(frozen=True)
class Browser:
    """Speaks to a colony as a browser does; `s3` is the client of the page's owner."""

    colony: Colony
    s3: Any

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.colony.s3_endpoint.removeprefix("http://").partition(":")
        return host, int(port)

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return answer.status, found, content


def form(fields: dict[str, str], content: bytes) -> bytes:
    body = b""
    for name, value in fields.items():
        body += f'--bound\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    body += b'--bound\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
    return body + b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n--bound--\r\n"


@pytest.fixture(scope="module")
def browser(colony: Colony) -> Browser:
    s3 = client_of(colony)
    s3.create_bucket(Bucket=BUCKET)
    rule = {
        "AllowedOrigins": ["https://*.example"],
        "AllowedMethods": ["GET", "PUT", "POST"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    return Browser(colony, s3)


def signed_form(browser: Browser, key: str, version: str = "s3v4", **more: Any) -> dict[str, str]:
    signer = client_of(browser.colony, signature_version=version)
    fields: dict[str, str] = signer.generate_presigned_post(BUCKET, key, **more)["fields"]
    return fields


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_a_form_that_boto3_signs_is_stored(browser: Browser, content: bytes) -> None:
    fields = signed_form(
        browser,
        "photos/${filename}",
        Fields={"x-amz-meta-by": "me", "success_action_status": "201"},
        Conditions=[
            {"x-amz-meta-by": "me"},
            {"success_action_status": "201"},
            ["content-length-range", 0, 1 << 24],
        ],
    )
    status, headers, body = browser.ask(
        "POST",
        f"/{BUCKET}",
        form(fields, content),
        Content_Type="multipart/form-data; boundary=bound",
        Origin=PAGE,
    )
    assert (status, b"<Key>photos/photo.jpg</Key>" in body) == (201, True), body
    assert headers["access-control-allow-origin"] == PAGE
    got = browser.s3.get_object(Bucket=BUCKET, Key="photos/photo.jpg")
    assert got["Body"].read() == content
    assert (got["Metadata"], got["ETag"]) == ({"by": "me"}, headers["etag"])


def test_a_form_may_come_in_pieces_that_cut_its_boundary(browser: Browser) -> None:
    fields = signed_form(browser, "pieces", version="s3")
    content = b"a\r\n--boun\r\n--boundary is not far\r\n-" * 5
    content = content.replace(b"--boundary", b"--boxndary")
    body = form(fields, content)
    head = (
        f"POST /{BUCKET} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=bound\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(browser.address, timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head.encode())
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 204"), answer
    assert browser.s3.get_object(Bucket=BUCKET, Key="pieces")["Body"].read() == content


def test_a_form_that_breaks_its_policy_stores_nothing(browser: Browser) -> None:
    fields = signed_form(browser, "limited", Conditions=[["content-length-range", 1, 10]])
    kind = "multipart/form-data; boundary=bound"
    for content, changed, code in (
        (b"more than ten", {}, b"EntityTooLarge"),
        (LARGE, {}, b"EntityTooLarge"),
        (b"", {}, b"EntityTooSmall"),
        (b"x", {"key": "another"}, b"AccessDenied"),
        (b"x", {"x-amz-signature": "0" * 64}, b"SignatureDoesNotMatch"),
    ):
        status, _, body = browser.ask(
            "POST", f"/{BUCKET}", form({**fields, **changed}, content), Content_Type=kind
        )
        assert status in (400, 403)
        assert code in body
    with pytest.raises(ClientError):
        browser.s3.head_object(Bucket=BUCKET, Key="limited")
    assert browser.ask("POST", f"/{BUCKET}", form(fields, b"x"), Content_Type=kind)[0] == 204


def test_a_page_asks_before_it_puts_and_reads_what_it_may(browser: Browser) -> None:
    url = browser.s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "page"})
    path = url.removeprefix(browser.colony.s3_endpoint)
    status, headers, body = browser.ask(
        "OPTIONS",
        path,
        Origin=PAGE,
        Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="content-type",
    )
    assert (status, body, headers["content-length"]) == (200, b"", "0")
    assert (headers["access-control-allow-methods"], headers["access-control-max-age"]) == (
        "GET, PUT, POST",
        "60",
    )
    status, headers, _ = browser.ask("PUT", path, b"by a page", Origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    assert headers["access-control-expose-headers"] == "ETag"
    assert browser.s3.get_object(Bucket=BUCKET, Key="page")["Body"].read() == b"by a page"
    status, headers, _ = browser.ask("GET", f"/{BUCKET}/page", Origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (403, PAGE)
    status, headers, body = browser.ask(
        "OPTIONS", path, Origin="https://evil.net", Access_Control_Request_Method="PUT"
    )
    assert (status, b"<Code>AccessForbidden</Code>" in body) == (403, True)
    assert "access-control-allow-origin" not in headers


def test_boto3_configures_what_a_bucket_says_of_itself(browser: Browser) -> None:
    s3 = browser.s3
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "team", "Value": "web"}]})
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "team", "Value": "web"}]
    s3.delete_bucket_tagging(Bucket=BUCKET)
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=BUCKET)
    s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus={})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    s3.put_bucket_request_payment(Bucket=BUCKET, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    with pytest.raises(ClientError, match="NotImplemented"):
        s3.put_bucket_request_payment(Bucket=BUCKET, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"][0]["AllowedHeaders"] == ["*"]
