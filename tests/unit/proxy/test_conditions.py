"""Conditional headers hold or fail as RFC 9110 says, for reads and for writes."""

import pytest

from proxy.conditions import NONE, Conditions, Verdict, judge_read, judge_write, parse_etags, read_conditions
from proxy.dates import http_date
from proxy.http.messages import Headers

ETAG = "d41d8cd98f00b204e9800998ecf8427e"
NOW_S = 1_700_000_000
BEFORE, AFTER = http_date(NOW_S - 1), http_date(NOW_S + 1)


def _given(**headers: str) -> Conditions:
    return read_conditions(Headers([(name.replace("_", "-"), value) for name, value in headers.items()]))


def test_no_conditions_always_hold() -> None:
    assert _given() is NONE
    assert judge_read(NONE, ETAG, NOW_S) is Verdict.PROCEED
    assert judge_write(NONE, None) is Verdict.PROCEED
    assert not NONE.decides_writes


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({"if_match": f'"{ETAG}"'}, Verdict.PROCEED),
        ({"if_match": ETAG}, Verdict.PROCEED),
        ({"if_match": "*"}, Verdict.PROCEED),
        ({"if_match": f'"x", "{ETAG}"'}, Verdict.PROCEED),
        ({"if_match": '"x"'}, Verdict.FAILED),
        ({"if_match": f'W/"{ETAG}"'}, Verdict.FAILED),
        ({"if_none_match": f'"{ETAG}"'}, Verdict.NOT_MODIFIED),
        ({"if_none_match": f'W/"{ETAG}"'}, Verdict.NOT_MODIFIED),
        ({"if_none_match": "*"}, Verdict.NOT_MODIFIED),
        ({"if_none_match": '"x"'}, Verdict.PROCEED),
        ({"if_modified_since": BEFORE}, Verdict.PROCEED),
        ({"if_modified_since": http_date(NOW_S)}, Verdict.NOT_MODIFIED),
        ({"if_modified_since": "nonsense"}, Verdict.PROCEED),
        ({"if_unmodified_since": BEFORE}, Verdict.FAILED),
        ({"if_unmodified_since": http_date(NOW_S)}, Verdict.PROCEED),
        # The ETag is the stronger validator: where both are sent it decides.
        ({"if_match": ETAG, "if_unmodified_since": BEFORE}, Verdict.PROCEED),
        ({"if_none_match": '"x"', "if_modified_since": AFTER}, Verdict.PROCEED),
    ],
)
def test_a_read_is_judged(headers: dict[str, str], verdict: Verdict) -> None:
    assert judge_read(_given(**headers), ETAG, NOW_S) is verdict


@pytest.mark.parametrize(
    ("headers", "etag", "verdict"),
    [
        ({"if_none_match": "*"}, None, Verdict.PROCEED),
        ({"if_none_match": "*"}, ETAG, Verdict.FAILED),
        ({"if_none_match": f'"{ETAG}"'}, ETAG, Verdict.FAILED),
        ({"if_none_match": '"x"'}, ETAG, Verdict.PROCEED),
        ({"if_match": f'"{ETAG}"'}, ETAG, Verdict.PROCEED),
        ({"if_match": f'"{ETAG}"'}, None, Verdict.FAILED),
        ({"if_match": "*"}, None, Verdict.FAILED),
        ({"if_unmodified_since": BEFORE}, ETAG, Verdict.FAILED),
        ({"if_unmodified_since": BEFORE}, None, Verdict.PROCEED),
    ],
)
def test_a_write_is_judged(headers: dict[str, str], etag: str | None, verdict: Verdict) -> None:
    conditions = _given(**headers)
    assert conditions.decides_writes
    assert judge_write(conditions, etag, NOW_S) is verdict


def test_a_delete_may_ask_for_the_size_and_the_time() -> None:
    assert judge_write(Conditions(if_size=3), ETAG, NOW_S, 3) is Verdict.PROCEED
    assert judge_write(Conditions(if_size=3), ETAG, NOW_S, 4) is Verdict.FAILED
    assert judge_write(Conditions(if_modified_at=NOW_S), ETAG, NOW_S) is Verdict.PROCEED
    assert judge_write(Conditions(if_modified_at=NOW_S + 1), ETAG, NOW_S) is Verdict.FAILED


def test_a_prefix_selects_the_conditions_of_a_copys_source() -> None:
    headers = Headers([("if-match", "a"), ("x-amz-copy-source-if-match", '"b"')])
    assert read_conditions(headers, "x-amz-copy-source-").if_match == ("b",)


def test_commas_in_a_quoted_etag_do_not_split_it() -> None:
    assert parse_etags('"a,b", c', weak=True) == ("a,b", "c")
    assert parse_etags('not-"a", "b"c', weak=True) == ('not-"a"', '"b"c')
    assert parse_etags("", weak=True) == ()
    assert parse_etags(",", weak=True) == ('""',)
