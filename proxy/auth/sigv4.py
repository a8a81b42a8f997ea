"""AWS Signature Version 4 for S3: what a request claims, and whether its signature holds. Pure.

`read_claim` reads the Authorization header or a presigned query; the caller looks up the secret of
`claim.scope.access_key_id`; `check_time` and `check_signature` then accept or refuse. An accepted
request yields a `Seal`, from which the signatures of aws-chunked bodies continue.

Source: AWS, "Signature Version 4 signing process" and "Authenticating Requests (AWS Signature
Version 4)" of the Amazon S3 API reference.
"""

from __future__ import annotations

import hmac
from calendar import timegm
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from model.errors import Denied
from proxy.auth.query import Pairs, canonical_path, canonical_query

if TYPE_CHECKING:
    from proxy.http.messages import Headers

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SKEW_MAX_MS: Final = 15 * 60 * 1000
EXPIRES_MAX_S: Final = 604_800
_SERVICE: Final = "s3"
_TERMINATOR: Final = "aws4_request"
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_HEX: Final = "0123456789abcdef"
_CACHED_SCOPES: Final = 4096
_PRESIGNING: Final = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature")


class SignatureRefused(Denied):
    """The request's authentication is refused, with the S3 error code and details for the answer."""

    def __init__(self, code: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Carrier(Enum):
    """Where a request carries its signature."""

    HEADER = "header"
    QUERY = "query"


class Payload(Enum):
    """How a request says its body is to be checked: by a whole SHA-256, not at all, or by chunks."""

    SHA256 = "a hex SHA-256"
    UNSIGNED = "UNSIGNED-PAYLOAD"
    CHUNKS_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    CHUNKS_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    CHUNKS_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


_PAYLOADS: Final = {payload.value: payload for payload in Payload if payload is not Payload.SHA256}


@dataclass(frozen=True, slots=True)
class Scope:
    """Who signed, for which day and region, over which headers."""

    access_key_id: str
    date: str
    region: str
    signed_headers: tuple[str, ...]

    @property
    def text(self) -> str:
        """The credential scope as strings to sign name it."""
        return f"{self.date}/{self.region}/{_SERVICE}/{_TERMINATOR}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its own signature. `payload_hash` is as sent; `expires_s` is 0 in headers."""

    carrier: Carrier
    scope: Scope
    signature: str
    amz_date: str
    signed_ms: int
    payload: Payload
    payload_hash: str
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class Seal:
    """An accepted signature, and the key under which those of its chunks follow."""

    signing_key: bytes
    signature: str
    amz_date: str
    scope_text: str
    access_key_id: str = ""
    canonical: str = ""
    """The canonical request that was signed, told again where a chunk's signature does not hold."""


def read_claim(query: Pairs, headers: Headers) -> Claim | None:
    """Return the claim of a request, or None for an anonymous one. Raises SignatureRefused."""
    authorization = headers.get("authorization")
    presigned = any(name in _PRESIGNING for name, _ in query)
    if authorization:
        if presigned:
            raise SignatureRefused(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
            )
        return _header_claim(authorization, headers)
    if presigned:
        return _query_claim(dict(query), headers)
    return None


def check_time(claim: Claim, now_ms: int) -> None:
    """Refuse a request signed too far from now, or a presigned one used out of its time."""
    if claim.carrier is Carrier.HEADER:
        if abs(now_ms - claim.signed_ms) > SKEW_MAX_MS:
            raise SignatureRefused(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                RequestTime=claim.amz_date,
                ServerTime=iso_seconds(now_ms),
                MaxAllowedSkewMilliseconds=str(SKEW_MAX_MS),
            )
        return
    if claim.signed_ms > now_ms + SKEW_MAX_MS:
        raise SignatureRefused("AccessDenied", "Request is not yet valid", ServerTime=iso_seconds(now_ms))
    end_ms = claim.signed_ms + claim.expires_s * 1000
    if now_ms > end_ms:
        raise SignatureRefused(
            "AccessDenied",
            "Request has expired",
            **{
                "X-Amz-Expires": str(claim.expires_s),
                "Expires": iso_seconds(end_ms),
                "ServerTime": iso_seconds(now_ms),
            },
        )


def check_signature(
    claim: Claim, secret: str, *, method: str, raw_path: str, query: Pairs, headers: Headers
) -> Seal:
    """Return the seal of a request whose signature holds. Raises SignatureRefused.

    The path is tried in canonical form first; then as sent, since some clients sign what they send.
    """
    scope = claim.scope
    if claim.carrier is Carrier.QUERY:
        query = [pair for pair in query if pair[0] != "X-Amz-Signature"]
    _check_coverage(scope, headers)
    key = signing_key(secret, scope.date, scope.region, _SERVICE)
    query_text = canonical_query(query) if query else ""
    path = canonical_path(raw_path)
    canonical = canonical_request(claim, method, path, query_text, headers)
    to_sign = string_to_sign(claim, canonical)
    if not _matches(key, to_sign, claim.signature):
        as_sent = canonical_request(claim, method, raw_path, query_text, headers)
        if raw_path == path or not _matches(key, string_to_sign(claim, as_sent), claim.signature):
            raise signature_mismatch(
                scope.access_key_id,
                to_sign,
                claim.signature,
                CanonicalRequest=canonical,
                CanonicalRequestBytes=canonical.encode("utf-8", "surrogateescape").hex(" "),
            )
        canonical = as_sent
    return Seal(key, claim.signature, claim.amz_date, scope.text, scope.access_key_id, canonical)


@lru_cache(maxsize=_CACHED_SCOPES)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Return the key derived from a secret for a day (yyyymmdd), a region and a service."""
    key = hmac.digest(("AWS4" + secret).encode(), day.encode(), "sha256")
    for part in (region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def canonical_request(claim: Claim, method: str, path: str, query_text: str, headers: Headers) -> str:
    """Return the canonical request of a path and query that are canonical already."""
    signed = claim.scope.signed_headers
    lines = [method, path, query_text]
    for name in signed:
        value = headers.get(name).strip(" \t")
        if "  " in value or "\t" in value:
            value = " ".join(part for part in value.replace("\t", " ").split(" ") if part)
        lines.append(f"{name}:{value}")
    lines += ("", ";".join(signed), claim.payload_hash)
    return "\n".join(lines)


def string_to_sign(claim: Claim, canonical: str) -> str:
    """Return what the signing key signs for a canonical request."""
    digest = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{claim.amz_date}\n{claim.scope.text}\n{digest}"


def signature_mismatch(key_id: str, to_sign: str, signature: str, **details: str) -> SignatureRefused:
    """Return the error of a signature that does not hold, with what should have been signed."""
    return SignatureRefused(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        AWSAccessKeyId=key_id,
        StringToSign=to_sign,
        SignatureProvided=signature,
        StringToSignBytes=to_sign.encode("utf-8", "surrogateescape").hex(" "),
        **details,
    )


def _matches(key: bytes, to_sign: str, signature: str) -> bool:
    computed = hmac.digest(key, to_sign.encode("utf-8", "surrogateescape"), "sha256").hex()
    return hmac.compare_digest(computed, signature)


def _check_coverage(scope: Scope, headers: Headers) -> None:
    """Refuse a request whose host or x-amz- headers the signature does not cover."""
    signed = scope.signed_headers
    if "host" not in signed:
        raise SignatureRefused(
            "AccessDenied", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    unsigned = [
        name
        for name, _ in headers.items()
        if name.startswith("x-amz-") and name not in signed and name != "x-amz-content-sha256"
    ]
    if unsigned:
        raise SignatureRefused(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def _header_claim(authorization: str, headers: Headers) -> Claim:
    head, found, signature = authorization.rpartition("Signature=")
    if not found or len(signature) != 64:
        head, signature = _reordered(authorization)
    scope = _parse_head(head)
    payload_hash = headers.get("x-amz-content-sha256")
    if not payload_hash:
        raise SignatureRefused(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    amz_date, signed_ms = _header_date(headers)
    if not amz_date.startswith(scope.date):
        raise _malformed(
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: '
            f'"{amz_date[:8]}".'
        )
    payload = _payload(payload_hash)
    return Claim(Carrier.HEADER, scope, signature, amz_date, signed_ms, payload, payload_hash)


def _reordered(authorization: str) -> tuple[str, str]:
    """Return the head and signature of a header whose fields come in another order than usual."""
    algorithm, _, fields = authorization.partition(" ")
    found = dict(field.strip().partition("=")[::2] for field in fields.split(","))
    if algorithm == ALGORITHM and not {"Credential", "SignedHeaders", "Signature"} <= found.keys():
        raise _malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    head = f"{algorithm} Credential={found.get('Credential')},SignedHeaders={found.get('SignedHeaders')},"
    return head, found.get("Signature", "")


@lru_cache(maxsize=_CACHED_SCOPES)
def _parse_head(head: str) -> Scope:
    """Return the scope of an Authorization header up to its signature; a client's is always the same."""
    algorithm, _, fields = head.partition(" ")
    if algorithm != ALGORITHM:
        if algorithm.startswith("AWS4-"):
            raise mechanism_refused()
        raise SignatureRefused("InvalidArgument", "Unsupported Authorization Type")
    found = dict(field.strip().partition("=")[::2] for field in fields.split(","))
    credential, signed = found.get("Credential"), found.get("SignedHeaders")
    if not credential or not signed:
        raise _malformed("it lacks Credential or SignedHeaders.")
    scope = parse_credential(credential, signed)
    if isinstance(scope, str):
        raise _malformed(scope)
    return scope


def parse_credential(credential: str, signed: str) -> Scope | str:
    """Return the scope of a credential, or what is wrong with it."""
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        return 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
    access_key_id, day, region, service, terminator = parts
    if len(day) != 8 or not day.isdecimal() or not day.isascii():
        return f'incorrect date format "{day}". This date in the credential must be "yyyyMMdd".'
    if service != _SERVICE:
        return f'incorrect service "{service}". This endpoint belongs to "{_SERVICE}".'
    if terminator != _TERMINATOR:
        return f'incorrect terminal "{terminator}". This endpoint uses "{_TERMINATOR}".'
    return Scope(access_key_id, day, region, tuple(signed.lower().split(";")))


def _header_date(headers: Headers) -> tuple[str, int]:
    amz_date = headers.get("x-amz-date")
    if amz_date:
        signed_ms = parse_amz_date(amz_date)
        if signed_ms is not None:
            return amz_date, signed_ms
    try:
        when = parsedate_to_datetime(amz_date or headers.get("date"))
    except (TypeError, ValueError):
        raise SignatureRefused(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        ) from None
    return when.strftime("%Y%m%dT%H%M%SZ"), int(when.timestamp()) * 1000


def parse_amz_date(text: str) -> int | None:
    """Return the milliseconds since the epoch of `yyyymmddThhmmssZ`, or None for other text."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z":
        return None
    midnight_ms = _midnight_ms(text[:8])
    clock = text[9:15]
    if midnight_ms is None or not (clock.isdecimal() and clock.isascii()):
        return None
    return midnight_ms + (int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])) * 1000


@lru_cache(maxsize=64)
def _midnight_ms(text: str) -> int | None:
    if not (text.isdecimal() and text.isascii()):
        return None
    try:
        return timegm((*date(int(text[:4]), int(text[4:6]), int(text[6:])).timetuple()[:3], 0, 0, 0)) * 1000
    except ValueError:
        return None


def _query_claim(query: dict[str, str], headers: Headers) -> Claim:
    try:
        algorithm, credential = query["X-Amz-Algorithm"], query["X-Amz-Credential"]
        signature, amz_date = query["X-Amz-Signature"], query["X-Amz-Date"]
        signed, expires = query["X-Amz-SignedHeaders"], query["X-Amz-Expires"]
    except KeyError:
        raise _bad_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        ) from None
    if algorithm != ALGORITHM:
        raise _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    scope = parse_credential(credential, signed)
    if isinstance(scope, str):
        raise _bad_query(f"Error parsing the X-Amz-Credential parameter; {scope}")
    signed_ms = parse_amz_date(amz_date)
    if signed_ms is None:
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if not amz_date.startswith(scope.date):
        raise _bad_query(f'Invalid credential date "{scope.date}" does not match X-Amz-Date.')
    payload_hash = query.get("X-Amz-Content-Sha256", "")
    if not payload_hash and "x-amz-content-sha256" in scope.signed_headers:
        payload_hash = headers.get("x-amz-content-sha256")
    payload_hash = payload_hash or Payload.UNSIGNED.value
    payload, expires_s = _payload(payload_hash), _expires_s(expires)
    return Claim(Carrier.QUERY, scope, signature, amz_date, signed_ms, payload, payload_hash, expires_s)


def _expires_s(text: str) -> int:
    try:
        expires_s = int(text[:20])
    except ValueError:
        raise _bad_query("X-Amz-Expires should be a number") from None
    if expires_s < 0:
        raise _bad_query("X-Amz-Expires must be non-negative")
    if expires_s > EXPIRES_MAX_S:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires "
            f"must be less than {EXPIRES_MAX_S} seconds"
        )
    return expires_s


def _payload(payload_hash: str) -> Payload:
    payload = _PAYLOADS.get(payload_hash)
    if payload is not None:
        return payload
    if len(payload_hash) == 64 and not payload_hash.lower().rstrip(_HEX):
        return Payload.SHA256
    if payload_hash.startswith("STREAMING-AWS4-ECDSA"):
        raise SignatureRefused("NotImplemented", f"{payload_hash} is not implemented")
    raise SignatureRefused(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
        "or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=payload_hash,
    )


def mechanism_refused() -> SignatureRefused:
    """Return the error of a signature of another version than is accepted."""
    return SignatureRefused(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )


def _malformed(why: str) -> SignatureRefused:
    return SignatureRefused("AuthorizationHeaderMalformed", f"The authorization header is malformed; {why}")


def _bad_query(why: str) -> SignatureRefused:
    return SignatureRefused("AuthorizationQueryParametersError", why)


def iso_seconds(at_ms: int) -> str:
    """Return milliseconds since the epoch as an ISO 8601 time in UTC, without fractions."""
    days, second = divmod(at_ms // 1000, 86_400)
    hour, minute = second // 3600, second // 60 % 60
    return f"{_civil(days)}T{hour:02}:{minute:02}:{second % 60:02}Z"


def _civil(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()
