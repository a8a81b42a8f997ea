"""The proxy's app sends each request to its API, counts it, logs it, and answers what nobody foresaw."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence

import pytest

from model.errors import IncompleteBody
from proxy.access_log import AccessLog
from proxy.app import HEALTH, S3, SWIFT, App, ProxyApp
from proxy.http.messages import BodyStream, Buffer, Headers, Request, Response
from proxy.metrics import RequestMetrics


def request(
    path: str, method: str = "GET", query: str = "", headers: Sequence[tuple[str, str]] = ()
) -> Request:
    return Request(method, path, query, Headers(headers), BodyStream.of(b""), "192.0.2.7", id="tx1")


def answering(text: str) -> App:
    async def answer(_: Request) -> Response:
        return Response(200, body=text.encode())

    return answer


def app_of(
    s3: App | None = None, *, access_log: AccessLog | None = None, domains: Sequence[str] = ()
) -> tuple[ProxyApp, RequestMetrics]:
    metrics = RequestMetrics(node="n", role="proxy-1")
    app = ProxyApp(
        s3=s3 or answering("s3"),
        swift=answering("swift"),
        health=answering("health"),
        metrics=metrics,
        access_log=access_log,
        domains=domains,
    )
    return app, metrics


TOKEN = [("x-auth-token", "AUTH_tk0")]
SIGNED = [("authorization", "AWS4-HMAC-SHA256 Credential=…")]


@pytest.mark.parametrize(
    ("asked", "api"),
    [
        (request("/v1/AUTH_a/c/o"), SWIFT),
        (request("/v1"), SWIFT),
        (request("/v1.0/AUTH_a"), SWIFT),
        (request("/auth/v1.0"), SWIFT),
        (request("/info"), SWIFT),
        (request("/healthcheck"), SWIFT),
        (request("/healthz"), HEALTH),
        (request("/readyz"), HEALTH),
        (request("/"), S3),
        (request("/bucket/v1/AUTH_a"), S3),
        (request("/v1beta/key"), S3),
        (request("/information"), S3),
        (request("/auth/v1/account/auth"), SWIFT),
        (request("/auth/v1/account/key"), S3),
        (request("/auth/v1/a/b/auth"), S3),
        (request("/info%20asdf", headers=TOKEN), SWIFT),
        (request("//v1/AUTH_a", headers=TOKEN), SWIFT),
        (request("/bucket/key", headers=[*TOKEN, *SIGNED]), S3),
        (request("/info", headers=SIGNED), S3),
        (request("/auth/v1.0", "PUT", query="X-Amz-Signature=00"), S3),
        (request("/healthz", query="AWSAccessKeyId=a&Signature=b"), S3),
    ],
    ids=lambda value: f"{value.raw_path}?{value.raw_query}" if isinstance(value, Request) else value,
)
def test_a_request_goes_to_the_api_of_its_path(asked: Request, api: str) -> None:
    app, _ = app_of()
    assert app.choose(asked) == api


def test_a_virtual_host_is_a_bucket_whatever_the_path() -> None:
    app, _ = app_of(domains=["s3.example.com"])
    assert app.choose(request("/v1/AUTH_a", headers=[("host", "b.S3.example.com:8080")])) == S3
    assert app.choose(request("/v1/AUTH_a", headers=[("host", "s3.example.com")])) == SWIFT


def test_what_nobody_foresaw_is_answered_with_the_request_id() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    app, metrics = app_of(fail)
    response = asyncio.run(app(request("/bucket/key")))
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert b"<RequestId>tx1</RequestId>" in response.body
    assert ("x-amz-request-id", "tx1") in response.headers
    assert b'colonnade_requests_total{api="s3",method="GET",status="500"} 1.0' in metrics.render()


def test_a_client_that_goes_away_is_counted_and_passed_on() -> None:
    async def fail(_: Request) -> Response:
        raise IncompleteBody("gone")

    app, metrics = app_of(fail)
    with pytest.raises(IncompleteBody):
        asyncio.run(app(request("/bucket/key", "PUT")))
    assert b'status="499"} 1.0' in metrics.render()


def test_methods_that_clients_invent_do_not_grow_the_figures() -> None:
    app, metrics = app_of()
    for number in range(5):
        asyncio.run(app(request("/", f"X{number}")))
    assert b'colonnade_requests_total{api="s3",method="other",status="200"} 5.0' in metrics.render()


def test_each_request_is_logged_once_with_the_bytes_that_were_sent() -> None:
    async def stream(asked: Request) -> Response:
        asked.user = "a:ü"
        return Response(206, body=chunks(), length=6)

    async def chunks() -> AsyncIterator[Buffer]:
        yield b"abc"
        yield b"def"

    async def scenario(log: AccessLog) -> bytes:
        app, _ = app_of(stream, access_log=log)
        response = await app(request('/b/"\udcff', query="a"))
        assert not isinstance(response.body, bytes | bytearray | memoryview)
        sent = b"".join([bytes(chunk) async for chunk in response.body])
        await app(request("/healthz"))
        log.flush()
        return sent

    reader, writer = os.pipe()
    try:
        assert asyncio.run(scenario(AccessLog(writer, node="n", role="proxy-1"))) == b"abcdef"
        (line,) = os.read(reader, 65536).splitlines()
    finally:
        os.close(reader)
        os.close(writer)
    logged = json.loads(line)
    assert logged.pop("timestamp").endswith("Z")
    assert logged.pop("ms") >= 0
    assert logged == {
        "level": "info",
        "node": "n",
        "role": "proxy-1",
        "event": "request",
        "request_id": "tx1",
        "api": "s3",
        "method": "GET",
        "path": '/b/"\udcff',
        "status": 206,
        "received_bytes": 0,
        "sent_bytes": 6,
        "user": "a:ü",
        "remote": "192.0.2.7",
    }
