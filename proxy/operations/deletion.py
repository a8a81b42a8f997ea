"""Deleting objects: for good, or by a marker where their container keeps versions."""

from __future__ import annotations

from model.containers import Versioning
from model.entry import Kind, is_listed
from model.names import NULL_VERSION, ObjectPath, version_of_key
from model.stamp import Stamp, version_id
from proxy.operations.entries import Places, stored_object
from proxy.operations.look_up import LookUps
from proxy.operations.object_writes import write_object
from proxy.operations.read import find
from proxy.operations.types import Deletion, Precondition, StoredObject
from proxy.operations.versions import observe_versions
from proxy.operations.write import Update


class Deletions:
    """The deletion of objects and of their versions."""

    def __init__(self, look_ups: LookUps) -> None:
        self._look_ups = look_ups
        self._nodes = look_ups.nodes

    async def delete_object(
        self, path: ObjectPath, *, version: str | None = None, precondition: Precondition | None = None
    ) -> Deletion:
        """Delete an object, or one version of it for good; where there is nothing, nothing is done.

        Where the container keeps versions, an object is deleted by a marker, whether it is there or not.
        `precondition` is called with what would be removed for good, or, where a marker would be made,
        with the current version. Raises NoSuchVersion for what is no version id.
        """
        versioning = await self._look_ups.versioning(path.parent)
        places = self._look_ups.places(path)
        if version is None and versioning is not Versioning.OFF:
            return await self._mark(places, versioning, precondition)
        found = await self._look_ups.find(places, versioning, version=version)
        stored = None if found is None else self._look_ups.live(path, found.entry, versioning)
        if precondition is not None:
            precondition(stored)
        if found is None or not is_listed(found.entry.kind):
            return Deletion(version_id=version)
        of = version_of_key(found.entry.key)

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            entry, row = map(Update, places.tombstones(stamp, of))
            return entry, row

        await write_object(self._nodes, path, updates, looked_up=True)
        return Deletion(stored, version, is_marker=found.entry.kind is Kind.MARKER)

    async def _mark(
        self, places: Places, versioning: Versioning, precondition: Precondition | None
    ) -> Deletion:
        """Make a delete marker; while versioning is suspended it takes the place of the null version."""
        if precondition is not None:
            looked_up = await self._look_ups.look_up(places.path)
            precondition(None if looked_up is None else looked_up[0])
        replaced: StoredObject | None = None
        if versioning is Versioning.SUSPENDED:
            null = await find(self._nodes, places.key(None))
            if null is not None and null.entry.kind is Kind.DATA:
                replaced = stored_object(places.path, null.entry, versioning)
        await observe_versions(self._nodes, places.digest)

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            entry, row = places.marker(stamp, stamp if versioning is Versioning.ENABLED else None)
            return Update(entry), Update(row, guard=places.guard)

        stamp = await write_object(self._nodes, places.path, updates, looked_up=True)
        made = version_id(stamp) if versioning is Versioning.ENABLED else NULL_VERSION
        return Deletion(replaced, made, is_marker=True)
