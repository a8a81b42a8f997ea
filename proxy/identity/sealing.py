"""Keys derived from the cluster key, sealed S3 secrets and hashed passwords.

SigV4 needs the secret itself, so secrets are stored encrypted (AES-256-GCM, the key id bound in);
passwords are only ever verified, so they are stored as argon2id hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from model.errors import CorruptRecord

_SEAL_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
# 19 MiB and two passes: OWASP's floor for argon2id, some 30 ms of one core.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def derive_key(cluster_key: bytes, purpose: str) -> bytes:
    """Return 32 bytes derived from the cluster key for one purpose (HKDF-SHA256, RFC 5869)."""
    info = b"colonnade " + purpose.encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(cluster_key)


class Sealer:
    """Seals and opens S3 secrets under a key derived from the cluster key."""

    def __init__(self, cluster_key: bytes) -> None:
        self._cipher = AESGCM(derive_key(cluster_key, "s3 secrets"))

    def seal(self, key_id: str, secret: str) -> bytes:
        """Return the sealed secret; it opens only together with its key id."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _SEAL_VERSION + nonce + self._cipher.encrypt(nonce, secret.encode(), key_id.encode())

    def open(self, key_id: str, sealed: bytes) -> str:
        """Return the secret. Raises CorruptRecord where it was sealed by another key or altered."""
        if sealed[:1] != _SEAL_VERSION:
            raise CorruptRecord(f"the secret of key {key_id!r} is sealed in an unknown form")
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], key_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise CorruptRecord(f"the secret of key {key_id!r} was sealed by another cluster key") from error


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with its parameters and a fresh salt."""
    return _HASHER.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Return whether the password is the one hashed. Takes tens of milliseconds of one core."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def decoy_hash() -> str:
    """Return a hash that no password fits: verifying against it hides which users exist."""
    return _HASHER.hash(secrets.token_hex(32))


class PasswordMemory:
    """Remembers for a while which password fitted which hash, so that it need not be verified again.

    Kept as a keyed hash under a key of this process: neither passwords nor anything that outlives
    the process is held.
    """

    def __init__(self, *, keep_ms: int, entries_max: int = 4096) -> None:
        self._key = secrets.token_bytes(32)
        self._keep_ms = keep_ms
        self._entries_max = entries_max
        self._until_ms: dict[bytes, int] = {}

    def knows(self, password_hash: str, password: str, now_ms: int) -> bool:
        """Return whether this password was lately found to fit this hash."""
        return now_ms < self._until_ms.get(self._mark(password_hash, password), 0)

    def remember(self, password_hash: str, password: str, now_ms: int) -> None:
        """Note that the password fits the hash."""
        if len(self._until_ms) >= self._entries_max:
            del self._until_ms[next(iter(self._until_ms))]
        self._until_ms[self._mark(password_hash, password)] = now_ms + self._keep_ms

    def _mark(self, password_hash: str, password: str) -> bytes:
        text = f"{password_hash}\0{password}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, hashlib.sha256)


def random_access_key() -> str:
    """Return a new access key id: 20 letters and digits, as AWS's."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return "CL" + "".join(secrets.choice(alphabet) for _ in range(18))


def random_secret() -> str:
    """Return a new secret of 40 characters, safe in shells, URLs and configuration files."""
    return secrets.token_hex(20)
