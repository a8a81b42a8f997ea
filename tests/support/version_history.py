"""A model of the versions that a key may have, given what its one writer was told. Pure.

Requests follow one another, and moments count them. A write takes effect between the moment it began and
the moment it was answered or first read; one that failed may do so at any later time, or never. Of two
versions the one whose write ended before the other's began is the older; of others either may be.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

MARKER = "marker"
"""What a delete marker holds; an object holds its ETag, and no two writes have the same."""
NEVER = 1 << 62


class Gone(enum.Enum):
    """Whether a version was deleted by its id."""

    NO = "no"
    PERHAPS = "perhaps"
    YES = "yes"


@dataclass(slots=True)
class Version:
    """One write: what it holds, its id as soon as that is known, and the moments it took effect between.

    `not_after` is when a write failed whose condition nothing later can fulfil: it took effect before, or
    never.
    """

    holds: str
    size_bytes: int
    digest: str
    begun: int
    ended: int = NEVER
    not_after: int = NEVER
    id: str | None = None
    gone: Gone = Gone.NO

    @property
    def must_exist(self) -> bool:
        """Whether the version has to be found."""
        return self.ended != NEVER and self.id is not None and self.gone is Gone.NO

    def is_older_than(self, other: Version) -> bool:
        """Whether this one is the older for sure."""
        return min(self.ended, self.not_after) < other.begun


@dataclass(slots=True)
class Listed:
    """One version as a listing shows it."""

    id: str
    holds: str
    size_bytes: int
    is_latest: bool


@dataclass(slots=True)
class VersionHistory:
    """All that was ever written under one key."""

    versions: list[Version] = field(default_factory=list)
    moments: itertools.count[int] = field(default_factory=itertools.count)

    def begin(self, holds: str, *, size_bytes: int = 0, digest: str = "") -> Version:
        """A write is about to be sent; until it is answered its outcome is open."""
        version = Version(holds, size_bytes, digest, next(self.moments))
        self.versions.append(version)
        return version

    def done(self, version: Version, version_id: str) -> str | None:
        """A write was acknowledged under an id; return what is wrong with that, or None."""
        version.ended = next(self.moments)
        if any(other.id == version_id for other in self.versions if other is not version):
            return f"the id {version_id} was given twice"
        version.id = version_id
        return None

    def never_was(self, version: Version) -> None:
        """A write was refused: it did not and will not take effect."""
        self.versions.remove(version)

    def find(self, version_id: str, holds: str) -> Version | None:
        """Return the version of an id, which may be that of a write that failed; None if nobody wrote it."""
        for version in self.versions:
            if version.id == version_id:
                return version if version.holds == holds else None
        open_ones = [one for one in self.versions if one.id is None and one.holds == holds]
        if not open_ones:
            return None
        # Markers look alike: any of the failed ones may be the one met.
        for version in open_ones:
            version.begun = min(one.begun for one in open_ones)
        open_ones[0].id = version_id
        return open_ones[0]

    def possible(self) -> list[Version | None]:
        """Return what may be the current version; None stands for no version at all."""
        must = [one for one in self.versions if one.must_exist]
        found: list[Version | None] = [
            one
            for one in self.versions
            if one.gone is not Gone.YES and not any(one.is_older_than(newer) for newer in must)
        ]
        return found if must else [*found, None]

    def saw_current(self, version_id: str | None, holds: str) -> str | None:
        """A read of the key told its current version, or None; return what is wrong with it, or None."""
        possible = self.possible()
        seen = None if version_id is None else self.find(version_id, holds)
        if version_id is not None and seen is None:
            return f"the current version is {version_id} ({holds}), which nobody wrote"
        if seen not in possible:
            return f"the current version is {seen}, possible were {possible}"
        for one in self.versions:
            hides = seen is None or seen.is_older_than(one)
            if hides and one.gone is Gone.PERHAPS and one.ended != NEVER:
                # It would be current, or newer than what is.
                one.gone = Gone.YES
        if seen is not None:
            seen.ended = min(seen.ended, next(self.moments))
        return None

    def saw(self, version: Version, *, found: bool) -> str | None:
        """A read by id found a version or did not; return what is wrong with that, or None."""
        if not found:
            if version.must_exist:
                return f"{version} is not there"
            if version.gone is Gone.PERHAPS and version.ended != NEVER:
                version.gone = Gone.YES
            return None
        if version.gone is Gone.YES:
            return f"{version} is there, but was deleted"
        version.ended = min(version.ended, next(self.moments))
        return None

    def saw_listing(self, listed: Sequence[Listed]) -> list[str]:
        """A listing showed versions, the newest first; return what is wrong with it."""
        wrong: list[str] = []
        order: list[Version] = []
        for one in listed:
            version = self.find(one.id, one.holds)
            if version is None:
                wrong.append(f"{one} is listed, which nobody wrote")
                continue
            if version.gone is Gone.YES:
                wrong.append(f"{version} is listed, but was deleted")
            if one.size_bytes != version.size_bytes:
                wrong.append(f"{version} is listed with {one.size_bytes} bytes")
            order.append(version)
        listed_ids = {one.id for one in listed}
        wrong += [
            f"{one} is not listed" for one in self.versions if one.must_exist and one.id not in listed_ids
        ]
        if len(listed_ids) != len(listed):
            wrong.append(f"a version is listed twice: {listed}")
        if [one.is_latest for one in listed] != [index == 0 for index in range(len(listed))]:
            wrong.append(f"not the first alone is the latest: {listed}")
        for index, version in enumerate(order):
            if newer := [one for one in order[index + 1 :] if version.is_older_than(one)]:
                wrong.append(f"{version} is listed before {newer[0]}, which is newer")
        return wrong
