"""Each operator of conditions, as AWS's documentation tells what it means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.patterns import Variables
from proxy.auth.policy_conditions import OPERATORS, read_conditions


def holds(operator: str, key: str, wanted: Any, **facts: str | tuple[str, ...]) -> bool:
    context = {name.replace("__", ":").replace("_", "-"): value for name, value in facts.items()}

    def lookup(name: str) -> tuple[str, ...] | None:
        value = context.get(name)
        return (value,) if isinstance(value, str) else value

    found = read_conditions({operator: {key: wanted}}, Variables.REPLACED)
    return all(condition.holds(lookup) for condition in found)


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*c?", "abbcd", True),
        ("StringLike", "a*", "", False),
        ("StringNotLike", "a*", "ab", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "10", True),
        ("NumericNotEquals", "10", "11", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "9", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericLessThan", "10", "many", False),
        ("DateEquals", "2024-01-01T00:00:00Z", "2024-01-01", True),
        ("DateLessThan", "2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z", True),
        ("DateLessThan", "2024-01-01T00:00:00+02:00", "2023-12-31T22:30:00Z", False),
        ("DateGreaterThan", "1704067200", "2024-01-02", True),
        ("DateGreaterThanEquals", "2024-01-01", "2024-01-01T00:00:00Z", True),
        ("DateNotEquals", "2024-01-01", "2024-01-01T00:00:00Z", False),
        ("Bool", "true", "TRUE", True),
        ("Bool", True, "false", False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.9", False),
        ("IpAddress", "203.0.113.9", "203.0.113.9", True),
        ("IpAddress", "2001:db8::/32", "2001:db8:1::1", True),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False),
        ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True),
        ("ArnEquals", "arn:aws:iam::acme:user/*", "arn:aws:iam::acme:user/a", True),
        ("ArnLike", "arn:aws:iam::*:user/a", "arn:aws:iam::acme:user/a", True),
        ("ArnLike", "arn:aws:*:user/a", "arn:aws:iam::acme:user/a", None),
        ("ArnNotLike", "arn:aws:iam::acme:*", "arn:aws:iam::acme:user/a", False),
    ],
)
def test_an_operator_says_of_a_value_what_aws_says(
    operator: str, wanted: Any, value: str, expected: bool | None
) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="ARN"):
            holds(operator, "aws:x", wanted, aws__x=value)
        return
    assert holds(operator, "aws:x", wanted, aws__x=value) is expected


NEGATED = tuple(name for name in OPERATORS if "Not" in name)
_SOME_VALUE = {"Date": "2024-01-01", "Nume": "1", "Bool": "true", "IpAd": "10.0.0.1", "NotI": "10.0.0.1"}


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "Null"])
def test_a_key_that_is_missing_fails_unless_negated_or_if_it_exists(operator: str) -> None:
    wanted = _SOME_VALUE.get(operator[:4], "arn:a:b:c:d:e")
    assert holds(operator, "aws:x", wanted) is (operator in NEGATED)
    assert holds(f"{operator}IfExists", "aws:x", wanted)
    assert holds(f"ForAllValues:{operator}", "aws:x", wanted)
    assert not holds(f"ForAnyValue:{operator}", "aws:x", wanted)


def test_null_asks_whether_a_key_is_there() -> None:
    assert holds("Null", "s3:prefix", "true")
    assert not holds("Null", "s3:prefix", "false")
    assert holds("Null", "s3:prefix", False, s3__prefix="a")
    assert not holds("Null", "s3:prefix", "true", s3__prefix="")


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),
        ("ForAnyValue:StringEquals", ("c", "b"), True),
        ("ForAnyValue:StringEquals", ("c", "d"), False),
        ("ForAllValues:StringNotEquals", ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("c", "a"), False),
        ("ForAnyValue:StringNotEquals", ("c", "a"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
    ],
)
def test_qualifiers_speak_of_all_values_or_of_any(
    operator: str, values: tuple[str, ...], expected: bool
) -> None:
    asked = {"s3__requestobjecttagkeys": values}
    assert holds(operator, "s3:RequestObjectTagKeys", ["a", "b"], **asked) is expected


def test_all_conditions_must_hold_and_keys_know_no_case() -> None:
    found = read_conditions(
        {
            "StringLike": {"AWS:UserName": "a*", "s3:Prefix": "x/*"},
            "Bool": {"aws:SecureTransport": "true"},
        },
        Variables.REPLACED,
    )
    facts = {"aws:username": ("al",), "s3:prefix": ("x/y",), "aws:securetransport": ("true",)}
    assert all(condition.holds(facts.get) for condition in found)
    assert not all(condition.holds({**facts, "s3:prefix": ("y",)}.get) for condition in found)


def test_variables_are_filled_in_and_never_match_as_wildcards() -> None:
    assert holds("StringLike", "s3:prefix", "${aws:username}/*", aws__username="al", s3__prefix="al/x")
    assert not holds("StringLike", "s3:prefix", "${aws:username}/*", aws__username="*", s3__prefix="al/x")
    assert not holds("StringEquals", "s3:prefix", "${aws:username}", s3__prefix="${aws:username}")
    arn = {"aws__username": "al", "aws__x": "arn:aws:iam::acme:user/al"}
    assert holds("ArnLike", "aws:x", "arn:aws:iam::acme:user/${aws:username}", **arn)


@given(st.sampled_from(OPERATORS), st.text(max_size=30), st.text(max_size=30))
def test_no_value_of_a_request_makes_a_condition_raise(operator: str, wanted: str, value: str) -> None:
    try:
        found = read_conditions({operator: {"aws:x": wanted}}, Variables.REPLACED)
    except ValueError:
        return
    for condition in found:
        condition.holds({"aws:x": (value,)}.get)


@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_wildcards_match_as_a_plain_search_over_all_ways_says(pattern: str, text: str) -> None:
    def matches(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "*":
            return any(matches(i + 1, k) for k in range(j, len(text) + 1))
        return j < len(text) and pattern[i] in ("?", text[j]) and matches(i + 1, j + 1)

    assert holds("StringLike", "aws:x", pattern, aws__x=text) is matches(0, 0)


def test_a_pattern_made_to_be_slow_is_answered_all_the_same() -> None:
    # A backtracking matcher would try more ways than there are atoms.
    assert not holds("StringLike", "aws:x", "*a?" * 6000, aws__x="a" * 1000 + "b" * 8000)
