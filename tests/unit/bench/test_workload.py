"""Claims about workloads: sizes and mixes as people write them, and how a mix is spread."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload import (
    FURTHER,
    GOALS,
    STANDARD,
    Api,
    Operation,
    Workload,
    choose_rows,
    interleave,
    parse_mix,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("4K", 4096),
        ("4KiB", 4096),
        ("4 kb", 4096),
        ("1.5M", 1_572_864),
        ("1G", 2**30),
        ("0", 0),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "K", "4X", "-1", "4K4"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_a_mix_names_operations_with_shares() -> None:
    assert parse_mix("get=80, PUT=20") == ((Operation.GET, 80), (Operation.PUT, 20))
    assert parse_mix("head") == ((Operation.HEAD, 1),)


@pytest.mark.parametrize("text", ["", "fetch", "get=many", "get=1,get=2"])
def test_a_mix_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"operation"):
        parse_mix(text)


@given(st.dictionaries(st.sampled_from(Operation), st.integers(1, 30), min_size=1))
def test_one_cycle_holds_each_operation_as_often_as_its_share(shares: dict[Operation, int]) -> None:
    assert Counter(interleave(tuple(shares.items()))) == shares


def test_operations_of_a_mix_alternate_instead_of_coming_in_blocks() -> None:
    cycle = interleave(((Operation.GET, 2), (Operation.PUT, 2)))
    assert cycle == (Operation.GET, Operation.PUT, Operation.GET, Operation.PUT)


@pytest.mark.parametrize(
    "change", [{"connections": 0}, {"duration_s": 0.0}, {"count_max": 0}, {"size_bytes": -1}, {"mix": ()}]
)
def test_a_workload_that_cannot_run_is_refused(change: dict[str, object]) -> None:
    fields: dict[str, object] = {"name": "x", "title": "x", "api": Api.S3, "mix": ((Operation.GET, 1),)}
    with pytest.raises(ValueError, match=r"must|needs"):
        Workload(**(fields | change))  # type: ignore[arg-type]


def test_rows_are_the_standard_table_unless_named() -> None:
    assert choose_rows(None) == STANDARD
    assert choose_rows("all") == STANDARD + FURTHER
    assert [row.name for row in choose_rows("put-4k, get-4k")] == ["put-4k", "get-4k"]
    with pytest.raises(ValueError, match="unknown rows: get-5k"):
        choose_rows("get-4k,get-5k")


def test_each_goal_belongs_to_a_row_of_the_standard_table() -> None:
    assert set(GOALS) <= {row.name for row in STANDARD}
