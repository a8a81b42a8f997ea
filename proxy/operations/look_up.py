"""Looking objects up: the current version, the null one, or that of a version id."""

from __future__ import annotations

from collections.abc import Callable

from model.containers import Versioning
from model.entry import Entry, Kind
from model.errors import DeleteMarkerFound, NoSuchObject, NoSuchVersion
from model.names import HIDDEN, NULL_VERSION, ContainerPath, ObjectPath
from model.objects import ObjectRecord
from model.retention import may_delete
from model.stamp import Stamp, parse_version_id, stamp_ms
from model.versions import current_of, id_of
from proxy.operations.conditional import Judge
from proxy.operations.containers import Containers
from proxy.operations.entries import Places, stored_object
from proxy.operations.nodes import Nodes
from proxy.operations.read import Found, find
from proxy.operations.types import Precondition, StoredObject
from proxy.operations.versions import find_current


class LookUps:
    """Finds the versions of objects; whether a container has versions is the container's to say."""

    def __init__(self, nodes: Nodes, containers: Containers) -> None:
        self.nodes = nodes
        self.containers = containers

    async def versioning(self, path: ContainerPath) -> Versioning:
        """Return the versioning of a container, as of at most `container_cache_ms` ago; none if hidden.

        An absent container counts as one without versioning: what is written to it will be refused.
        """
        if path.container.startswith(HIDDEN):
            return Versioning.OFF
        known = self.containers.remembered(path)
        if known is None:
            known = await self.containers.look_up(path)
        return Versioning.OFF if known is None else known.versioning

    def places(self, path: ObjectPath) -> Places:
        """Return where an object is kept."""
        digest = self.nodes.epoch.digest
        return Places(
            path, digest(path.account, path.container, path.name), digest(path.account, path.container)
        )

    async def find(
        self, places: Places, versioning: Versioning, *, version: str | None = None, payload: bool = False
    ) -> Found | None:
        """Return the newest entry of a version, tombstones too, or None. Raises NoSuchVersion.

        The current version (None) of an object in a container with versions is never a tombstone.
        """
        if version is None and versioning is not Versioning.OFF:
            return await find_current(self.nodes, places.digest, payload=payload)
        stamp = parse_version(version)
        found = await find(self.nodes, places.key(stamp), payload=payload)
        if found is not None:
            self.nodes.clock.observe(found.entry.newest)
        return found

    async def look_up(
        self, path: ObjectPath, *, version: str | None = None, payload: bool = False
    ) -> tuple[StoredObject, Found] | None:
        """Return what is stored now, or None for nothing, deleted, expired, or a delete marker."""
        versioning = await self.versioning(path.parent)
        found = await self.find(self.places(path), versioning, version=version, payload=payload)
        stored = None if found is None else self.live(path, found.entry, versioning)
        return None if found is None or stored is None else (stored, found)

    async def readable(
        self, path: ObjectPath, *, version: str | None = None, payload: bool = False
    ) -> tuple[StoredObject, Found]:
        """Return what is stored now. Raises NoSuchObject, NoSuchVersion, DeleteMarkerFound."""
        versioning = await self.versioning(path.parent)
        found = await self.find(self.places(path), versioning, version=version, payload=payload)
        if found is not None:
            stored = self.live(path, found.entry, versioning)
            if stored is not None:
                return stored, found
            if found.entry.kind is Kind.MARKER:
                raise DeleteMarkerFound(
                    path.name, id_of(found.entry), stamp_ms(found.entry.stamp), is_current=version is None
                )
        if version is not None:
            raise NoSuchVersion(f"{path.name} has no version {version}")
        raise NoSuchObject(path.name)

    def judged(
        self,
        path: ObjectPath,
        versioning: Versioning,
        precondition: Precondition,
        seen: Callable[[ObjectPath, Entry, Versioning], StoredObject | None] | None = None,
    ) -> Judge:
        """Return what holds a precondition against the current version of a settled state.

        `seen` makes of its entry what the precondition is called with; `live` by default.
        """
        show = seen or self.live

        async def judge(state: tuple[Entry, ...]) -> bool:
            if versioning is Versioning.OFF:
                entry = next((one for one in state if not one.suffix), None)
            else:
                entry = current_of(state)
            precondition(None if entry is None else show(path, entry, versioning))
            return True

        return judge

    def live(self, path: ObjectPath, entry: Entry, versioning: Versioning) -> StoredObject | None:
        """Return an entry as an object, or None where it is none, or none any more."""
        if entry.kind is not Kind.DATA:
            return None
        stored = stored_object(path, entry, versioning)
        delete_at = stored.record.delete_at
        if delete_at:
            now_ms = stamp_ms(self.nodes.clock.next())
            # What a lock holds does not expire, or expiry would be a way around it.
            if delete_at * 1000 <= now_ms and may_delete(stored.sides, now_ms):
                return None
        return stored

    def live_or_marker(self, path: ObjectPath, entry: Entry, versioning: Versioning) -> StoredObject | None:
        """Return an entry as `live` does, but a delete marker as an object without bytes or ETag."""
        if entry.kind is not Kind.MARKER:
            return self.live(path, entry, versioning)
        nothing = ObjectRecord(path.account, path.container, path.name, 0, "", "")
        version = id_of(entry) if entry.suffix else NULL_VERSION
        return StoredObject(path, nothing, entry.stamp, entry.stamp, {}, version, True, is_marker=True)


def parse_version(version: str | None) -> Stamp | None:
    """Return the stamp of a version id, None for the null version. Raises NoSuchVersion for what is none."""
    if version is None or version == NULL_VERSION:
        return None
    stamp = parse_version_id(version)
    if stamp is None:
        raise NoSuchVersion(f"{version!r} is no version id")
    return stamp
