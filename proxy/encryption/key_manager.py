"""Where data keys come from: the interface of key managers, and the one of a process that has none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from model.errors import NoSuchMasterKey


@dataclass(frozen=True, slots=True)
class DataKey:
    """A fresh data key, and the same wrapped under a master key."""

    key: bytes = field(repr=False)
    wrapped: bytes


class KeyManager(Protocol):
    """Makes data keys under master keys, and opens them again."""

    async def make(self, key_id: str, bound: bytes) -> DataKey:
        """Return a new data key under the newest version of a master key.

        Raises NoSuchMasterKey, MasterKeyDisabled, MasterKeyLost, Unavailable.
        """

    async def open(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """Return a data key that some version of a master key wrapped.

        Raises what `make` raises, and CorruptRecord.
        """


class NoKeys:
    """The key manager of a process that neither writes nor reads encrypted objects."""

    async def make(self, key_id: str, bound: bytes) -> DataKey:
        """Raise NoSuchMasterKey."""
        raise NoSuchMasterKey(key_id)

    async def open(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """Raise NoSuchMasterKey."""
        raise NoSuchMasterKey(key_id)
