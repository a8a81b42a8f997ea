"""Signatures of browser forms: over the policy, by version 4 or version 2. Pure.

Source: Amazon S3 API reference, "Authenticating requests in browser-based uploads using POST".
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.auth.sigv4 import ALGORITHM, Scope, SignatureRefused, parse_credential, signing_key

_VERSION_4: Final = ("x-amz-signature", "x-amz-credential", "x-amz-algorithm")
_VERSION_2: Final = ("signature", "awsaccesskeyid")


@dataclass(frozen=True, slots=True)
class FormClaim:
    """What a form says of its signature; `scope` is None for version 2."""

    access_key_id: str
    signature: str
    policy: str
    scope: Scope | None = None


def read_form_claim(fields: Mapping[str, str]) -> FormClaim | None:
    """Return the claim of a form by its lower-case fields, None for an anonymous one.

    Raises SignatureRefused where part of it is missing or malformed.
    """
    if any(name in fields for name in _VERSION_4):
        return _version_4(fields)
    if "policy" not in fields and not any(name in fields for name in _VERSION_2):
        return None
    for name, shown in (
        ("awsaccesskeyid", "AWSAccessKeyId"),
        ("signature", "signature"),
        ("policy", "policy"),
    ):
        if not fields.get(name):
            raise _missing(shown)
    return FormClaim(fields["awsaccesskeyid"], fields["signature"], fields["policy"])


def check_form_signature(claim: FormClaim, secret: str) -> None:
    """Refuse a form whose signature does not hold. Raises SignatureRefused."""
    signed = claim.policy.encode("utf-8", "surrogateescape")
    if claim.scope is None:
        computed = b64encode(hmac.digest(secret.encode(), signed, "sha1"))
    else:
        key = signing_key(secret, claim.scope.date, claim.scope.region, "s3")
        computed = hmac.digest(key, signed, "sha256").hex().encode()
    if not hmac.compare_digest(computed, claim.signature.strip().encode("utf-8", "surrogateescape")):
        raise SignatureRefused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            AWSAccessKeyId=claim.access_key_id,
            StringToSign=claim.policy,
            SignatureProvided=claim.signature,
        )


def _version_4(fields: Mapping[str, str]) -> FormClaim:
    for name in (*_VERSION_4, "x-amz-date", "policy"):
        if not fields.get(name):
            raise _missing(name)
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise _refused(f"X-Amz-Algorithm only supports '{ALGORITHM}'", "x-amz-algorithm", fields)
    scope = parse_credential(fields["x-amz-credential"], "")
    if isinstance(scope, str):
        raise _refused(f"Error parsing the X-Amz-Credential field; {scope}", "x-amz-credential", fields)
    if not fields["x-amz-date"].startswith(scope.date):
        raise _refused("X-Amz-Date must be on the day that the credential names", "x-amz-date", fields)
    return FormClaim(scope.access_key_id, fields["x-amz-signature"], fields["policy"], scope)


def _missing(name: str) -> SignatureRefused:
    return SignatureRefused(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'. If it is specified, please check the order of the "
        "fields.",
        ArgumentName=name,
    )


def _refused(message: str, name: str, fields: Mapping[str, str]) -> SignatureRefused:
    return SignatureRefused("InvalidArgument", message, ArgumentName=name, ArgumentValue=fields[name])
