"""Which rule of CORS fits a request, and what an answer then says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cors import ANY, HEADERS_ASKED_MAX, Asked, Rule, answer_headers, find, fits, read_asked
from proxy.http.messages import Headers


def test_a_pattern_stands_for_what_its_star_leaves_open() -> None:
    assert fits("https://*.example.org", "https://www.example.org")
    assert fits("https://*.example.org", "https://a.b.example.org")
    assert not fits("https://*.example.org", "https://example.org")
    assert not fits("https://*.example.org", "https://www.example.org.evil.net")
    assert fits("prefix*", "prefix")
    assert not fits("abc*cba", "abcba")
    assert fits("exact", "exact")
    assert not fits("exact", "Exact")


@given(st.text("ab*", max_size=8).filter(lambda text: text.count("*") < 2), st.text("ab", max_size=8))
def test_a_pattern_fits_as_a_plain_search_says(pattern: str, text: str) -> None:
    stands_for = {pattern.replace("*", middle, 1) for middle in _texts(8)} if "*" in pattern else {pattern}
    assert fits(pattern, text) == (text in stands_for)


def _texts(length_max: int) -> list[str]:
    found = [""]
    for text in found:
        if len(text) < length_max:
            found += [text + letter for letter in "ab"]
    return found


def test_the_first_rule_that_fits_decides() -> None:
    rules = [Rule(("https://a",), ("GET",), exposed=("first",)), Rule((ANY,), ("GET",), exposed=("second",))]
    match = find(rules, Asked("https://a", "GET"))
    assert match is not None
    assert match.rule.exposed == ("first",)
    match = find(rules, Asked("https://b", "GET"))
    assert match is not None
    assert match.rule.exposed == ("second",)
    assert find(rules, Asked("https://a", "PUT")) is None


def test_every_header_asked_for_must_be_allowed() -> None:
    rules = [Rule((ANY,), ("PUT",), headers=("x-amz-*", "content-type"))]
    assert find(rules, Asked("o", "PUT", ("x-amz-date", "content-type")))
    assert find(rules, Asked("o", "PUT", ("x-amz-date", "authorization"))) is None


def test_a_preflight_of_endless_headers_fits_nothing() -> None:
    rules = [Rule((ANY,), ("GET",), headers=(ANY,))]
    assert find(rules, Asked("o", "GET", ("a",) * HEADERS_ASKED_MAX))
    assert find(rules, Asked("o", "GET", ("a",) * (HEADERS_ASKED_MAX + 1))) is None


def test_the_method_asked_for_counts_before_that_of_the_request() -> None:
    headers = Headers([("origin", "o"), ("access-control-request-headers", "X-A, ,x-b")])
    assert read_asked(headers, "PUT") == Asked("o", "PUT", ("x-a", "x-b"))
    headers = Headers([("origin", "o"), ("access-control-request-method", "GET")])
    assert read_asked(headers, "PUT") == Asked("o", "GET")


@pytest.mark.parametrize(
    ("origin", "shown", "credentials"), [(ANY, ANY, False), ("https://*", "https://a", True)]
)
def test_credentials_go_only_to_origins_that_a_rule_names(origin: str, shown: str, credentials: bool) -> None:
    asked = Asked("https://a", "GET", ("x-a",))
    match = find([Rule((origin,), ("GET", "PUT"), (ANY,), ("ETag",), 60)], asked)
    assert match is not None
    said = dict(answer_headers(match, asked))
    assert said["Access-Control-Allow-Origin"] == shown
    assert said["Access-Control-Allow-Methods"] == "GET, PUT"
    assert said["Access-Control-Allow-Headers"] == "x-a"
    assert said["Access-Control-Expose-Headers"] == "ETag"
    assert said["Access-Control-Max-Age"] == "60"
    assert ("Access-Control-Allow-Credentials" in said) is credentials
