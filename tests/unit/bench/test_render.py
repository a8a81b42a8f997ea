"""Claims about the tables: ratios read rightly, and failures are loud."""

import io

from rich.console import Console

from bench.render import print_comparison, print_report
from bench.report import Latency, Load, Measurement, Report, ServerCost


def row(store: str, requests: int, errors: dict[str, int] | None = None) -> Measurement:
    load = Load("wrk", requests, 1.0, 0, Latency(1.0, 2.0, 3.0, 4.0), errors or {})
    return Measurement("get-4k", "GET 4 KiB", store, load, ServerCost(1e6, 2**20, 1))


def shown(report: Report) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    print_report(console, report)
    print_comparison(console, report, baseline="swift", subject="colony", goals={"get-4k": 10.0})
    return stream.getvalue()


def test_two_stores_stand_side_by_side_with_their_ratio_and_goal() -> None:
    text = shown(Report((row("swift", 700), row("colony", 7700)), {"machine": "2 CPUs"}))
    assert "7,700 | 700" in text
    assert "11.00x" in text
    assert "10x reached" in text
    assert "machine: 2 CPUs" in text


def test_a_goal_that_is_missed_is_said() -> None:
    assert "10x missed" in shown(Report((row("swift", 700), row("colony", 6900))))


def test_a_failed_row_shows_its_reason_and_no_ratio() -> None:
    text = shown(Report((row("swift", 700), row("colony", 7700, {"GET answered 503": 3}))))
    assert "FAILED colony, GET 4 KiB: GET answered 503 (3)" in text
    assert "11.00x" not in text


def test_one_store_alone_is_not_compared() -> None:
    assert "beside" not in shown(Report((row("colony", 7700),)))
