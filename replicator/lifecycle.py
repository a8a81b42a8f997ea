"""The walk of lifecycle rules: finds the buckets that have any, and in them what may be due.

A bucket is walked by the node that leads its partition, beginning with the container entries of this node's
own devices: buckets without rules cost one look at their entry. In a bucket only the names that a rule's
prefix covers are looked at, row by row; what may be due by its rows is judged by replicator.lifecycle_acts.
Each step is one page. The place reached is kept in memory alone: a process that starts anew begins anew, and
finds what was done already done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kit.clock import wall_clock_ms
from model.containers import registers, versioning_of
from model.entry import KEY_HEAD_BYTES, ROW_HEAD, Kind, Table, from_row, make_key, row_kind
from model.errors import CorruptRecord, Unavailable
from model.lifecycle import LIFECYCLE, Version, What, abort_prefixes, prefixes, unpack_rules
from model.listing import after_prefix
from model.names import ContainerPath, decode_name, encode_name, split_row_name, uploads_of
from model.version_listing import null_stamp
from objectd.contract import RawEntry
from replicator.compare import Comparer
from replicator.keys import Keys, is_live
from replicator.lifecycle_acts import Acts, Bucket
from replicator.peers import Peers
from replicator.places import all_homes, leading_device
from replicator.reconcile import Reconciler, container_names
from ring.hashing import partition_of

DAY_S: Final = 86_400
PASSES_A_DAY: Final = 8
PASS_S_MIN: Final = 1.0
ACTS_AT_ONCE: Final = 16
_SIGN: Final = LIFECYCLE.encode()
_NAMES_END: Final = b"\xff" * 1100
"""After every suffix of a row."""
_KINDS: Final = {int(Kind.DATA): What.DATA, int(Kind.MARKER): What.MARKER}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a pass is; moments in milliseconds since the epoch, 0 for never."""

    began_ms: int = 0
    ended_ms: int = 0
    took_ms: int = 0
    buckets: int = 0
    rows: int = 0
    failed: int = 0
    """Keys, uploads and buckets left to the next pass: homes did not answer, or what they hold is damaged."""


@dataclass(slots=True)
class _Group:
    """The rows of one name."""

    name: bytes
    versions: list[Version] = field(default_factory=list)


class Lifecycle:
    """Walks the buckets that this node leads, again and again."""

    def __init__(
        self,
        peers: Peers,
        comparer: Comparer,
        keys: Keys,
        reconciler: Reconciler,
        *,
        day_s: float = DAY_S,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Count days of `day_s` seconds: any but the real length is for trials."""
        self._peers = peers
        self._comparer = comparer
        self._keys = keys
        self._now_ms = now_ms
        self.acts = Acts(comparer, keys, reconciler, day_ms=int(day_s * 1000), now_ms=now_ms)
        self.interval_s = max(PASS_S_MIN, day_s / PASSES_A_DAY)
        self.last = Progress()
        """What the last whole pass came to."""
        self.now = Progress()
        """How far the pass under way is."""
        self._pass: AsyncIterator[None] | None = None

    async def step(self) -> bool:
        """Look at one page more; say whether more is left in this pass. Raises Unavailable."""
        if self._pass is None:
            self.now = Progress(began_ms=self._now_ms())
            self._pass = self._walk()
        try:
            await anext(self._pass)
        except StopAsyncIteration:
            self._pass = None
            self.now.ended_ms = self._now_ms()
            self.now.took_ms = self.now.ended_ms - self.now.began_ms
            self.last = self.now
            return False
        except BaseException:
            self._pass = None
            raise
        return True

    # Telling.

    def counts(self) -> dict[str, int]:
        """Return what was done since the process started, by name."""
        counts = self.acts.counts
        return {
            "lifecycle_expired": counts.expired,
            "lifecycle_removed": counts.removed,
            "lifecycle_aborted": counts.aborted,
            "lifecycle_held": counts.held,
        }

    def status(self) -> dict[str, Any]:
        """Return what replicator.report documents of the last pass, and of the one under way."""
        return {
            "last_pass_ms": self.last.ended_ms,
            "took_ms": self.last.took_ms,
            "buckets": self.last.buckets,
            "rows": self.last.rows,
            "failed": self.last.failed,
            "is_walking": self._pass is not None,
            "buckets_so_far": self.now.buckets,
            "rows_so_far": self.now.rows,
        }

    # Buckets.

    async def _walk(self) -> AsyncIterator[None]:
        for device in self._peers.local_devices():
            lo, hi = bytes((Table.CONTAINER,)), bytes((Table.CONTAINER + 1,))
            async for page in self._comparer.pages(device, lo, hi):
                for raw in page:
                    if row_kind(raw.row) == Kind.DATA and _SIGN in raw.row and self._leads(device, raw.key):
                        async for _ in self._visit(device, raw.key):
                            yield
                yield

    def _leads(self, device: int, key: bytes) -> bool:
        """Say whether a device is the one whose node walks a container: no two nodes do."""
        epoch, around = self._peers.epoch, self._peers.around
        partition = partition_of(key[1:KEY_HEAD_BYTES], epoch.part_power)
        whole = around.live - around.filling
        return leading_device(all_homes(epoch, partition), partition, live=whole) == device

    async def _visit(self, device: int, key: bytes) -> AsyncIterator[None]:
        try:
            bucket = await self._bucket(key)
            if bucket is None:
                return
            self.now.buckets += 1
            async for _ in self._versions(device, bucket):
                yield
            async for _ in self._uploads(bucket):
                yield
        except (Unavailable, CorruptRecord) as error:
            self._left_off("bucket", key, error)

    def _left_off(self, what: str, name: bytes, error: Exception) -> None:
        self.now.failed += 1
        _log.info("lifecycle left off", extra={"what": what, "key": name.hex(), "reason": str(error)})

    async def _bucket(self, key: bytes) -> Bucket | None:
        """Return a bucket with rules, None where a majority of its homes knows of none."""
        looked = await self._keys.look_up(key)
        entry = looked.merged
        if not looked.known or entry is None or not is_live(entry):
            return None
        settings = registers(entry.sides)
        rules = unpack_rules(settings.get(LIFECYCLE, b""))
        names = container_names(entry)
        if rules is None or names is None:
            return None
        set_ms = int.from_bytes(entry.sides[LIFECYCLE][0][:6])
        path = ContainerPath(names.account, names.container)
        return Bucket(path, key[1:KEY_HEAD_BYTES], rules, set_ms, versioning_of(settings))

    # Versions.

    async def _versions(self, device: int, bucket: Bucket) -> AsyncIterator[None]:
        for prefix in prefixes(bucket.rules):
            group = _Group(b"")
            async for page in self._rows(device, bucket.digest, prefix):
                due: list[_Group] = []
                for raw in page:
                    what = _KINDS.get(row_kind(raw.row))
                    if what is None:
                        continue
                    name, version = split_row_name(raw.key[KEY_HEAD_BYTES:])
                    if name != group.name:
                        self._sift(bucket, group, due)
                        group = _Group(name)
                    _, _, size, _ = ROW_HEAD.unpack_from(raw.row)
                    group.versions.append(Version(version or null_stamp(raw.row), what, size))
                await self._act(bucket, due)
                yield
            last: list[_Group] = []
            self._sift(bucket, group, last)
            await self._act(bucket, last)

    def _sift(self, bucket: Bucket, group: _Group, due: list[_Group]) -> None:
        """Keep a name for a closer look where something may be due by its rows."""
        if len(group.versions) > 1:
            # The null version has its row in front, whenever it was written.
            group.versions.sort(key=lambda version: version.stamp, reverse=True)
        if self.acts.due_by_rows(bucket, decode_name(group.name), group.versions):
            due.append(group)

    async def _act(self, bucket: Bucket, due: Sequence[_Group]) -> None:
        async def one(group: _Group) -> None:
            listed = {version.stamp for version in group.versions}
            try:
                await self.acts.act(bucket, decode_name(group.name), listed)
            except (Unavailable, CorruptRecord) as error:
                self._left_off("key", group.name, error)

        for at in range(0, len(due), ACTS_AT_ONCE):
            await asyncio.gather(*map(one, due[at : at + ACTS_AT_ONCE]))

    # Uploads.

    async def _uploads(self, bucket: Bucket) -> AsyncIterator[None]:
        epoch = self._peers.epoch
        hidden = uploads_of(bucket.path)
        digest = epoch.digest(hidden.account, hidden.container)
        homes = [one for of in epoch.home_sets(digest) for one in of]
        whole = self._peers.around.live - self._peers.around.filling
        device = next((one for one in homes if one in whole), None)
        if device is None:
            return
        for prefix in abort_prefixes(bucket.rules):
            async for page in self._rows(device, digest, prefix):
                names = [
                    decode_name(raw.key[KEY_HEAD_BYTES:])
                    for raw in page
                    if row_kind(raw.row) == Kind.DATA
                    and self.acts.is_abandoned(
                        bucket,
                        decode_name(raw.key[KEY_HEAD_BYTES:]),
                        from_row(raw.key, raw.row).stamp,
                    )
                ]
                for at in range(0, len(names), ACTS_AT_ONCE):
                    batch = names[at : at + ACTS_AT_ONCE]
                    await asyncio.gather(*(self._abort(bucket, name) for name in batch))
                yield

    async def _abort(self, bucket: Bucket, name: str) -> None:
        try:
            await self.acts.abort(bucket, name)
        except (Unavailable, CorruptRecord) as error:
            self._left_off("upload", encode_name(name), error)

    async def _rows(self, device: int, digest: bytes, prefix: str) -> AsyncIterator[list[RawEntry]]:
        """Yield the rows of an index under a prefix, a page at a time."""
        raw = encode_name(prefix)
        end = after_prefix(raw) if raw else None
        lo = make_key(Table.INDEX, digest, raw)
        hi = make_key(Table.INDEX, digest, _NAMES_END if end is None else end)
        async for page in self._comparer.pages(device, lo, hi):
            self.now.rows += len(page)
            yield page
