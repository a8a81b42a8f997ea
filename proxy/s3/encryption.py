"""Server-side encryption in headers: what requests ask for, what answers show. Pure.

Source: Amazon S3 user guide, "Protecting data with server-side encryption".
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from hashlib import md5
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from proxy.encryption.cipher import KEY_BYTES
from proxy.encryption.defaults import (
    AES256,
    AWS_KMS,
    CUSTOMER_KEYS,
    CustomerKeys,
    default_seal,
    encryption_of,
    plain_key_id,
)
from proxy.encryption.sealed import OWN_KEY, ETags, Mode, Seal, sealed_of
from proxy.s3.errors import S3Error, invalid_argument

if TYPE_CHECKING:
    from proxy.http.messages import Headers
    from proxy.s3.call import Call

SSE: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{SSE}-aws-kms-key-id"
CONTEXT: Final = f"{SSE}-context"
BUCKET_KEY: Final = f"{SSE}-bucket-key-enabled"
_CUSTOMER: Final = f"{SSE}-customer-"
_DSSE: Final = "aws:kms:dsse"
_OF_KMS: Final = (KEY_ID, CONTEXT)
_NAMES: Final = (SSE, KEY_ID, CONTEXT, BUCKET_KEY)
_WITH_KEY: Final = "Requests specifying Server Side Encryption with Customer provided keys must "


class Of(Enum):
    """Whose headers a customer's key is read from: the first part of their names."""

    OBJECT = _CUSTOMER
    SOURCE = f"x-amz-copy-source-{_CUSTOMER.removeprefix('x-amz-')}"


_PARTS: Final = {of: tuple(of.value + part for part in ("algorithm", "key", "key-md5")) for of in Of}
_MISSING: Final = (
    "provide a valid encryption algorithm.",
    "provide an appropriate secret key.",
    "provide the client calculated MD5 of the secret key.",
)


def customer_key(call: Call, headers: Headers, of: Of = Of.OBJECT) -> bytes | None:
    """Return the customer's key that headers bring, checked, or None. Raises S3Error."""
    names = _PARTS[of]
    # Spelled out: this is on the path of every GET and PUT.
    if names[0] not in headers and names[1] not in headers and names[2] not in headers:
        return None
    if not call.request.secure and call.settings.customer_keys is CustomerKeys.TLS_ONLY:
        raise S3Error("InvalidRequest", _WITH_KEY + "be made over a secure connection.")
    for name, missing in zip(names, _MISSING, strict=True):
        if not headers.get(name):
            raise invalid_argument(name, "null", _WITH_KEY + missing)
    algorithm, text, digest = (headers[name] for name in names)
    if algorithm != AES256:
        raise S3Error(
            "InvalidEncryptionAlgorithmError",
            details={"ArgumentName": names[0], "ArgumentValue": algorithm},
        )
    key = _decoded(text)
    if len(key) != KEY_BYTES:
        raise invalid_argument(names[1], "null", "The secret key was invalid for the specified algorithm.")
    if not compare_digest(md5(key, usedforsecurity=False).digest(), _decoded(digest)):
        raise invalid_argument(
            names[2],
            digest,
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        )
    return key


def wanted_seal(call: Call, headers: Headers, settings: Mapping[str, bytes]) -> Seal | None:
    """Return how a new object is to be encrypted: as its headers ask, else as its bucket does.

    `settings` are those of the bucket. Raises S3Error.
    """
    method = headers.get(SSE)
    key = customer_key(call, headers)
    if key is not None:
        if any(name in headers for name in _NAMES):
            raise invalid_argument(
                SSE,
                method,
                "Server Side Encryption with Customer provided key is incompatible with the encryption "
                "method specified",
            )
        rule = encryption_of(settings)
        if rule is not None and CUSTOMER_KEYS in rule.blocked:
            raise S3Error("AccessDenied", "The bucket does not take objects encrypted by customers' keys.")
        return Seal(Mode.CUSTOMER, customer_key=key, etags=ETags.OPAQUE)
    if SSE not in headers:
        for name in _OF_KMS:
            if name in headers:
                raise invalid_argument(SSE, "null", f"{name} is only valid together with {SSE}: {AWS_KMS}")
        seal = default_seal(settings, call.settings.default_encryption, ETags.OPAQUE)
        if seal is None or BUCKET_KEY not in headers:
            return seal
        return replace(seal, bucket_key=_is_true(headers))
    if method == AES256:
        for name in _OF_KMS:
            if name in headers:
                raise invalid_argument(name, headers[name], f"{SSE}: {AES256} takes no {name}")
        return Seal(Mode.OWN, OWN_KEY)
    if method == _DSSE:
        raise S3Error("NotImplemented", f"{_DSSE} is not implemented", details={"Header": SSE})
    if method != AWS_KMS:
        raise invalid_argument(SSE, method, "The encryption method specified is not supported")
    return Seal(
        Mode.KMS,
        named_key(headers.get(KEY_ID)),
        _read_context(headers),
        _is_true(headers),
        etags=ETags.OPAQUE,
    )


def refuse_on_read(headers: Headers) -> None:
    """Refuse a GET or HEAD that asks for encryption: the object is encrypted as it is. Raises S3Error."""
    for name in _NAMES:
        if name in headers:
            raise invalid_argument(name, headers[name], f"{name} is not supported for this operation.")


def changes(headers: Headers) -> bool:
    """Say whether a copy asks to be encrypted in a way of its own."""
    return SSE in headers or f"{_CUSTOMER}algorithm" in headers


def show(headers: Headers, extra: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers that tell how an object is encrypted, by the extra of its record.

    `headers` are the request's: the MD5 of a customer's key is shown as it was sent, and checked.
    """
    sealed = sealed_of(extra)
    if sealed is None:
        return []
    if sealed.mode is Mode.CUSTOMER:
        sent = headers.get(f"{_CUSTOMER}key-md5")
        shown = [(f"{_CUSTOMER}algorithm", AES256)]
        return [*shown, (f"{_CUSTOMER}key-MD5", sent)] if sent else shown
    if sealed.mode is Mode.OWN:
        return [(SSE, AES256)]
    shown = [(SSE, AWS_KMS), (KEY_ID, sealed.key_id)]
    if sealed.bucket_key:
        shown.append((BUCKET_KEY, "true"))
    return shown


def show_written(headers: Headers, extra: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `show` does, and the encryption context, which only answers to writes tell."""
    sealed = sealed_of(extra)
    shown = show(headers, extra)
    if sealed is not None and sealed.context:
        shown.append((CONTEXT, b64encode(sealed.context.encode()).decode()))
    return shown


def named_key(text: str) -> str:
    """Return the id of the master key that a client names. Raises S3Error for one nobody can name."""
    key_id = plain_key_id(text)
    # The colony's own key is not for naming: whoever may encrypt under it needs no permission for it.
    if key_id == OWN_KEY or not key_id.isascii() or len(key_id) > 256:
        raise S3Error("KMS.NotFoundException", f"Invalid keyId {key_id!r}")
    return key_id


def _read_context(headers: Headers) -> str:
    text = headers.get(CONTEXT)
    if not text:
        return ""
    try:
        context = json.loads(_decoded(text))
    except (ValueError, RecursionError):
        context = None
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise invalid_argument(
            CONTEXT, text, "The header must be the base64 of a JSON object of texts: an encryption context."
        )
    return json.dumps(context, sort_keys=True, separators=(",", ":"))


def _is_true(headers: Headers) -> bool:
    text = headers.get(BUCKET_KEY)
    if text.lower() not in ("", "true", "false"):
        raise invalid_argument(BUCKET_KEY, text, f"{BUCKET_KEY} is true or false")
    return text.lower() == "true"


def _decoded(text: str) -> bytes:
    """Return the bytes of base64, none where it is not."""
    try:
        return b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
