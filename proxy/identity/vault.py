"""The small records of identity and of encryption as objects of the colony's own, hidden from every account.

They are placed, replicated and repaired like any object; a change is a conditional write, so of two
administrators who change one record at once neither undoes the other unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.errors import NoSuchObject, PreconditionFailed
from model.listing import Listed, Query, unpack_listed
from model.names import HIDDEN, SYSTEM_ACCOUNT, ContainerPath
from model.stamp import Stamp
from proxy.operations.colony import Colony
from proxy.operations.types import HeldBody, NewObject, StoredObject

IDENTITY: Final = ContainerPath(SYSTEM_ACCOUNT, f"{HIDDEN}identity")
_PAGE_NAMES: Final = 1000
_CONTENT_TYPE: Final = "application/msgpack"


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it was read, and the stamp of that reading."""

    value: bytes
    stamp: Stamp


class Vault:
    """Reads and writes small records by name."""

    def __init__(self, colony: Colony, container: ContainerPath = IDENTITY) -> None:
        """Keep records in a container of the system account."""
        self._colony = colony
        self._container = container

    async def read(self, name: str) -> Kept | None:
        """Return the record of a name, or None. Raises Unavailable."""
        try:
            opened = await self._colony.open_object(self._container.object(name))
        except NoSuchObject:
            return None
        if opened.data is not None:
            return Kept(bytes(opened.data), opened.stored.stamp)
        value = bytearray()
        async for chunk in opened.read(0, opened.stored.record.size):
            value += chunk
        return Kept(bytes(value), opened.stored.stamp)

    async def create(self, name: str, value: bytes, *, listed: Mapping[str, Any] | None = None) -> None:
        """Store a new record, `listed` beside its name. Raises PreconditionFailed where one exists."""

        def absent(stored: StoredObject | None) -> None:
            if stored is not None:
                raise PreconditionFailed(f"{name} exists")

        new = NewObject(_CONTENT_TYPE, listed=listed or {})
        await self._colony.put_object(self._container.object(name), new, HeldBody(value), precondition=absent)

    async def replace(self, name: str, value: bytes, kept: Kept) -> None:
        """Replace the record that was read as `kept`. Raises PreconditionFailed where it changed since."""

        def unchanged(stored: StoredObject | None) -> None:
            if stored is None or stored.stamp != kept.stamp:
                raise PreconditionFailed(f"{name} changed meanwhile")

        new = NewObject(_CONTENT_TYPE)
        await self._colony.put_object(
            self._container.object(name), new, HeldBody(value), precondition=unchanged
        )

    async def remove(self, name: str) -> None:
        """Remove a record; one that is absent is no error."""
        await self._colony.delete_object(self._container.object(name))

    async def names(self, prefix: str, *, limit: int | None = None) -> list[Listed]:
        """Return the listing rows of all names with a prefix, in order, at most `limit`."""
        found: list[Listed] = []
        marker = b""
        while limit is None or len(found) < limit:
            page_limit = _PAGE_NAMES if limit is None else min(_PAGE_NAMES, limit - len(found))
            query = Query(prefix=prefix.encode(), marker=marker, limit=page_limit)
            page = await self._colony.list_objects(self._container, query)
            found += map(unpack_listed, page.items)
            if not page.truncated:
                break
            marker = page.next_marker
        return found
