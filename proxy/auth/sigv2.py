"""AWS Signature Version 2 for S3: what a request claims, and whether its signature holds. Pure.

Old as it is, boto3 presigns with it where nothing else is configured. It covers neither the body nor
most of the query; an operator may refuse it.

Source: AWS, "Signing and authenticating REST requests (AWS signature version 2)" of the Amazon S3
user guide.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from proxy.auth.query import Pairs
from proxy.auth.sigv4 import SKEW_MAX_MS, Carrier, SignatureRefused, iso_seconds, signature_mismatch

if TYPE_CHECKING:
    from proxy.http.messages import Headers

SCHEME: Final = "AWS "
_KEY_ID: Final = "AWSAccessKeyId"
_SUBRESOURCES: Final = frozenset(
    (
        *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle"),
        *("location", "logging", "metrics", "notification", "object-lock", "partNumber", "policy"),
        *("replication", "requestPayment", "restore", "select", "select-type", "storageClass", "tagging"),
        *("torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires"),
    )
)
_CARRIED_IN_QUERY: Final = ("content-md5", "content-type")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its own signature.

    `date` is the date as it is signed: in headers a date (empty where x-amz-date stands for it), in a
    query the end of the URL's life, in seconds since the epoch. `until_ms` and `signed_ms` are
    milliseconds since the epoch; a header has no `until_ms`, a query no `signed_ms`.
    """

    carrier: Carrier
    access_key_id: str
    signature: str
    date: str
    signed_ms: int = 0
    until_ms: int = 0


def read_claim(query: Pairs, headers: Headers) -> Claim | None:
    """Return the claim of a request of version 2, None for any other. Raises SignatureRefused."""
    authorization = headers.get("authorization")
    if authorization:
        return _header_claim(authorization, headers) if authorization.startswith(SCHEME) else None
    if any(name == _KEY_ID for name, _ in query):
        return _query_claim(dict(query))
    return None


def with_query_headers(query: Pairs, headers: Headers) -> Sequence[tuple[str, str]]:
    """Return the headers of a presigned request, with those that its query carries and it did not send."""
    carried = [
        (name, value)
        for name, value in query
        if (name.startswith("x-amz-") or name in _CARRIED_IN_QUERY)
        # A line end in a name would make one header of two that were signed.
        and _HEADER_NAME.fullmatch(name)
        and name not in headers
    ]
    return [*headers.raw(), *carried]


def covers(name: str) -> bool:
    """Whether the signature covers a parameter of the query."""
    return name in _SUBRESOURCES


def check_time(claim: Claim, now_ms: int) -> None:
    """Refuse a request signed too far from now, or a presigned one that has expired."""
    if claim.carrier is Carrier.QUERY:
        if now_ms > claim.until_ms:
            raise SignatureRefused(
                "AccessDenied",
                "Request has expired",
                Expires=iso_seconds(claim.until_ms),
                ServerTime=iso_seconds(now_ms),
            )
    elif abs(now_ms - claim.signed_ms) > SKEW_MAX_MS:
        raise SignatureRefused(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            ServerTime=iso_seconds(now_ms),
            MaxAllowedSkewMilliseconds=str(SKEW_MAX_MS),
        )


def check_signature(
    claim: Claim, secret: str, *, method: str, resource: str, query: Pairs, headers: Headers
) -> None:
    """Refuse a request whose signature does not hold.

    `resource` is the path as it was sent, with a bucket named by the host before it. Clients sign a
    bucket's path with a slash behind it, whether they send one or not.
    """
    to_sign = string_to_sign(claim, method, resource, query, headers)
    if _matches(secret, to_sign, claim.signature):
        return
    if resource.count("/") == 1:
        with_slash = string_to_sign(claim, method, resource + "/", query, headers)
        if _matches(secret, with_slash, claim.signature):
            return
    raise signature_mismatch(claim.access_key_id, to_sign, claim.signature)


def _matches(secret: str, to_sign: str, signature: str) -> bool:
    digest = hmac.digest(secret.encode(), to_sign.encode("utf-8", "surrogateescape"), "sha1")
    return hmac.compare_digest(b64encode(digest), signature.encode("utf-8", "surrogateescape"))


def string_to_sign(claim: Claim, method: str, resource: str, query: Pairs, headers: Headers) -> str:
    """Return what the secret signs."""
    amz = sorted((name, " ".join(value.split())) for name, value in headers.starting("x-amz-").items())
    lines = [method, headers.get("content-md5"), headers.get("content-type"), claim.date]
    lines += [f"x-amz-{name}:{value}" for name, value in amz]
    lines.append(resource + _subresources(query))
    return "\n".join(lines)


def _subresources(query: Pairs) -> str:
    signed = sorted((name, value) for name, value in query if name in _SUBRESOURCES)
    return "?" + "&".join(_fields(signed)) if signed else ""


def _fields(pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    return [f"{name}={value}" if value else name for name, value in pairs]


def _header_claim(authorization: str, headers: Headers) -> Claim:
    key_id, colon, signature = authorization[len(SCHEME) :].strip().rpartition(":")
    if not (key_id and colon and signature):
        raise SignatureRefused(
            "InvalidArgument", "AWS authorization header is invalid. Expected AwsAccessKeyId:signature"
        )
    # The one that is signed counts, an empty one too: it is not made up for by the other.
    dated = headers.get("x-amz-date") if "x-amz-date" in headers else headers.get("date")
    try:
        when = parsedate_to_datetime(dated)
        signed_ms = int(when.timestamp()) * 1000
    except (TypeError, ValueError, OverflowError):
        signed_ms = -1
    if signed_ms < 0:
        raise SignatureRefused(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    date = "" if "x-amz-date" in headers else headers.get("date")
    return Claim(Carrier.HEADER, key_id, signature, date, signed_ms=signed_ms)


def _query_claim(query: dict[str, str]) -> Claim:
    key_id, signature, expires = query[_KEY_ID], query.get("Signature", ""), query.get("Expires", "")
    if not (key_id and signature and expires):
        raise SignatureRefused(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 15):
        raise SignatureRefused("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
    return Claim(Carrier.QUERY, key_id, signature, expires, until_ms=int(expires) * 1000)
