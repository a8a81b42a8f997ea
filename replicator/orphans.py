"""Which parts of multipart uploads nothing needs any more, and since when.

A part is needed while its upload is in progress, and while a version of the finished object names it.
Nobody takes parts away but the walk that asks here: whatever replaces or deletes an object, through
whichever API, leaves them. That a part is not needed must have been so for GRACE_MS, so that readers
of an object just replaced, and completions that run beside an abort, find what they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model.entry import Kind, Table, from_row, make_key, row_kind
from model.manifests import has_part
from model.names import HIDDEN, ObjectPath, object_key
from model.objects import Manifest, ObjectRecord, unpack_record
from replicator.compare import Comparer
from replicator.keys import Keys, is_live
from replicator.peers import Peers

GRACE_MS: Final = 15 * 60_000
WATCHED_MAX: Final = 100_000
FORGET_MS: Final = 24 * 3_600_000
_PARTS: Final = f"{HIDDEN}parts{HIDDEN}"
_UPLOADS: Final = f"{HIDDEN}uploads{HIDDEN}"


def is_part(container: str) -> bool:
    """Say whether a hidden container is one of parts."""
    return container.startswith(_PARTS)


@dataclass(slots=True)
class _Watched:
    """When parts of an upload were first and last seen to be unneeded, in milliseconds since the epoch."""

    first_ms: int
    last_ms: int


class Orphans:
    """Judges parts one by one; those of one upload are best asked for in a row."""

    def __init__(self, peers: Peers, comparer: Comparer, keys: Keys, *, now_ms: Callable[[], int]) -> None:
        self._peers = peers
        self._comparer = comparer
        self._keys = keys
        self._now_ms = now_ms
        self._watched: dict[tuple[ObjectPath, bool], _Watched] = {}
        self._last: tuple[ObjectPath, list[ObjectRecord] | None] | None = None

    def begin_pass(self) -> None:
        """Forget what was found of the last upload: it is to be looked at anew."""
        self._last = None

    async def is_orphan(self, part: ObjectPath) -> bool:
        """Say whether a part has not been needed for GRACE_MS."""
        upload_name, _, number = part.name.rpartition(HIDDEN)
        name, _, upload_id = upload_name.rpartition(HIDDEN)
        container = part.container.removeprefix(_PARTS)
        upload = ObjectPath(part.account, _UPLOADS + container, upload_name)
        if self._last is None or self._last[0] != upload:
            self._last = upload, await self._users(upload, ObjectPath(part.account, container, name))
        users = self._last[1]
        if users is None or not number.isdigit():
            return False
        if any(has_part(record, part, upload_id, int(number)) for record in users):
            return False
        # An object that still has other parts of the upload may go later: then its readers get their time.
        return self._long_seen(upload, finished=bool(users))

    async def _users(self, upload: ObjectPath, whole: ObjectPath) -> list[ObjectRecord] | None:
        """Return the multipart versions of an object, or None where all parts of the upload are needed.

        They are where the upload is in progress, and where it cannot be known: a home does not answer.
        """
        looked = await self._keys.look_up(object_key(self._digest(upload)))
        if not looked.known or is_live(looked.merged):
            return None
        epoch = self._peers.epoch
        digest = self._digest(whole)
        lo, hi = make_key(Table.OBJECT, digest), make_key(Table.OBJECT, digest, b"\xff" * 17)
        users: list[ObjectRecord] = []
        for device in dict.fromkeys(one for homes in epoch.home_sets(digest) for one in homes):
            if device not in self._peers.around.live:
                return None
            async for page in self._comparer.pages(device, lo, hi):
                live = [from_row(raw.key, raw.row) for raw in page if row_kind(raw.row) == Kind.DATA]
                users += [unpack_record(entry.value) for entry in live]
        return [record for record in users if record.manifest is Manifest.MULTIPART]

    def _long_seen(self, upload: ObjectPath, *, finished: bool) -> bool:
        now_ms = self._now_ms()
        watched = self._watched.get((upload, finished))
        if watched is None:
            if len(self._watched) >= WATCHED_MAX:
                self._watched = {
                    key: one for key, one in self._watched.items() if now_ms - one.last_ms < FORGET_MS
                }
            if len(self._watched) < WATCHED_MAX:
                self._watched[upload, finished] = _Watched(now_ms, now_ms)
            return False
        watched.last_ms = now_ms
        return now_ms - watched.first_ms >= GRACE_MS

    def _digest(self, path: ObjectPath) -> bytes:
        return self._peers.epoch.digest(path.account, path.container, path.name)
