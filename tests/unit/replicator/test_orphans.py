"""Parts of multipart uploads go once nothing has needed them for a while, and never before."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from model.entry import Entry, Kind, Table, make_key
from model.manifests import NUMBERS, UPLOAD
from model.names import ContainerPath, ObjectPath, object_key, parts_of, uploads_of
from model.objects import Manifest, ObjectRecord, Part, pack_record
from model.stamp import Stamp, make_stamp
from objectd.contract import RawEntry
from replicator.orphans import GRACE_MS, Orphans
from ring.hashing import path_digest

BUCKET = ContainerPath("acme", "bucket")
KEY = BUCKET.object("key")
UPLOADED = uploads_of(BUCKET).object("key\0u")
DEVICES = (1, 2, 3)


def part(number: int) -> ObjectPath:
    return parts_of(BUCKET).object(f"key\0u\0{number:05}")


class World:
    """What the homes of the few keys in question hold, and a clock."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000_000
        self.entries: dict[bytes, Entry] = {}
        self.live = set(DEVICES)
        self.asked = 0
        epoch = SimpleNamespace(digest=self._digest, home_sets=lambda digest: (DEVICES,))
        peers: Any = SimpleNamespace(epoch=epoch, around=SimpleNamespace(live=self.live))
        here: Any = self
        self.orphans = Orphans(peers, here, here, now_ms=lambda: self.now_ms)

    def _digest(self, account: str, container: str = "", name: str = "") -> bytes:
        return path_digest(b"salt" * 4, account, container, name)

    def key(self, path: ObjectPath, version: Stamp | None = None) -> bytes:
        return object_key(self._digest(path.account, path.container, path.name), version)

    def put(
        self,
        path: ObjectPath,
        record: ObjectRecord | None = None,
        kind: Kind = Kind.DATA,
        *,
        version: Stamp | None = None,
    ) -> None:
        value = pack_record(record or ObjectRecord(path.account, path.container, path.name, 0, "", ""))
        key = self.key(path, version)
        stamp = make_stamp(self.now_ms, 0, 1) if version is None else version
        self.entries[key] = Entry(key, stamp, kind, 0, value if kind is Kind.DATA else b"")

    def finish(self, numbers: list[int], *, in_payload: bool = False, version: Stamp | None = None) -> None:
        parts = tuple(Part(n, part(n).account, part(n).container, part(n).name, "", 1) for n in numbers)
        extra: dict[str, Any] = {UPLOAD: "u"}
        if in_payload:
            extra[NUMBERS] = [bound for number in numbers for bound in (number, number)]
            parts = ()
        whole = ObjectRecord(
            "acme", "bucket", "key", 1, "", "", manifest=Manifest.MULTIPART, parts=parts, extra=extra
        )
        self.put(KEY, whole, version=version)

    async def look_up(self, key: bytes) -> Any:
        self.asked += 1
        return SimpleNamespace(known=True, merged=self.entries.get(key))

    async def pages(self, device: int, lo: bytes, hi: bytes) -> AsyncIterator[list[RawEntry]]:
        held = [entry for key, entry in self.entries.items() if lo <= key < hi]
        yield [RawEntry(entry.key, entry.to_row(), 0) for entry in held]

    def orphan(self, number: int) -> bool:
        self.orphans.begin_pass()
        return asyncio.run(self.orphans.is_orphan(part(number)))


def test_parts_of_an_upload_in_progress_are_needed() -> None:
    world = World()
    world.put(UPLOADED)
    assert not world.orphan(1)
    world.now_ms += 10 * GRACE_MS
    assert not world.orphan(1)


def test_parts_go_a_while_after_their_upload_was_aborted() -> None:
    world = World()
    world.put(UPLOADED, kind=Kind.TOMBSTONE)
    assert not world.orphan(1)
    world.now_ms += GRACE_MS - 1
    assert not world.orphan(1)
    world.now_ms += 1
    assert world.orphan(1)


def test_parts_that_the_object_names_stay_and_surplus_ones_go() -> None:
    for in_payload in (False, True):
        world = World()
        world.finish([1, 3], in_payload=in_payload)
        for number in (1, 2, 3):
            assert not world.orphan(number)
        world.now_ms += GRACE_MS
        assert [world.orphan(number) for number in (1, 2, 3)] == [False, True, False]


def test_parts_that_only_a_noncurrent_version_names_stay() -> None:
    world = World()
    world.finish([1], version=make_stamp(1_000, 0, 1))
    world.put(KEY, version=make_stamp(2_000, 0, 1))
    world.put(KEY, kind=Kind.MARKER, version=make_stamp(3_000, 0, 1))
    assert [world.orphan(number) for number in (1, 2)] == [False, False]
    world.now_ms += GRACE_MS
    assert [world.orphan(number) for number in (1, 2)] == [False, True]
    world.put(KEY, kind=Kind.TOMBSTONE, version=make_stamp(1_000, 0, 1))
    assert not world.orphan(1)
    world.now_ms += GRACE_MS
    assert world.orphan(1)


def test_readers_of_an_object_get_their_time_when_it_is_replaced_later() -> None:
    world = World()
    world.finish([1])
    assert not world.orphan(2)
    world.now_ms += 2 * GRACE_MS
    assert world.orphan(2)
    world.put(KEY)
    assert not world.orphan(1)
    world.now_ms += GRACE_MS
    assert world.orphan(1)


def test_nothing_goes_while_a_home_of_the_object_does_not_answer() -> None:
    world = World()
    world.live.discard(3)
    assert not world.orphan(1)
    world.now_ms += 2 * GRACE_MS
    assert not world.orphan(1)
    assert world.key(KEY) == make_key(Table.OBJECT, world._digest("acme", "bucket", "key"))


def test_the_parts_of_one_upload_are_judged_by_one_look() -> None:
    world = World()

    async def several() -> None:
        for number in range(1, 100):
            await world.orphans.is_orphan(part(number))

    asyncio.run(several())
    assert world.asked == 1
