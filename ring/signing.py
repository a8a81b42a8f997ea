"""Who may make a ring: Ed25519 keys (RFC 8032), and what is believed of a file that carries a signature.
Pure.
"""

import hashlib
from collections.abc import Sequence
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ring.errors import RingUntrusted

SIGNATURE_BYTES = 64
_DOMAIN = b"colonnade ring 1\0"


class Unsigned(Enum):
    """Said in the place of a key by who really wants a ring without a signature."""

    ACCEPTED = "unsigned"


class Unchecked(Enum):
    """What to believe without a public key at hand: only files that bear a signature, or any file."""

    SIGNED_ONLY = "signed"
    UNSIGNED_TOO = "any"


SigningKey = Ed25519PrivateKey | Unsigned
Trust = Sequence[Ed25519PublicKey] | Unchecked


def key_id(key: Ed25519PublicKey) -> str:
    """Return the short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def signer_of(key: SigningKey) -> str:
    """Return the key id that a file signed by `key` names; empty when it is unsigned."""
    return "" if isinstance(key, Unsigned) else key_id(key.public_key())


def sign(key: SigningKey, message: bytes) -> bytes:
    """Return the signature of a message; zeros when it is to be unsigned."""
    return bytes(SIGNATURE_BYTES) if isinstance(key, Unsigned) else key.sign(_DOMAIN + message)


def believe(trust: Trust, signer: str, signature: bytes, message: bytes) -> None:
    """Return when the message may be believed; raises RingUntrusted with the reason when not."""
    if isinstance(trust, Unchecked):
        if not signer and trust is Unchecked.SIGNED_ONLY:
            raise RingUntrusted("the ring is unsigned; sign it, or accept unsigned rings explicitly")
        return
    if not signer:
        raise RingUntrusted("the ring is unsigned, a signature by a trusted key is needed")
    for key in trust:
        if key_id(key) == signer:
            try:
                key.verify(signature, _DOMAIN + message)
            except InvalidSignature:
                raise RingUntrusted(f"the signature by key {signer} is wrong") from None
            return
    raise RingUntrusted(
        f"the ring is signed by key {signer}, which is not trusted; trust its public key first"
    )
