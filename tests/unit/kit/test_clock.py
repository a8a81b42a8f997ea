"""The hybrid clock: stamps only grow, whatever the wall clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.clock import ClockSkew, HybridClock
from model.stamp import make_stamp, stamp_ms

NOW_MS = 1_700_000_000_000


@given(walls=st.lists(st.integers(min_value=0, max_value=10_000), min_size=2, max_size=50))
def test_stamps_grow_although_the_wall_clock_steps_back(walls: list[int]) -> None:
    times = iter(walls)
    clock = HybridClock(7, lambda: NOW_MS + next(times))
    stamps = [clock.next() for _ in walls]
    assert stamps == sorted(set(stamps))
    assert all(stamp_ms(stamp) >= NOW_MS + wall for stamp, wall in zip(stamps, walls, strict=True))


@given(
    ahead_ms=st.integers(min_value=-5000, max_value=5000),
    writer=st.integers(min_value=0, max_value=2**64 - 1),
)
def test_a_stamp_follows_all_that_was_observed(ahead_ms: int, writer: int) -> None:
    clock = HybridClock(7, lambda: NOW_MS)
    seen = make_stamp(NOW_MS + ahead_ms, 65_535, writer)
    clock.observe(seen)
    assert clock.next() > seen
    older = clock.last
    clock.observe(make_stamp(0, 0, 0))
    assert clock.last == older


def test_a_stamp_far_ahead_is_refused_and_leaves_no_trace() -> None:
    clock = HybridClock(7, lambda: NOW_MS, skew_ms_max=1000)
    clock.observe(make_stamp(NOW_MS + 1000, 0, 1))
    before = clock.last
    with pytest.raises(ClockSkew, match="1001 ms ahead"):
        clock.observe(make_stamp(NOW_MS + 1001, 0, 1))
    assert clock.last == before
