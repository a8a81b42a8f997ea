"""Entries as objects, and new objects as entries: the record, the row, the keys of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from model.containers import Versioning
from model.entry import Entry, Kind, Table, make_key
from model.names import HIDDEN, NULL_VERSION, ObjectPath, index_key, object_key
from model.objects import (
    LISTED,
    POSTED,
    ObjectRecord,
    marker_row_value,
    marker_value,
    pack_names,
    unpack_posted,
    unpack_record,
)
from model.stamp import Stamp
from model.versions import id_of
from proxy.operations.types import Digests, NewObject, StoredObject


class Places(NamedTuple):
    """Where an object is kept: the digests that place it and its row, and what guards the row.

    The guard is the key of the container that must live; hidden containers have no entry of their own.
    """

    path: ObjectPath
    digest: bytes
    index_digest: bytes

    @property
    def guard(self) -> bytes | None:
        """The key of the container that must live where the row is written."""
        if self.path.container.startswith(HIDDEN):
            return None
        return make_key(Table.CONTAINER, self.index_digest)

    def key(self, version: Stamp | None) -> bytes:
        """Return the key of a version, None for the null version."""
        return object_key(self.digest, version)

    def row_key(self, version: Stamp | None) -> bytes:
        """Return the key of the listing row of a version."""
        return index_key(self.index_digest, self.path.name, version)

    def marker(self, stamp: Stamp, version: Stamp | None) -> tuple[Entry, Entry]:
        """Return a delete marker and its row."""
        return (
            Entry(self.key(version), stamp, Kind.MARKER, 0, marker_value(self.path)),
            Entry(self.row_key(version), stamp, Kind.MARKER, 0, marker_row_value()),
        )

    def tombstones(self, stamp: Stamp, version: Stamp | None) -> tuple[Entry, Entry]:
        """Return what removes a version, and its row."""
        names = pack_names(self.path)
        return (
            Entry(self.key(version), stamp, Kind.TOMBSTONE, 0, names),
            Entry(self.row_key(version), stamp, Kind.TOMBSTONE, 0, names),
        )


def record_of(path: ObjectPath, new: NewObject, digests: Digests) -> ObjectRecord:
    """Return the record of a new object whose body has these digests."""
    # A copy brings its source's extra: what that one's row showed is not what this one's shows.
    extra = {name: value for name, value in new.extra.items() if name != LISTED}
    if new.listed:
        extra[LISTED] = dict(new.listed)
    return ObjectRecord(
        path.account,
        path.container,
        path.name,
        digests.size if new.stated_size is None else new.stated_size,
        digests.md5 if new.etag is None else new.etag,
        new.content_type,
        new.headers,
        new.user,
        new.delete_at,
        new.owner,
        {**digests.checksums, **new.stated_checksums},
        new.manifest,
        new.parts,
        extra,
    )


def stored_object(path: ObjectPath, entry: Entry, versioning: Versioning = Versioning.OFF) -> StoredObject:
    """Return a DATA entry as an object, a later metadata update laid over its record."""
    record = unpack_record(entry.value)
    version = id_of(entry) if entry.suffix else NULL_VERSION
    versioned = versioning is not Versioning.OFF
    if not entry.sides:
        return StoredObject(path, record, entry.stamp, entry.stamp, {}, version, versioned)
    sides = {name: value for name, (_, value) in entry.sides.items() if value}
    posted = sides.get(POSTED)
    modified = entry.stamp
    if posted is not None:
        update = unpack_posted(posted)
        modified = entry.sides[POSTED][0]
        record = replace(
            record,
            content_type=record.content_type if update.content_type is None else update.content_type,
            headers={**_kept_headers(record), **update.headers},
            user=update.user,
            delete_at=update.delete_at,
        )
    return StoredObject(path, record, entry.stamp, modified, sides, version, versioned)


def _kept_headers(record: ObjectRecord) -> dict[str, str]:
    """Return the stored headers that describe the bytes and so outlive a metadata update."""
    return {name: value for name, value in record.headers.items() if name in _DATA_HEADERS}


_DATA_HEADERS: Final = frozenset(("x-static-large-object",))
