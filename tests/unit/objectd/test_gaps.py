"""Claims of the gaps that listings leap over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.entry import Kind
from model.listing import Page, Query
from objectd.gaps import GAPS_MAX, RUN_ROWS_MIN, Gaps
from objectd.memory_store import MemoryStore
from tests.support.objectd_node import EPOCH, Node, digest, index_entry, serving, stamp, write_of

C = digest("c")
RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12)


def name_of(index: int) -> bytes:
    return b"n%03d" % index


@given(RANGES, st.lists(st.integers(0, 80), max_size=6))
def test_gaps_are_the_union_of_what_was_noted_less_what_came_to_life(
    ranges: list[tuple[int, int]], alive: list[int]
) -> None:
    gaps = Gaps(1)
    dead: set[int] = set()
    for start, length in ranges:
        gaps.note(name_of(start), name_of(start + length), length)
        dead |= set(range(start, start + length))
    gaps.cut(name_of(index) for index in alive)
    dead -= set(alive)
    for index in range(90):
        assert (gaps.past(name_of(index)) != name_of(index)) == (index in dead)
        # Just below the name after it lies the name itself, and no other.
        assert (gaps.below(name_of(index) + b"\0") <= name_of(index)) == (index in dead)


def test_few_gaps_are_kept_and_the_largest_of_them() -> None:
    gaps = Gaps(1)
    for index in range(GAPS_MAX + 20):
        gaps.note(name_of(2 * index), name_of(2 * index + 1), 1_000 + index)
    assert len(gaps) == GAPS_MAX
    assert gaps.past(name_of(0)) == name_of(0)
    assert gaps.past(name_of(2 * (GAPS_MAX + 19))) != name_of(2 * (GAPS_MAX + 19))


class CountingStore(MemoryStore):
    """Counts the rows that are read of it."""

    rows_read = 0

    def rows(
        self, start: bytes, end: bytes, limit: int, *, reverse: bool = False, cut_bytes: int = 0
    ) -> list[tuple[bytes, bytes]]:
        """Count what the store answers."""
        found = super().rows(start, end, limit, reverse=reverse, cut_bytes=cut_bytes)
        self.rows_read += len(found)
        return found


async def commit(node: Node, names: Sequence[str], *, ms: int, kind: Kind = Kind.DATA) -> None:
    entries = [index_entry("c", name, stamp(ms), kind=kind) for name in names]
    await node.client.commit([write_of(entry, (0,)) for entry in entries], epoch=EPOCH)


async def page_of(node: Node, query: Query) -> Page:
    return (await node.client.rows(C, (0,), query, epoch=EPOCH, ask=1)).page


def names_in(page: Page) -> list[str]:
    return [name.decode() for name, _ in page.items]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("delimiter", [b"", b"/"])
@pytest.mark.parametrize("rows_at_once", [25_000, 700])
def test_deleted_names_are_walked_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reverse: bool, delimiter: bytes, rows_at_once: int
) -> None:
    monkeypatch.setattr("objectd.service_listing.ROWS_AT_ONCE_MAX", rows_at_once)
    count = 4 * RUN_ROWS_MIN

    async def run() -> None:
        store = CountingStore(0, part_power=4)
        async with serving(tmp_path, {0: store}) as node:
            names = [f"m{at:05}" for at in range(count)]
            kept = ["a", "b", "y", "z"]
            await commit(node, [*kept, *names], ms=1)
            await commit(node, names, ms=2, kind=Kind.TOMBSTONE)
            query = Query(limit=4, reverse=reverse, delimiter=delimiter)
            expected = kept[::-1] if reverse else kept
            for attempt in range(2):
                store.rows_read = 0
                assert names_in(await page_of(node, query)) == expected
                assert (store.rows_read > count) == (attempt == 0)

            await commit(node, ["m00700", "m01000"], ms=3)
            store.rows_read = 0
            alive = sorted([*kept, "m00700", "m01000"], reverse=reverse)[:4]
            assert names_in(await page_of(node, query)) == alive
            assert store.rows_read < count

    asyncio.run(run())


def test_a_device_that_is_trusted_anew_has_no_gaps_from_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, {0: MemoryStore(0, part_power=4)}) as node:
            names = [f"m{at:05}" for at in range(2 * RUN_ROWS_MIN)]
            await commit(node, [*names, "z"], ms=1)
            await commit(node, names, ms=2, kind=Kind.TOMBSTONE)
            await page_of(node, Query(limit=10))
            assert (0, C) in node.state.gaps
            node.state.trust(0)
            assert not node.state.gaps

    asyncio.run(run())
