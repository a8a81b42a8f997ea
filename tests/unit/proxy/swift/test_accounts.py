"""Accounts show their totals, metadata and containers to who owns them."""

import pytest

from tests.unit.proxy.swift.client import TEST, SwiftBench


def test_an_account_never_used_is_empty(swift: SwiftBench) -> None:
    answer = swift.call("GET", TEST)
    assert answer.status == 204
    assert answer.headers["x-account-container-count"] == "0"
    assert swift.call("GET", f"{TEST}?format=json").json == []


def test_totals_are_those_of_the_containers(swift: SwiftBench) -> None:
    swift.call("PUT", f"{TEST}/one")
    swift.call("PUT", f"{TEST}/two")
    swift.call("PUT", f"{TEST}/one/o", body=b"abc")
    head = swift.call("HEAD", TEST)
    assert head.status == 204
    assert head.headers["x-account-container-count"] == "2"
    assert head.headers["x-account-object-count"] == "1"
    assert head.headers["x-account-bytes-used"] == "3"
    rows = swift.call("GET", f"{TEST}?format=json").json
    assert [(row["name"], row["count"], row["bytes"]) for row in rows] == [("one", 1, 3), ("two", 0, 0)]


def test_a_listing_comes_in_three_forms(swift: SwiftBench) -> None:
    swift.call("PUT", f"{TEST}/a%26b")
    assert swift.call("GET", TEST).body == b"a&b\n"
    xml = swift.call("GET", TEST, {"accept": "application/xml"})
    assert xml.headers["content-type"] == "application/xml; charset=utf-8"
    assert b'<account name="AUTH_test">' in xml.body
    assert b"<name>a&amp;b</name><count>0</count>" in xml.body
    assert swift.call("GET", TEST, {"accept": "image/png"}).status == 406


def test_a_page_of_containers_is_marked_and_limited(swift: SwiftBench) -> None:
    for name in ("a1", "a2", "b1"):
        swift.call("PUT", f"{TEST}/{name}")
    assert swift.call("GET", f"{TEST}?limit=2").body == b"a1\na2\n"
    assert swift.call("GET", f"{TEST}?marker=a1&end_marker=b1").body == b"a2\n"
    assert swift.call("GET", f"{TEST}?prefix=b").body == b"b1\n"
    assert swift.call("GET", f"{TEST}?reverse=true").body == b"b1\na2\na1\n"
    assert swift.call("GET", f"{TEST}?limit=10001").status == 412


def test_metadata_is_set_kept_and_removed(swift: SwiftBench) -> None:
    assert (
        swift.call("POST", TEST, {"x-account-meta-color": "blue", "x-account-meta-shape": "é"}).status == 204
    )
    swift.call("POST", TEST, {"x-account-meta-color": "red"})
    headers = swift.call("HEAD", TEST).headers
    assert (headers["x-account-meta-color"], headers["x-account-meta-shape"]) == ("red", "é")
    swift.call("POST", TEST, {"x-remove-account-meta-color": "x", "x-account-meta-shape": ""})
    headers = swift.call("HEAD", TEST).headers
    assert "x-account-meta-color" not in headers
    assert "x-account-meta-shape" not in headers


def test_metadata_is_limited_over_all_requests(swift: SwiftBench) -> None:
    for start in (0, 45):
        some = {f"x-account-meta-k{n}": "v" for n in range(start, start + 45)}
        assert swift.call("POST", TEST, some).status == 204
    assert swift.call("POST", TEST, {"x-account-meta-more": "v"}).status == 400
    assert swift.call("POST", TEST, {"x-account-meta-k0": "other"}).status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_only_the_owner_gets_in(swift: SwiftBench, method: str) -> None:
    assert swift.call(method, TEST, user="").status == 401
    assert swift.call(method, TEST, user="test:tester3").status == 403
    assert swift.call(method, TEST, user="test2:tester2").status == 403
    assert swift.call(method, TEST, user="admin:admin").status == 204


def test_only_a_reseller_makes_accounts(swift: SwiftBench) -> None:
    assert swift.call("PUT", "/v1/AUTH_new").status == 403
    assert swift.call("PUT", "/v1/AUTH_new", user="admin:admin").status == 201
    assert swift.call("PUT", "/v1/AUTH_new", user="admin:admin").status == 202


def test_what_an_account_does_not_do_is_405(swift: SwiftBench) -> None:
    answer = swift.call("DELETE", TEST)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
