"""Claims about reports: percentiles, ratios, and that a failure is never averaged away."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import (
    Latency,
    Load,
    MalformedReport,
    Measurement,
    Report,
    ServerCost,
    compare,
    from_json,
    latency_of,
    median_run,
    merge,
    percentile,
    to_json,
    with_errors,
)


def measurement(
    store: str,
    *,
    workload: str = "get-4k",
    requests: int = 1000,
    p50_ms: float = 10.0,
    cpu_us: float = 1e6,
    errors: dict[str, int] | None = None,
) -> Measurement:
    load = Load(
        "wrk",
        requests,
        2.0,
        requests * 4096,
        Latency(p50_ms, 2 * p50_ms, 4 * p50_ms, 9 * p50_ms),
        errors or {},
    )
    return Measurement(workload, workload.upper(), store, load, ServerCost(cpu_us, 2**20, 3))


def test_percentiles_are_of_the_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.9, 0.99, 1.0)] == [1, 50, 90, 99, 100]
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) == 0.0


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_percentile_has_its_share_of_values_at_or_below_it(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_latencies_in_seconds_are_told_in_milliseconds() -> None:
    assert latency_of([0.003, 0.001, 0.002]) == Latency(2.0, 3.0, 3.0, 3.0)


def test_rates_and_costs_come_from_the_raw_counts() -> None:
    row = measurement("colony", requests=1000, cpu_us=250_000)
    assert row.requests_per_s == 500
    assert row.megabytes_per_s == pytest.approx(2.048)
    assert row.server_cpu_us_per_request == 250


def test_one_error_or_no_request_at_all_fails_a_row() -> None:
    assert not measurement("colony").failed
    assert measurement("colony", errors={"GET answered 503": 1}).failed
    assert measurement("colony", requests=0).failed


def test_a_ratio_above_one_always_means_better() -> None:
    report = Report(
        (
            measurement("swift", requests=100, p50_ms=20, cpu_us=1e6),
            measurement("colony", requests=1100, p50_ms=2),
        )
    )
    (ratio,) = compare(report, baseline="swift", subject="colony", goals={"get-4k": 10.0})
    assert ratio.requests_per_s == pytest.approx(11)
    assert ratio.p50 == pytest.approx(10)
    assert ratio.p99 == pytest.approx(10)
    assert ratio.server_cpu == pytest.approx(11)
    assert ratio.reached is True


def test_a_row_that_only_one_store_has_is_not_compared() -> None:
    report = Report((measurement("swift"), measurement("colony", workload="put-4k")))
    assert compare(report, baseline="swift", subject="colony", goals={}) == ()


def test_the_median_run_is_kept_but_a_failed_one_wins() -> None:
    runs = [measurement("colony", requests=count) for count in (300, 100, 200)]
    assert median_run(runs).load.requests == 200
    broken = measurement("colony", requests=999, errors={"connection lost": 1})
    assert median_run([*runs, broken]) is broken


def test_a_report_survives_json() -> None:
    failed = measurement("colony", errors={"connection lost": 2})
    report = Report((measurement("swift"), failed), {"machine": "2 CPUs"})
    assert from_json(json.loads(json.dumps(to_json(report)))) == report


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"version": 99}, {"version": 1}, {"version": 1, "facts": {}, "measurements": [{}]}],
)
def test_what_is_no_report_is_refused(value: object) -> None:
    with pytest.raises(MalformedReport):
        from_json(value)


def test_merging_lets_a_later_measurement_replace_an_earlier_one() -> None:
    first = Report((measurement("swift", requests=1), measurement("colony", requests=2)), {"a": "1"})
    second = Report((measurement("colony", requests=3),), {"a": "2"})
    merged = merge([first, second])
    assert [(row.store, row.load.requests) for row in merged.measurements] == [("swift", 1), ("colony", 3)]
    assert merged.facts == {"a": "2"}


def test_errors_add_up_by_reason() -> None:
    load = with_errors(measurement("colony", errors={"a": 1}).load, {"a": 2, "b": 3})
    assert load.errors == {"a": 3, "b": 3}
