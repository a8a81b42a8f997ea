"""Data keys wrapped under other keys, and ETags that take a key to make. Pure: chance comes as an argument.

Each wrapping has a salt of 32 bytes, from which and the outer key HKDF derives a key that wraps this one
data key and nothing else. So no outer key wears out, however many objects it serves: random nonces of
12 bytes under one key would from some billions of objects on.
Source: RFC 5869; NIST SP 800-38D, section 8.3.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from model.errors import CorruptRecord
from proxy.encryption.cipher import KEY_BYTES, TAG_BYTES

VERSION_ID_BYTES: Final = 8
SALT_BYTES: Final = 32
NO_VERSION: Final = bytes(VERSION_ID_BYTES)
"""Stands for a key without versions: a customer's."""
_FORM: Final = b"\x01"
_NONCE: Final = bytes(12)
_WRAPPED_BYTES: Final = 1 + VERSION_ID_BYTES + SALT_BYTES + KEY_BYTES + TAG_BYTES


class WrongKey(Exception):
    """The key is not the one that wrapped, or what is bound is not what was."""


def wrap(outer: bytes, data_key: bytes, bound: bytes, *, version: bytes, salt: bytes) -> bytes:
    """Return a data key wrapped under a version of an outer key: form, version, salt, sealed key."""
    head = _FORM + version + salt
    return head + _cipher(outer, salt).encrypt(_NONCE, data_key, head + bound)


def version_of(wrapped: bytes) -> bytes:
    """Return the version id of the outer key. Raises CorruptRecord for what is no wrapped key."""
    if len(wrapped) != _WRAPPED_BYTES or wrapped[:1] != _FORM:
        raise CorruptRecord("a wrapped data key is of an unknown form")
    return wrapped[1 : 1 + VERSION_ID_BYTES]


def unwrap(outer: bytes, wrapped: bytes, bound: bytes) -> bytes:
    """Return the data key. Raises WrongKey, CorruptRecord."""
    version_of(wrapped)
    cut = 1 + VERSION_ID_BYTES + SALT_BYTES
    head = wrapped[:cut]
    try:
        return _cipher(outer, head[-SALT_BYTES:]).decrypt(_NONCE, wrapped[cut:], head + bound)
    except InvalidTag:
        raise WrongKey from None


def opaque_etag(key: bytes, md5: str) -> str:
    """Return an ETag that tells nothing of a body's MD5 without the key: 32 hex digits, as an MD5's."""
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"colonnade etag").derive(key)
    return hmac.digest(derived, md5.encode(), sha256).hex()[:32]


def _cipher(outer: bytes, salt: bytes) -> AESGCM:
    derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"colonnade data key")
    return AESGCM(derive.derive(outer))
