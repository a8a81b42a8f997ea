"""Preflight: the OPTIONS request by which a browser asks whether a page may make another request."""

from __future__ import annotations

from proxy.cors import VARY, answer_headers, find, read_asked
from proxy.http.messages import Response
from proxy.s3.call import Call, empty
from proxy.s3.cors import METHODS
from proxy.s3.cross_origin import rules_of
from proxy.s3.errors import S3Error


async def preflight(call: Call) -> Response:
    """Say what pages of an origin may do with a bucket, to anybody: a browser signs no preflight."""
    asked = read_asked(call.request.headers, "")
    if not asked.origin:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    if asked.method not in METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {asked.method or 'null'}")
    rules = await rules_of(call.services, call.bucket, None) if call.bucket else ()
    details = {"Method": asked.method, "ResourceType": "OBJECT" if call.key else "BUCKET"}
    if not rules:
        raise S3Error(
            "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", details=details
        )
    match = find(rules, asked)
    if match is None:
        raise S3Error(
            "AccessForbidden",
            "CORSResponse: This CORS request is not allowed. Its origin, method or headers are not in the "
            "bucket's CORS configuration.",
            details=details,
            headers=(VARY,),
        )
    return empty(200, [*answer_headers(match, asked), VARY])
