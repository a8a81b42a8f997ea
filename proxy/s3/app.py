"""The S3 API: from a request to its verb, by way of its signature, and from errors to XML."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kit.clock import monotonic_ms, wall_clock_ms
from model.errors import ColonnadeError, IncompleteBody
from proxy.auth import sigv2
from proxy.auth.query import Pairs, parse_query
from proxy.auth.sigv4 import (
    Carrier,
    Claim,
    Seal,
    SignatureRefused,
    check_signature,
    check_time,
    mechanism_refused,
    read_claim,
)
from proxy.http.messages import Headers, Request, Response
from proxy.identity.users import S3Key, User
from proxy.s3 import xml_write
from proxy.s3.actions import ACTIONS
from proxy.s3.buckets import BucketNames
from proxy.s3.call import Call, KeyDirectory, Services, Settings, VersionTwo
from proxy.s3.cross_origin import headers_for
from proxy.s3.errors import S3Error, to_s3
from proxy.s3.handlers import VERBS
from proxy.s3.names import read_address
from proxy.s3.router import Level, methods, route

if TYPE_CHECKING:
    from proxy.operations.colony import Colony

_WITHOUT_BODY: Final = frozenset((204, 304))


class S3App:
    """Answers S3 requests of one colony."""

    def __init__(
        self,
        colony: Colony,
        directory: KeyDirectory,
        settings: Settings | None = None,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """`directory` finds access keys; `now_ms` is the wall clock."""
        self._settings = settings or Settings()
        self._services = Services(
            colony, BucketNames(colony, monotonic_ms), directory, self._settings, now_ms
        )
        self._host_id = self._settings.host_id

    async def __call__(self, request: Request) -> Response:
        """Answer a request. Raises IncompleteBody where the client has gone, and what nobody foresaw."""
        if not request.id:
            request.id = secrets.token_hex(8).upper()
        call: Call | None = None
        try:
            call = await self._enter(request)
            response = await VERBS[call.operation](call)
        except IncompleteBody:
            raise
        except ColonnadeError as error:
            response = self._refuse(request, to_s3(error))
        if "origin" in request.headers and request.method != "OPTIONS":
            response.headers += await self._cross_origin(request, call)
        response.headers.append(("x-amz-request-id", request.id))
        response.headers.append(("x-amz-id-2", self._host_id))
        return response

    async def _enter(self, request: Request) -> Call:
        """Return the call that a request makes, its signature checked. Raises S3Error, SignatureRefused."""
        pairs = parse_query(request.raw_query) if request.raw_query else ()
        query = dict(pairs)
        address = read_address(request.raw_path, request.headers.get("host"), self._settings.domains)
        # A browser signs no preflight, and sends the query of the request that is to follow.
        preflight = request.method == "OPTIONS"
        version2 = None if preflight else sigv2.read_claim(pairs, request.headers)
        if version2 is not None and version2.carrier is Carrier.QUERY:
            request.headers = Headers(sigv2.with_query_headers(pairs, request.headers))
        headers = request.headers
        level = address.level
        operation = route(request.method, level, query, headers)
        if operation is None:
            raise S3Error(
                "MethodNotAllowed",
                details={"Method": request.method, "ResourceType": level.value.upper()},
                headers=(("Allow", ", ".join(methods(level))),),
            )
        call = Call(self._services, request, operation, address.bucket, address.key, query)
        if preflight:
            return call
        if version2 is not None and version2.carrier is Carrier.QUERY:
            _check_selection(call, level)
        if version2 is not None:
            call.user = await self._authenticate_version2(request, version2, pairs, address.resource)
        elif (claim := read_claim(pairs, headers)) is not None:
            call.claim = claim
            call.user, call.seal = await self._authenticate(request, claim, pairs)
        if call.user is not None:
            request.user = call.user.id
        return call

    async def _cross_origin(self, request: Request, call: Call | None) -> list[tuple[str, str]]:
        if call is not None:
            return await headers_for(self._services, request, call.bucket, call.user)
        address = read_address(request.raw_path, request.headers.get("host"), self._settings.domains)
        return await headers_for(self._services, request, address.bucket, None)

    async def _authenticate(self, request: Request, claim: Claim, pairs: Pairs) -> tuple[User, Seal]:
        scope = claim.scope
        regions = self._settings.regions
        if regions and scope.region not in regions:
            raise SignatureRefused(
                "AuthorizationHeaderMalformed",
                f"The authorization header is malformed; the region '{scope.region}' is wrong; expecting "
                f"'{regions[0]}'",
                Region=regions[0],
            )
        key = await self._key(scope.access_key_id)
        check_time(claim, self._services.now_ms())
        seal = check_signature(
            claim,
            key.secret,
            method=request.method,
            raw_path=request.raw_path,
            query=pairs,
            headers=request.headers,
        )
        return key.user, seal

    async def _authenticate_version2(
        self, request: Request, claim: sigv2.Claim, pairs: Pairs, resource: str
    ) -> User:
        if self._settings.version2 is VersionTwo.REFUSED:
            raise mechanism_refused()
        key = await self._key(claim.access_key_id)
        sigv2.check_time(claim, self._services.now_ms())
        sigv2.check_signature(
            claim,
            key.secret,
            method=request.method,
            resource=resource,
            query=pairs,
            headers=request.headers,
        )
        return key.user

    async def _key(self, access_key_id: str) -> S3Key:
        key = await self._services.directory.key(access_key_id)
        if key is None:
            raise S3Error("InvalidAccessKeyId", details={"AWSAccessKeyId": access_key_id})
        return key

    def _refuse(self, request: Request, error: S3Error) -> Response:
        headers = [("Content-Type", "application/xml"), *error.headers]
        if request.method == "HEAD" or error.status in _WITHOUT_BODY:
            return Response(error.status, headers)
        body = xml_write.error(
            error.code,
            error.message,
            error.details,
            resource=request.raw_path,
            ids=(request.id, self._host_id),
        )
        return Response(error.status, headers, body)


def _check_selection(call: Call, level: Level) -> None:
    """Refuse a request presigned by version 2 that a parameter without a signature makes another one.

    Who was given such an address could else turn an upload into a lock, say. Raises S3Error AccessDenied.
    """
    signed = {name: value for name, value in call.query.items() if sigv2.covers(name)}
    meant = route(call.request.method, level, signed, call.request.headers)
    if meant is None or ACTIONS.get(meant) != ACTIONS.get(call.operation) or call.operation not in ACTIONS:
        raise S3Error("AccessDenied", "The signature does not cover the parameter that names the operation")
