"""Copies carry bytes and metadata; what the request says stands over what the source says."""

import pytest

from tests.unit.proxy.swift.client import TEST, SwiftBench

C = f"{TEST}/c"
BODY = b"0123456789"


@pytest.fixture(autouse=True)
def source(swift: SwiftBench) -> None:
    """An object with metadata, and a second container."""
    swift.call("PUT", C)
    swift.call("PUT", f"{TEST}/d")
    headers = {
        "content-type": "text/x",
        "x-object-meta-a": "1",
        "x-object-meta-b": "2",
        "cache-control": "no-store",
    }
    swift.call("PUT", f"{C}/o%20%C3%A9", headers, BODY)


def test_copy_names_the_destination(swift: SwiftBench) -> None:
    answer = swift.call("COPY", f"{C}/o%20%C3%A9", {"destination": "d/p%20q"})
    assert answer.status == 201
    assert answer.headers["x-copied-from"] == "c/o%20%C3%A9"
    assert answer.headers["x-copied-from-account"] == "AUTH_test"
    got = swift.call("GET", f"{TEST}/d/p%20q")
    assert got.body == BODY
    assert (got.headers["content-type"], got.headers["x-object-meta-a"]) == ("text/x", "1")
    assert got.headers["cache-control"] == "no-store"


def test_put_names_the_source(swift: SwiftBench) -> None:
    headers = {"x-copy-from": "/c/o%20%C3%A9", "x-object-meta-a": "new", "content-type": "text/y"}
    assert swift.call("PUT", f"{TEST}/d/p", headers).status == 201
    got = swift.call("GET", f"{TEST}/d/p").headers
    assert (got["x-object-meta-a"], got["x-object-meta-b"], got["content-type"]) == ("new", "2", "text/y")


def test_fresh_metadata_leaves_the_sources_behind(swift: SwiftBench) -> None:
    headers = {"destination": "d/p", "x-fresh-metadata": "true", "x-object-meta-c": "3"}
    swift.call("COPY", f"{C}/o%20%C3%A9", headers)
    got = swift.call("GET", f"{TEST}/d/p").headers
    assert "x-object-meta-a" not in got
    assert "cache-control" not in got
    assert (got["x-object-meta-c"], got["content-type"]) == ("3", "text/x")


def test_a_copy_onto_itself_changes_metadata(swift: SwiftBench) -> None:
    swift.call("COPY", f"{C}/o%20%C3%A9", {"destination": "c/o%20%C3%A9", "content-type": "text/z"})
    got = swift.call("GET", f"{C}/o%20%C3%A9")
    assert (got.body, got.headers["content-type"], got.headers["x-object-meta-a"]) == (BODY, "text/z", "1")


def test_a_range_of_the_source_is_copied(swift: SwiftBench) -> None:
    swift.call("COPY", f"{C}/o%20%C3%A9", {"destination": "d/p", "range": "bytes=2-4"})
    assert swift.call("GET", f"{TEST}/d/p").body == b"234"


def test_copies_cross_accounts_where_both_let_them(swift: SwiftBench) -> None:
    other = "/v1/AUTH_test2/c2"
    swift.call("PUT", other, user="test2:tester2")
    headers = {"destination": "c2/p", "destination-account": "AUTH_test2"}
    assert swift.call("COPY", f"{C}/o%20%C3%A9", headers).status == 403
    swift.call("POST", other, {"x-container-write": "test:tester"}, user="test2:tester2")
    assert swift.call("COPY", f"{C}/o%20%C3%A9", headers).status == 201
    assert swift.call("GET", f"{other}/p", user="test2:tester2").body == BODY
    back = {"x-copy-from": "c2/p", "x-copy-from-account": "AUTH_test2"}
    assert swift.call("PUT", f"{C}/back", back).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 412),
        ({"destination": "d"}, 412),
        ({"destination": "d/"}, 412),
        ({"destination": "absent/p"}, 404),
        ({"destination": "d/p", "destination-account": "AUTH_a/b"}, 412),
        ({"destination": "d/p", "content-length": "3"}, 400),
        ({"destination": "d/p", "if-match": '"x"'}, 412),
        ({"destination": "c/o%20%C3%A9", "if-none-match": "*"}, 412),
        ({"destination": "d/" + "x" * 1025}, 400),
    ],
)
def test_a_copy_that_cannot_be_is_refused(swift: SwiftBench, headers: dict[str, str], status: int) -> None:
    body = b"abc" if "content-length" in headers else b""
    assert swift.call("COPY", f"{C}/o%20%C3%A9", headers, body).status == status


def test_an_absent_source_is_404(swift: SwiftBench) -> None:
    assert swift.call("PUT", f"{C}/p", {"x-copy-from": "c/absent"}).status == 404
    assert swift.call("PUT", f"{C}/p", {"x-copy-from": "c"}).status == 412
