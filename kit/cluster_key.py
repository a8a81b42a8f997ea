"""The cluster key on disk: the secret by which the nodes of a colony know one another, in hexadecimal."""

from __future__ import annotations

import secrets
from pathlib import Path

from kit.config import ConfigError
from kit.handshake import CLUSTER_KEY_BYTES


def new_cluster_key() -> bytes:
    """Return the content of a new key file."""
    return secrets.token_hex(CLUSTER_KEY_BYTES).encode() + b"\n"


def read_cluster_key(path: str | Path) -> bytes:
    """Return the 32 bytes of a key file. Raises ConfigError saying what is wrong with it."""
    try:
        key = bytes.fromhex(Path(path).read_text(encoding="ascii"))
    except OSError as error:
        raise ConfigError(f"{path}: the cluster key cannot be read: {error.strerror}") from error
    except ValueError:
        key = b""
    if len(key) != CLUSTER_KEY_BYTES:
        raise ConfigError(
            f"{path}: holds no cluster key ({2 * CLUSTER_KEY_BYTES} hexadecimal digits); "
            "copy the file of another node"
        )
    return key
