"""The driver around the pure ring: maps, writes and locks ring files, makes keys, salts and new rings."""

import fcntl
import mmap
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ring.change import changed, first_ring
from ring.errors import RingBusy, RingFileError, RingUntrusted
from ring.meta import PlacementRules
from ring.ringfile import decode, encode
from ring.signing import SigningKey, Trust, Unchecked, Unsigned, key_id
from ring.table import Ring
from ring.topology import Device

SALT_BYTES = 16
RING_FILE_MODE = 0o640
KEY_FILE_MODE = 0o600


def now_ms() -> int:
    """Return the wall clock in ms since the epoch."""
    return time.time_ns() // 1_000_000


def load(path: str | Path, *, trust: Trust | None = None) -> Ring:
    """Map a ring file and return its ring.

    Without `trust`, the public key pinned beside the file (`<path>.pub`, written by `save`) decides; without
    such a pin the file must bear a signature, which is not checked. Raises RingFileError (damaged, unknown or
    untrusted), FileNotFoundError.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise RingFileError(f"{path}: the ring file is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return decode(memoryview(mapped), trust=pinned_trust(path) if trust is None else trust)
    except RingFileError as error:
        raise type(error)(f"{path}: {error}") from error


def save(path: str | Path, ring: Ring, key: SigningKey) -> None:
    """Write the ring atomically and durably, signed, and pin the signer's public key beside it at the first
    time.

    Raises RingUntrusted when another key is pinned: who changes the signer replaces `<path>.pub` knowingly.
    """
    if not isinstance(key, Unsigned):
        _pin(pin_path(path), key.public_key())
    elif pin_path(path).exists():
        raise RingUntrusted(f"{pin_path(path)} pins a key; remove it to keep this ring unsigned")
    write_durably(path, encode(ring, key), RING_FILE_MODE)


def install(path: str | Path, data: bytes, *, trust: Trust | None = None) -> Ring:
    """Check a ring file received from elsewhere, write it atomically and durably, and return its ring."""
    ring = decode(data, trust=pinned_trust(path) if trust is None else trust)
    write_durably(path, data, RING_FILE_MODE)
    return ring


def new_ring(
    devices: Iterable[Device],
    *,
    part_power: int,
    replicas: int = 3,
    rules: PlacementRules | None = None,
    created_ms: int | None = None,
) -> Ring:
    """Return version 1 of a ring over these devices, with a new salt and seed; raises PlacementImpossible."""
    return first_ring(
        devices,
        part_power=part_power,
        replicas=replicas,
        salt=random_salt(),
        rules=rules or PlacementRules(seed=random_seed()),
        created_ms=now_ms() if created_ms is None else created_ms,
    )


def add_devices(ring: Ring, devices: Iterable[Device], *, comment: str = "") -> Ring:
    """Return the next version of the ring with these devices added (or replaced, by id) and rebalanced."""
    topology = ring.topology.with_devices(devices)
    return changed(ring, topology, created_ms=now_ms(), comment=comment or "devices added").ring


def random_salt() -> bytes:
    """Return a new secret salt."""
    return secrets.token_bytes(SALT_BYTES)


def random_seed() -> int:
    """Return a new seed for placement."""
    return secrets.randbits(32)


def pin_path(path: str | Path) -> Path:
    """Return where the public key of a ring file's signer is pinned."""
    return Path(f"{path}.pub")


def pinned_trust(path: str | Path) -> Trust:
    """Return the trust that the pin beside a ring file expresses."""
    pin = pin_path(path)
    return [load_public_key(pin)] if pin.exists() else Unchecked.SIGNED_ONLY


def create_key(path: str | Path) -> Ed25519PrivateKey:
    """Make a signing key, write it as PKCS #8 PEM readable by its owner alone, and return it.

    Raises FileExistsError rather than overwrite a key.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
    with open(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(Path(path).parent)
    return key


def load_key(path: str | Path) -> Ed25519PrivateKey:
    """Read a signing key; raises RingFileError when the file holds none."""
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RingFileError(f"{path}: no PEM private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RingFileError(f"{path}: the key must be an Ed25519 one")
    return key


def load_public_key(path: str | Path) -> Ed25519PublicKey:
    """Read a public key in PEM; raises RingFileError when the file holds none."""
    try:
        key = serialization.load_pem_public_key(Path(path).read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RingFileError(f"{path}: no PEM public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise RingFileError(f"{path}: the key must be an Ed25519 one")
    return key


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the advisory lock of a ring file while it is read, changed and written; raises RingFileError when
    taken.
    """
    with open(f"{path}.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RingBusy(f"{path}: another command is changing this ring; try again later") from None
        yield


def write_durably(path: str | Path, data: bytes, mode: int) -> None:
    """Replace a file by `data` so that a crash leaves either the old or the new one, whole."""
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _pin(path: Path, key: Ed25519PublicKey) -> None:
    if path.exists():
        if key_id(load_public_key(path)) != key_id(key):
            raise RingUntrusted(
                f"{path} pins another key than {key_id(key)}; replace it to change the signer"
            )
        return
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_durably(path, pem, 0o644)


def _sync_folder(folder: Path) -> None:
    # Without it a crash can forget the rename.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
