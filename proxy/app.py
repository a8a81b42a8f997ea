"""The whole face of a proxy worker: sends a request to S3 or Swift, counts it, and answers what goes wrong.

Swift has /v1/…, /auth/v1.0, /info and /healthcheck; /healthz and /readyz are for machines that watch;
all else is S3, by path or by virtual host. A request that bears an S3 signature is S3's whatever its
path; else one that bears a token is Swift's, so that Swift says what is wrong with an odd path.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final

from model.errors import IncompleteBody
from proxy.access_log import AccessLog
from proxy.http.messages import Buffer, Request, Response
from proxy.metrics import RequestMetrics

App = Callable[[Request], Awaitable[Response]]

S3: Final = "s3"
SWIFT: Final = "swift"
HEALTH: Final = "health"

_EXACT: Final = {
    "/v1": SWIFT,
    "/auth": SWIFT,
    "/auth/v1.0": SWIFT,
    "/auth/v1.0/": SWIFT,
    "/info": SWIFT,
    "/healthcheck": SWIFT,
    "/healthz": HEALTH,
    "/readyz": HEALTH,
}

_log = logging.getLogger(__name__)


class ProxyApp:
    """Answers every request of a worker."""

    def __init__(
        self,
        *,
        s3: App,
        swift: App,
        health: App,
        metrics: RequestMetrics,
        access_log: AccessLog | None = None,
        domains: Sequence[str] = (),
    ) -> None:
        """`domains` are those whose first label is an S3 bucket; without an access log none is written."""
        self._apps = {S3: s3, SWIFT: swift, HEALTH: health}
        self._metrics = metrics
        self._access_log = access_log
        self._domains = tuple(f".{domain.lower()}" for domain in domains)

    async def __call__(self, request: Request) -> Response:
        """Answer a request, whatever happens."""
        started = perf_counter()
        api = self.choose(request)
        try:
            response = await self._apps[api](request)
        except IncompleteBody:
            self._note(request, api, 499, 0, started)
            raise
        except Exception as error:  # noqa: BLE001  (logged and answered, whatever it is)
            _log.error(
                "request failed",
                exc_info=error,
                extra={"request_id": request.id, "method": request.method, "path": request.raw_path},
            )
            response = internal_error(request, api)
        body = response.body
        if isinstance(body, bytes | bytearray | memoryview):
            self._note(request, api, response.status, len(body), started)
        else:
            response.body = self._followed(request, api, response, body, started)
        return response

    def choose(self, request: Request) -> str:
        """Return which API a request is for."""
        path = request.raw_path
        if path.startswith("/v1/"):
            chosen = SWIFT
        else:
            found = _EXACT.get(path)
            if found is None and not _is_swifts(request):
                return S3
            chosen = found or SWIFT
        if self._domains and self._is_virtual_host(request):
            return S3
        if path.startswith("/v1"):
            return chosen
        return S3 if _bears_s3_signature(request) else chosen

    def _is_virtual_host(self, request: Request) -> bool:
        host = request.headers.get("host").partition(":")[0].lower()
        return host.endswith(self._domains)

    async def _followed(
        self, request: Request, api: str, response: Response, body: AsyncIterator[Buffer], started: float
    ) -> AsyncIterator[Buffer]:
        """Pass a long body on; it is counted and logged when it has ended, however it ends."""
        sent_bytes = 0
        try:
            async for chunk in body:
                sent_bytes += len(chunk)
                yield chunk
        finally:
            self._note(request, api, response.status, sent_bytes, started)

    def _note(self, request: Request, api: str, status: int, sent_bytes: int, started: float) -> None:
        elapsed_s = perf_counter() - started
        self._metrics.note(api, request.method, status, elapsed_s)
        if self._access_log is not None and api is not HEALTH:
            self._access_log.note(request, api=api, status=status, sent_bytes=sent_bytes, ms=elapsed_s * 1000)


def internal_error(request: Request, api: str) -> Response:
    """Return the answer to a request that failed in a way nobody foresaw, with the id to look for."""
    if api == S3:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
            "<Message>We encountered an internal error. Please try again.</Message>"
            f"<RequestId>{request.id}</RequestId></Error>"
        )
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request.id)]
    else:
        text = f"Internal error; the log tells more under {request.id}\n"
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Trans-Id", request.id)]
    return Response(500, headers, b"" if request.method == "HEAD" else text.encode())


def _is_swifts(request: Request) -> bool:
    path = request.raw_path
    if path.startswith("/auth/v1/"):
        # /auth/v1/ACCOUNT/auth: more or fewer segments are keys of a bucket.
        return path.count("/") == 4 and path.endswith("/auth")
    return path.startswith(("/v1.0/AUTH_", "/auth/v1.0/")) or "x-auth-token" in request.headers


def _bears_s3_signature(request: Request) -> bool:
    if request.headers.get("authorization").startswith("AWS"):
        return True
    return "X-Amz-Signature=" in request.raw_query or "AWSAccessKeyId=" in request.raw_query
