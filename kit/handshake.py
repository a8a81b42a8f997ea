"""Handshake: two nodes agree on a protocol version and prove that both hold the cluster key. Pure.

    client → HELLO      version range, name, nonce
    server → CHALLENGE  version range, name, nonce
    client → PROOF      HMAC-SHA256(key, "colonnade client" · HELLO · CHALLENGE)
    server → WELCOME    HMAC-SHA256(key, "colonnade server" · HELLO · CHALLENGE)

Both proofs cover both messages byte for byte, so nobody in between can lower the version range or
change a name; the two labels keep one side's proof from serving as the other's. The server proves
only to a client that has proved, so it is no oracle. The version is the highest that both speak.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

import msgpack

PROTOCOL_VERSIONS: Final = (1, 1)
"""The lowest and the highest version of the node protocol that this code speaks."""

CLUSTER_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 32
NAME_BYTES_MAX: Final = 255
HANDSHAKE_FRAME_BYTES_MAX: Final = 4096

_CLIENT_LABEL: Final = b"colonnade client"
_SERVER_LABEL: Final = b"colonnade server"


class HandshakeError(Exception):
    """The peer is not of this cluster, or speaks no version that this node speaks."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a HELLO or CHALLENGE says: the sender's version range, name and nonce."""

    version_min: int
    version_max: int
    name: str
    nonce: bytes


def check_key(cluster_key: bytes) -> bytes:
    """Return the cluster key; raises ValueError where it is not 32 bytes."""
    if len(cluster_key) != CLUSTER_KEY_BYTES:
        raise ValueError(f"a cluster key has {CLUSTER_KEY_BYTES} bytes, not {len(cluster_key)}")
    return cluster_key


def encode_greeting(name: str, nonce: bytes, versions: tuple[int, int] = PROTOCOL_VERSIONS) -> bytes:
    """Return the body of a HELLO or CHALLENGE frame."""
    packed: bytes = msgpack.packb([versions[0], versions[1], name, nonce])
    return packed


def decode_greeting(body: bytes) -> Greeting:
    """Return what a HELLO or CHALLENGE says; raises HandshakeError where it is malformed."""
    try:
        # Later versions may append fields, which an older reader passes over.
        version_min, version_max, name, nonce = msgpack.unpackb(body)[:4]
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise HandshakeError(f"malformed greeting: {error}") from error
    well_formed = (
        isinstance(version_min, int)
        and isinstance(version_max, int)
        and isinstance(name, str)
        and len(name.encode()) <= NAME_BYTES_MAX
        and isinstance(nonce, bytes)
        and len(nonce) == NONCE_BYTES
    )
    if not well_formed:
        raise HandshakeError("malformed greeting")
    return Greeting(version_min, version_max, name, nonce)


def agree_version(ours: tuple[int, int], theirs: Greeting) -> int:
    """Return the highest version both sides speak; raises HandshakeError where there is none."""
    version = min(ours[1], theirs.version_max)
    if version < max(ours[0], theirs.version_min):
        raise HandshakeError(
            f"{theirs.name} speaks protocol versions {theirs.version_min} to {theirs.version_max}, "
            f"this node {ours[0]} to {ours[1]}"
        )
    return version


def client_proof(cluster_key: bytes, hello: bytes, challenge: bytes) -> bytes:
    """Return what only a client that holds the key can say after these two messages."""
    return _proof(cluster_key, _CLIENT_LABEL, hello, challenge)


def server_proof(cluster_key: bytes, hello: bytes, challenge: bytes) -> bytes:
    """Return what only a server that holds the key can say after these two messages."""
    return _proof(cluster_key, _SERVER_LABEL, hello, challenge)


def check_proof(expected: bytes, received: bytes) -> None:
    """Raise HandshakeError unless the peer's proof is the expected one (compared in constant time)."""
    if not hmac.compare_digest(expected, received):
        raise HandshakeError("the cluster keys differ")


def _proof(cluster_key: bytes, label: bytes, hello: bytes, challenge: bytes) -> bytes:
    transcript = msgpack.packb([label, hello, challenge])
    return hmac.digest(cluster_key, transcript, "sha256")
