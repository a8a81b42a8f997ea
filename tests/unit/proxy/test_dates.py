"""Dates go out in each API's form and come back as the moment they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dates import (
    decimal_seconds,
    http_date,
    iso_micros,
    iso_millis,
    parse_http_date,
    parse_iso,
    whole_seconds_up,
)

_MOMENTS_S = st.integers(0, 253_402_300_799)


@given(_MOMENTS_S)
def test_an_http_date_comes_back_as_the_second_it_was(moment_s: int) -> None:
    assert parse_http_date(http_date(moment_s)) == moment_s


@given(_MOMENTS_S, st.integers(0, 999))
def test_an_iso_moment_comes_back_to_the_millisecond(moment_s: int, rest_ms: int) -> None:
    assert parse_iso(iso_millis(moment_s * 1000 + rest_ms)) == moment_s * 1000 + rest_ms


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_of_an_http_date_are_read(text: str) -> None:
    assert parse_http_date(text) == 784111777


@pytest.mark.parametrize("text", ["", "yesterday", "Sun, 99 Nov 1994 08:49:37", "1"])
def test_a_text_that_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) in (None, parse_http_date("Sun, 99 Nov 1994 08:49:37"))
    assert parse_iso(text) is None


def test_swifts_forms_of_one_moment() -> None:
    moment_us = 1_370_323_375_123_456
    assert iso_micros(moment_us) == "2013-06-04T05:22:55.123456"
    assert decimal_seconds(moment_us) == "1370323375.12345"
    assert whole_seconds_up(moment_us // 1000) == 1_370_323_376
    assert whole_seconds_up(5000) == 5


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("20130524T000000Z", 1_369_353_600_000),
        ("2013-05-24", 1_369_353_600_000),
        ("2013-05-24T02:00:00+02:00", 1_369_353_600_000),
        ("2013-05-24T00:00:00.5Z", 1_369_353_600_500),
    ],
)
def test_iso_forms_that_clients_send_are_read(text: str, moment_ms: int) -> None:
    assert parse_iso(text) == moment_ms
