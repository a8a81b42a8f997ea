"""Meters tell the rate of late, and when the rest is done."""

from __future__ import annotations

from replicator.rates import WINDOW_MS, Meter, eta_s


def test_a_rate_is_that_of_the_window() -> None:
    meter = Meter()
    for second in range(10):
        meter.add(5, 1000 * second)
    assert meter.per_s(10_000) == 5.0
    assert meter.total == 50


def test_what_is_long_past_no_longer_counts() -> None:
    meter = Meter()
    meter.add(5, 0)
    assert meter.per_s(WINDOW_MS + 1) == 0.0


def test_the_time_left_is_unknown_without_a_rate() -> None:
    assert (eta_s(0, 0.0), eta_s(10, 0.0), eta_s(10, 2.0)) == (0.0, None, 5.0)
