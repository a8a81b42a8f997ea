"""What every store keeps to (objectd.store.Store)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from model.entry import Kind, Table, fingerprint, from_row, make_key
from model.errors import CorruptRecord
from model.promises import promise_entry, promise_key
from objectd.decide import index_range, partition_of_key
from objectd.store import Group, Health, Origin, Outcome, Store, Write
from tests.contract.stores import (
    PART_POWER,
    Bench,
    container_entry,
    digest_of,
    disk_bench,
    memory_bench,
    object_entry,
    object_key,
    outcome,
    payload_of,
    put,
    repair,
    row_entry,
    side_entry,
    stamp,
    written,
)

_BENCHES: dict[str, Callable[[Path], AbstractContextManager[Bench]]] = {
    "memory": memory_bench,
    "disk": disk_bench,
}


@pytest.fixture(params=sorted(_BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with _BENCHES[request.param](tmp_path / "device") as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 65537, 300_000])
def test_a_committed_object_reads_back(bench: Bench, size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]

    async def claim(store: Store) -> None:
        assert await outcome(store, put(1, 10, payload)) is Outcome.STORED
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry == object_entry(1, 10, size=size)
        assert held.payload_bytes == size
        assert await payload_of(store, object_key(1)) == payload
        now = store.read_now(held, 0, size)
        assert now is not None
        assert bytes(now) == payload

    bench.run(claim)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (65535, 2), (65536, 65536), (199_999, 50), (70_000, 10**9)]
)
def test_a_range_reads_back(bench: Bench, offset: int, length: int) -> None:
    payload = bytes(n * 7 % 251 for n in range(200_000))

    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, payload)])
        held = store.get(object_key(1))
        assert held is not None
        pieces = [bytes(piece) async for piece in store.read(held, offset, length)]
        assert b"".join(pieces) == payload[offset : offset + length]
        # Once read, it need not be waited for.
        now = store.read_now(held, offset, length)
        assert now is not None
        assert bytes(now) == payload[offset : offset + length]

    bench.run(claim)


def test_what_was_never_written_is_absent(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert store.get(object_key(1)) is None
        assert store.group(digest_of(1)) == Group()
        assert store.rows(b"\x01", b"\x05", 10) == []
        assert store.partition_digests(Table.OBJECT) == {}
        assert store.partitions() == set()

    bench.run(claim)


def test_a_newer_write_wins_in_whatever_order(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert await outcome(store, put(1, 20, b"new")) is Outcome.STORED
        late = await written(store, put(1, 10, b"old"))
        assert late.outcome is Outcome.SUPERSEDED
        assert late.newest == stamp(20)
        assert await payload_of(store, object_key(1)) == b"new"
        assert await outcome(store, put(1, 30, b"newest")) is Outcome.STORED
        assert await payload_of(store, object_key(1)) == b"newest"

    bench.run(claim)


def test_the_same_write_again_is_known(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        write = put(1, 10, b"once")
        assert await outcome(store, write) is Outcome.STORED
        assert await written(store, write) == (await store.commit([repair(write)]))[0]
        assert await outcome(store, write) is Outcome.KNOWN

    bench.run(claim)


def test_a_tombstone_hides_the_object_and_stays(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"bytes")])
        assert await outcome(store, Write(object_entry(1, 20, kind=Kind.TOMBSTONE))) is Outcome.STORED
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry.kind is Kind.TOMBSTONE
        assert held.payload_bytes == 0
        assert await outcome(store, put(1, 15, b"late")) is Outcome.SUPERSEDED

    bench.run(claim)


def test_one_key_twice_in_a_call_is_applied_in_order(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        results = await store.commit([put(1, 10, b"a"), put(1, 20, b"b"), put(1, 15, b"c")])
        assert [result.outcome for result in results] == [Outcome.STORED, Outcome.STORED, Outcome.SUPERSEDED]
        assert await payload_of(store, object_key(1)) == b"b"

    bench.run(claim)


def test_calls_made_at_once_are_all_applied(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        futures = [store.commit([put(number, 10, b"%d" % number)]) for number in range(500)]
        for future in futures:
            assert (await future)[0].outcome is Outcome.STORED
        for number in range(500):
            assert await payload_of(store, object_key(number)) == b"%d" % number
        assert store.status().entry_count == 500

    bench.run(claim)


def test_side_registers_merge_and_keep_the_payload(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"bytes")])
        assert await outcome(store, Write(side_entry(object_key(1), "posted", 20))) is Outcome.STORED
        assert await outcome(store, Write(side_entry(object_key(1), "tags", 15))) is Outcome.STORED
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry.sides == {"posted": (stamp(20), b"s"), "tags": (stamp(15), b"s")}
        assert await payload_of(store, object_key(1)) == b"bytes"
        # A newer base drops the sides older than it, and its own bytes count.
        assert await outcome(store, put(1, 17, b"other")) is Outcome.STORED
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry.sides == {"posted": (stamp(20), b"s")}
        assert await payload_of(store, object_key(1)) == b"other"

    bench.run(claim)


def test_a_side_hidden_by_a_newer_one_is_superseded_by_it(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b""), Write(side_entry(object_key(1), "posted", 30))])
        late = await written(store, Write(side_entry(object_key(1), "posted", 20)))
        assert (late.outcome, late.newest) == (Outcome.SUPERSEDED, stamp(30))
        late = await written(store, Write(side_entry(object_key(1), "tags", 5)))
        assert (late.outcome, late.newest) == (Outcome.SUPERSEDED, stamp(10))

    bench.run(claim)


def test_sides_that_arrive_before_their_base_wait_for_it(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert await outcome(store, Write(side_entry(object_key(1), "posted", 20))) is Outcome.STORED
        assert await outcome(store, put(1, 10, b"bytes")) is Outcome.STORED
        held = store.get(object_key(1))
        assert held is not None
        assert "posted" in held.entry.sides
        assert await payload_of(store, object_key(1)) == b"bytes"

    bench.run(claim)


def test_a_guard_lets_writes_pass_only_while_its_container_lives(bench: Bench) -> None:
    guard = make_key(Table.CONTAINER, digest_of(5))

    async def claim(store: Store) -> None:
        write = Write(row_entry(5, "name", 10), guard=guard)
        assert await outcome(store, write) is Outcome.NO_CONTAINER
        assert store.rows(*index_range(digest_of(5)), 10) == []
        await store.commit([Write(container_entry(5, 1))])
        assert await outcome(store, write) is Outcome.STORED
        await store.commit([Write(container_entry(5, 20, kind=Kind.TOMBSTONE))])
        later = Write(row_entry(5, "other", 30), guard=guard)
        assert await outcome(store, later) is Outcome.NO_CONTAINER
        assert await outcome(store, repair(later)) is Outcome.STORED

    bench.run(claim)


def test_a_container_that_lists_something_is_not_deleted(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([Write(container_entry(5, 1)), Write(row_entry(5, "name", 10))])
        delete = Write(container_entry(5, 20, kind=Kind.TOMBSTONE), if_empty=True)
        assert await outcome(store, delete) is Outcome.NOT_EMPTY
        emptying = Write(row_entry(5, "name", 15, kind=Kind.TOMBSTONE))
        results = await store.commit([emptying, delete])
        assert [result.outcome for result in results] == [Outcome.STORED, Outcome.STORED]

    bench.run(claim)


def test_a_delete_marker_and_a_version_are_content_of_their_container(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([Write(container_entry(5, 1)), Write(row_entry(5, "name", 10, kind=Kind.MARKER))])
        assert store.group(digest_of(5)).count == 1
        delete = Write(container_entry(5, 20, kind=Kind.TOMBSTONE), if_empty=True)
        assert await outcome(store, delete) is Outcome.NOT_EMPTY
        version = f"name\0{'v' * 16}"
        turned = [
            Write(row_entry(5, "name", 15, kind=Kind.TOMBSTONE)),
            Write(row_entry(5, version, 15, size=3)),
            Write(row_entry(5, version, 16, kind=Kind.MARKER)),
        ]
        assert [one.outcome for one in await store.commit([*turned, delete])][-1] is Outcome.NOT_EMPTY
        assert (store.group(digest_of(5)).count, store.group(digest_of(5)).bytes) == (1, 0)
        results = await store.commit([Write(row_entry(5, version, 17, kind=Kind.TOMBSTONE)), delete])
        assert results[-1].outcome is Outcome.STORED
        assert store.group(digest_of(5)).count == 0

    bench.run(claim)


def test_a_row_and_the_delete_of_its_container_in_one_call_are_ordered(bench: Bench) -> None:
    guard = make_key(Table.CONTAINER, digest_of(5))

    async def claim(store: Store) -> None:
        await store.commit([Write(container_entry(5, 1))])
        delete = Write(container_entry(5, 20, kind=Kind.TOMBSTONE), if_empty=True)
        row = Write(row_entry(5, "name", 10), guard=guard)
        results = await store.commit([row, delete])
        assert [result.outcome for result in results] == [Outcome.STORED, Outcome.NOT_EMPTY]
        await store.commit([Write(row_entry(5, "name", 11, kind=Kind.TOMBSTONE))])
        results = await store.commit([delete, Write(row_entry(5, "again", 30), guard=guard)])
        assert [result.outcome for result in results] == [Outcome.STORED, Outcome.NO_CONTAINER]

    bench.run(claim)


def test_rows_come_in_order_with_bounds_and_limit(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        names = [f"n{number:03d}" for number in range(50)]
        await store.commit([Write(row_entry(5, name, 10)) for name in reversed(names)])
        await store.commit([Write(row_entry(4, "x", 10)), Write(row_entry(6, "x", 10))])
        start, end = index_range(digest_of(5))
        rows = store.rows(start, end, 1000)
        assert [key[17:].decode() for key, _ in rows] == names
        assert all(from_row(key, row) == row_entry(5, key[17:].decode(), 10) for key, row in rows)
        assert store.rows(start, end, 7) == rows[:7]
        assert store.rows(start, end, 7, reverse=True) == rows[::-1][:7]
        assert store.rows(start + b"n010", start + b"n020", 100) == rows[10:20]
        assert store.rows(start + b"n010", start + b"n020", 100, reverse=True) == rows[10:20][::-1]
        assert store.rows(start + b"n010\0", start + b"n020\0", 100, reverse=True) == rows[11:21][::-1]
        for reverse in (False, True):
            whole = store.rows(start, end, 7, reverse=reverse)
            cut = store.rows(start, end, 7, reverse=reverse, cut_bytes=len(start))
            assert cut == [(key[len(start) :], row) for key, row in whole]
        assert store.rows(end, start, 10) == []
        assert store.rows(start, end, 0) == []

    bench.run(claim)


def test_rows_span_tables_without_locations(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        entries = [object_entry(1, 10, size=4), container_entry(2, 10), row_entry(3, "n", 10)]
        await store.commit([Write(entries[0], b"1234"), Write(entries[1]), Write(entries[2])])
        expected = sorted((entry.key, entry.to_row()) for entry in entries)
        assert store.rows(b"\x00", b"\xff", 10) == expected
        assert store.rows(b"\x00", b"\xff", 10, reverse=True) == expected[::-1]

    bench.run(claim)


def test_group_totals_follow_every_change(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        first, second = row_entry(5, "a", 10, size=100), row_entry(5, "b", 11, size=20)
        await store.commit([Write(first), Write(second)])
        group = store.group(digest_of(5))
        assert (group.count, group.bytes) == (2, 120)
        assert group.digest == (fingerprint(first) + fingerprint(second)) % (1 << 128)
        await store.commit([Write(row_entry(5, "a", 20, size=50))])
        assert (store.group(digest_of(5)).count, store.group(digest_of(5)).bytes) == (2, 70)
        gone = row_entry(5, "a", 30, kind=Kind.TOMBSTONE)
        await store.commit([Write(gone)])
        after = store.group(digest_of(5))
        assert (after.count, after.bytes) == (1, 20)
        assert after.digest == (fingerprint(gone) + fingerprint(second)) % (1 << 128)
        assert after.last_change > group.last_change

    bench.run(claim)


def test_partition_digests_are_sums_of_fingerprints_in_any_order(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        entries = [object_entry(number, number) for number in range(40)]
        await store.commit([Write(entry) for entry in reversed(entries)])
        expected: dict[int, int] = {}
        for entry in entries:
            part = partition_of_key(entry.key, PART_POWER)
            expected[part] = (expected.get(part, 0) + fingerprint(entry)) % (1 << 128)
        assert store.partition_digests(Table.OBJECT) == expected
        assert store.partition_digests(Table.INDEX) == {}
        assert store.partitions() == set(expected)
        assert await store.forget([(entry.key, entry.stamp) for entry in entries]) == 40
        assert store.partition_digests(Table.OBJECT) == {}
        assert store.partitions() == set()

    bench.run(claim)


def test_the_change_log_tells_every_change_in_order(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([Write(row_entry(5, "a", 10)), Write(row_entry(6, "z", 10))])
        await store.commit([Write(row_entry(5, "b", 11)), Write(row_entry(5, "a", 12, kind=Kind.TOMBSTONE))])
        await store.commit([repair(Write(row_entry(5, "a", 12, kind=Kind.TOMBSTONE)))])
        changes = store.changes(digest_of(5), 0, 100)
        assert [change.name for change in changes] == [b"a", b"b", b"a"]
        assert changes[2].row == row_entry(5, "a", 12, kind=Kind.TOMBSTONE).to_row()
        sequences = [change.sequence for change in changes]
        assert sequences == sorted(set(sequences))
        assert store.group(digest_of(5)).last_change == sequences[-1]
        assert store.changes(digest_of(5), sequences[0], 1) == changes[1:2]
        assert store.changes(digest_of(5), sequences[-1], 10) == []

    bench.run(claim)


def test_old_lines_of_the_change_log_go(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([Write(row_entry(5, "a", 10)), Write(row_entry(5, "b", 10))])
        bench.clock.now_ms += 8 * 86_400_000
        await store.commit([Write(row_entry(5, "c", 10))])
        await store.compact(1 << 30)
        assert [change.name for change in store.changes(digest_of(5), 0, 100)] == [b"c"]

    bench.run(claim)


def test_a_clients_write_is_pending_until_confirmed(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"x")])
        bench.clock.now_ms += 100
        await store.commit([put(2, 11, b"x"), repair(put(3, 12, b"x"))])
        bench.clock.now_ms += 100
        assert [(item.key, item.stamp, item.age_ms) for item in store.pending(0)] == [
            (object_key(1), stamp(10), 200),
            (object_key(2), stamp(11), 100),
        ]
        assert [item.key for item in store.pending(150)] == [object_key(1)]
        store.confirm([(object_key(1), stamp(9)), (object_key(2), stamp(11))])
        assert [item.key for item in store.pending(0)] == [object_key(1)]
        store.confirm([(object_key(1), stamp(10))])
        assert store.pending(0) == []

    bench.run(claim)


def test_forget_drops_only_what_has_not_changed(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"x"), put(2, 10, b"y")])
        assert await store.forget([(object_key(1), stamp(10)), (object_key(2), stamp(9))]) == 1
        assert store.get(object_key(1)) is None
        assert store.get(object_key(2)) is not None
        assert await store.forget([(object_key(1), stamp(10))]) == 0
        # What was forgotten may come again.
        assert await outcome(store, put(1, 10, b"x")) is Outcome.STORED

    bench.run(claim)


def test_a_forgotten_index_row_leaves_no_trace_in_the_totals(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        row = row_entry(5, "a", 10, size=9)
        await store.commit([Write(row)])
        assert await store.forget([(row.key, row.stamp)]) == 1
        group = store.group(digest_of(5))
        assert (group.count, group.bytes, group.digest) == (0, 0, 0)

    bench.run(claim)


def test_a_large_payload_is_staged_and_committed(bench: Bench) -> None:
    piece = bytes(range(256)) * 1000

    async def claim(store: Store) -> None:
        staging = await store.stage(None)
        for _ in range(9):
            await staging.write(piece)
        await staging.finish()
        assert staging.size == 9 * len(piece)
        assert store.get(object_key(1)) is None
        entry = object_entry(1, 10, size=staging.size)
        assert await outcome(store, Write(entry, staging)) is Outcome.STORED
        await staging.abort()
        assert await payload_of(store, object_key(1)) == piece * 9
        held = store.get(object_key(1))
        assert held is not None
        middle = [bytes(p) async for p in store.read(held, 300_000, 1_100_000)]
        assert b"".join(middle) == (piece * 9)[300_000:1_400_000]
        assert all(len(p) <= 1 << 20 for p in middle)

    bench.run(claim)


def test_a_staging_thrown_away_leaves_nothing(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        staging = await store.stage(10_000_000)
        await staging.write(b"x" * 3_000_000)
        await staging.abort()
        await staging.abort()
        assert store.status().entry_count == 0

    bench.run(claim)


def test_a_staging_that_lost_to_a_newer_write_is_superseded(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        staging = await store.stage(None)
        await staging.write(b"y" * 2_000_000)
        await staging.finish()
        await store.commit([put(1, 20, b"newer")])
        assert (
            await outcome(store, Write(object_entry(1, 10, size=staging.size), staging)) is Outcome.SUPERSEDED
        )
        assert await payload_of(store, object_key(1)) == b"newer"

    bench.run(claim)


def test_a_reader_of_a_large_payload_finishes_after_an_overwrite(bench: Bench) -> None:
    payload = bytes(range(251)) * 12_000

    async def claim(store: Store) -> None:
        staging = await store.stage(len(payload))
        await staging.write(payload)
        await staging.finish()
        await store.commit([Write(object_entry(1, 10, size=len(payload)), staging)])
        held = store.get(object_key(1))
        assert held is not None
        reading = store.read(held, 0, held.payload_bytes)
        got = [bytes(await anext(reading))]
        await store.commit([put(1, 20, b"new")])
        await asyncio.sleep(0)
        got += [bytes(piece) async for piece in reading]
        assert b"".join(got) == payload

    bench.run(claim)


def test_damage_is_found_told_and_repaired(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        problems: list[bytes | None] = []
        store.on_problem(lambda reason, key: problems.append(key))
        write = put(1, 10, b"precious" * 1000)
        await store.commit([write, put(2, 10, b"other")])
        whole = store.partition_digests(Table.OBJECT)
        bench.corrupt(store, object_key(1))
        held = store.get(object_key(1))
        assert held is not None
        with pytest.raises(CorruptRecord):
            await payload_of(store, object_key(1))
        await store.commit([put(3, 10, b"any")])
        await store.forget([(object_key(3), stamp(10))])
        assert problems == [object_key(1)]
        assert store.quarantined(10) == [object_key(1)]
        assert store.status().quarantined_count == 1
        assert store.partition_digests(Table.OBJECT) != whole
        assert [key for key, _ in store.rows(b"\x01", b"\x02", 10)] == [object_key(2)]
        # The stamp is still known, so nobody goes back in time; the bytes are not served.
        held = store.get(object_key(1))
        assert held is not None
        assert held.entry.stamp == stamp(10)
        with pytest.raises(CorruptRecord):
            store.read_now(held, 0, 10)
        assert await outcome(store, put(1, 5, b"older")) is Outcome.SUPERSEDED
        assert await outcome(store, repair(write)) is Outcome.STORED
        assert store.quarantined(10) == []
        assert store.partition_digests(Table.OBJECT) == whole
        assert await payload_of(store, object_key(1)) == b"precious" * 1000

    bench.run(claim)


def test_a_damaged_entry_can_be_deleted(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"precious" * 1000)])
        bench.corrupt(store, object_key(1))
        with pytest.raises(CorruptRecord):
            await payload_of(store, object_key(1))
        assert await outcome(store, Write(object_entry(1, 20, kind=Kind.TOMBSTONE))) is Outcome.STORED
        assert store.quarantined(10) == []
        gone = object_entry(1, 20, kind=Kind.TOMBSTONE)
        part = partition_of_key(gone.key, PART_POWER)
        assert store.partition_digests(Table.OBJECT) == {part: fingerprint(gone)}

    bench.run(claim)


def test_a_store_says_that_it_is_well(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"x" * 5000)])
        status = store.status()
        assert (status.device_id, status.health, status.reason, status.entry_count) == (1, Health.OK, "", 1)
        assert status.live_bytes >= 5000
        assert status.capacity_bytes >= status.free_bytes > 0
        assert await store.check() is Health.OK

    bench.run(claim)


def test_a_commit_of_nothing_is_done(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert await store.commit([]) == []

    bench.run(claim)


def test_one_write_goes_to_several_stores(bench: Bench, tmp_path: Path) -> None:
    async def claim(store: Store) -> None:
        write = put(1, 10, b"shared" * 100)
        with disk_bench(tmp_path / "second") as second:
            other = second.make()
            await store.commit([write])
            await other.commit([put(2, 5, b"first"), write])
            assert await payload_of(other, object_key(1)) == b"shared" * 100
            assert await payload_of(store, object_key(1)) == b"shared" * 100
            await other.close()

    bench.run(claim)


def _promise(number: int, at: int) -> Write:
    return Write(promise_entry(digest_of(number), stamp(at)), origin=Origin.REPAIR)


def test_a_promise_refuses_what_is_older_and_takes_what_is_newer(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert await outcome(store, put(1, 10, b"before")) is Outcome.STORED
        assert await outcome(store, _promise(1, 20)) is Outcome.STORED
        late = await written(store, put(1, 15, b"late"))
        assert (late.outcome, late.newest) == (Outcome.PROMISED, stamp(20))
        assert (await written(store, repair(put(1, 15, b"late")))).outcome is Outcome.PROMISED
        assert await outcome(store, Write(side_entry(object_key(1), "tags", 12))) is Outcome.PROMISED
        assert await outcome(store, put(1, 10, b"before")) is Outcome.KNOWN
        assert await outcome(store, put(2, 15, b"another")) is Outcome.STORED
        assert await payload_of(store, object_key(1)) == b"before"
        assert await outcome(store, put(1, 25, b"newer")) is Outcome.STORED

    bench.run(claim)


def test_no_promise_bars_what_fills_a_device(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        assert await outcome(store, _promise(1, 20)) is Outcome.STORED
        filling = replace(put(1, 15, b"from another home"), origin=Origin.FILL, guard=None)
        assert await outcome(store, filling) is Outcome.STORED
        assert await payload_of(store, object_key(1)) == b"from another home"
        assert await outcome(store, put(1, 16, b"a client's")) is Outcome.PROMISED

    bench.run(claim)


def test_under_a_ballot_only_the_very_promise_lets_a_write_in(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        balloted = replace(put(1, 20, b"won"), ballot=stamp(20))
        assert await outcome(store, balloted) is Outcome.PROMISED
        await store.commit([_promise(1, 20), _promise(1, 30)])
        assert (await written(store, balloted)).newest == stamp(30)
        finished = replace(put(1, 15, b"finished"), ballot=stamp(30))
        assert await outcome(store, finished) is Outcome.STORED
        assert await outcome(store, replace(put(1, 30, b"next"), ballot=stamp(30))) is Outcome.STORED
        assert await payload_of(store, object_key(1)) == b"next"

    bench.run(claim)


def test_a_metadata_update_newer_than_a_ballot_bars_it(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([put(1, 10, b"judged"), _promise(1, 20)])
        assert await outcome(store, Write(side_entry(object_key(1), "retention-like", 25))) is Outcome.STORED
        late = replace(put(1, 20, b"judged without it"), ballot=stamp(20))
        assert await outcome(store, late) is Outcome.PROMISED

    bench.run(claim)


def test_a_promise_is_forgotten_with_the_base_that_makes_it_needless(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        await store.commit([_promise(1, 20), _promise(2, 20)])
        assert store.get(promise_key(digest_of(1))) is not None
        await store.commit([put(1, 20, b"newer")])
        assert store.get(promise_key(digest_of(1))) is None
        assert store.get(promise_key(digest_of(2))) is not None
        again = await written(store, _promise(1, 15))
        assert (again.outcome, again.newest) == (Outcome.SUPERSEDED, stamp(20))

    bench.run(claim)


def test_a_promise_in_the_same_commit_counts_at_once(bench: Bench) -> None:
    async def claim(store: Store) -> None:
        outcomes = await store.commit([_promise(1, 20), put(1, 15, b"late"), put(1, 22, b"newer")])
        assert [one.outcome for one in outcomes] == [Outcome.STORED, Outcome.PROMISED, Outcome.STORED]
        assert store.partition_digests(Table.PROMISE) == {}

    bench.run(claim)
