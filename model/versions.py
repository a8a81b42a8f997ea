"""Which version of an object is the current one, and where each stands in the order of versions. Pure.

Versions are entries of their own: nothing says which is the newest but their stamps, so nothing can be
wrong about it. The stamp that orders a version is the one its key was made of; that of the null version,
which has one key for all that is written under it, is the stamp of what is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from model.entry import Entry, is_listed
from model.names import NULL_VERSION, version_of_key
from model.stamp import Stamp, version_id


def order_stamp(entry: Entry) -> Stamp:
    """Return the stamp by which an OBJECT entry stands among the versions of its name."""
    version = version_of_key(entry.key) if entry.suffix else None
    return entry.stamp if version is None else version


def current_of(entries: Iterable[Entry]) -> Entry | None:
    """Return the newest object or delete marker of these entries of one name, or None."""
    return max((entry for entry in entries if is_listed(entry.kind)), key=order_stamp, default=None)


def id_of(entry: Entry) -> str:
    """Return the version id of an OBJECT entry: "null", or that of the stamp its key was made of."""
    version = version_of_key(entry.key)
    return NULL_VERSION if version is None else version_id(version)
