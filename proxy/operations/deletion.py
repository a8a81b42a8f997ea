"""Deleting objects: for good, or by a marker where their container keeps versions."""

from __future__ import annotations

from model.containers import Versioning
from model.entry import Entry, Kind, is_listed
from model.names import NULL_VERSION, ObjectPath, version_of_key
from model.stamp import Stamp, version_id
from proxy.operations.entries import Places, stored_object
from proxy.operations.look_up import LookUps
from proxy.operations.object_writes import write_object, write_object_if
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
        if precondition is not None:
            return await self._delete_if(places, versioning, version, precondition)
        found = await self._look_ups.find(places, versioning, version=version)
        stored = None if found is None else self._look_ups.live(path, found.entry, versioning)
        if found is None or not is_listed(found.entry.kind):
            return Deletion(version_id=version)
        of = version_of_key(found.entry.key)

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            entry, row = map(Update, places.tombstones(stamp, of))
            return entry, row

        await write_object(self._nodes, path, updates, looked_up=True)
        return Deletion(stored, version, is_marker=found.entry.kind is Kind.MARKER)

    async def _delete_if(
        self, places: Places, versioning: Versioning, version: str | None, precondition: Precondition
    ) -> Deletion:
        """Delete what a precondition allows, unless anything about it changes meanwhile."""
        found = await self._look_ups.find(places, versioning, version=version)
        # Looked at beforehand: what fails already needs no ballot.
        precondition(None if found is None else self._look_ups.live(places.path, found.entry, versioning))
        if found is None or not is_listed(found.entry.kind):
            return Deletion(version_id=version)
        key = found.entry.key
        deleted: list[Deletion] = []

        async def judge(state: tuple[Entry, ...]) -> bool:
            entry = next((one for one in state if one.key == key), None)
            stored = None if entry is None else self._look_ups.live(places.path, entry, versioning)
            precondition(stored)
            if entry is None or not is_listed(entry.kind):
                return False
            deleted[:] = [Deletion(stored, version, is_marker=entry.kind is Kind.MARKER)]
            return True

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            entry, row = map(Update, places.tombstones(stamp, version_of_key(key)))
            return entry, row

        done = await write_object_if(self._nodes, places.path, key, judge, updates)
        return Deletion(version_id=version) if done is None else deleted[0]

    async def _mark(
        self, places: Places, versioning: Versioning, precondition: Precondition | None
    ) -> Deletion:
        """Make a delete marker; while versioning is suspended it takes the place of the null version."""
        if precondition is not None:
            found = await self._look_ups.find(places, versioning)
            seen = self._look_ups.live_or_marker
            precondition(None if found is None else seen(places.path, found.entry, versioning))
            if found is None:
                # Who deletes what fits a condition wants nothing done where nothing is.
                return Deletion()
        replaced: StoredObject | None = None
        if versioning is Versioning.SUSPENDED:
            null = await find(self._nodes, places.key(None))
            if null is not None and null.entry.kind is Kind.DATA:
                replaced = stored_object(places.path, null.entry, versioning)
        await observe_versions(self._nodes, places.digest)

        def updates(stamp: Stamp) -> tuple[Update, Update]:
            entry, row = places.marker(stamp, stamp if versioning is Versioning.ENABLED else None)
            return Update(entry), Update(row, guard=places.guard)

        if precondition is None:
            stamp = await write_object(self._nodes, places.path, updates, looked_up=True)
        else:
            judge = self._look_ups.judged(
                places.path, versioning, precondition, self._look_ups.live_or_marker
            )
            won = await write_object_if(self._nodes, places.path, places.key(None), judge, updates)
            assert won is not None, "the judge of a precondition raises or says yes"
            stamp = won
        made = version_id(stamp) if versioning is Versioning.ENABLED else NULL_VERSION
        return Deletion(replaced, made, is_marker=True)
