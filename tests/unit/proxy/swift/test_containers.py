"""Containers are made, set, listed and deleted as Swift does it."""

import pytest

from model.names import ContainerPath
from tests.unit.proxy.swift.client import TEST, SwiftBench

C = f"{TEST}/c"


def test_a_container_is_made_once_and_accepted_again(swift: SwiftBench) -> None:
    assert swift.call("PUT", C).status == 201
    assert swift.call("PUT", C).status == 202
    assert swift.call("HEAD", C).status == 204


def test_a_put_of_a_container_that_exists_moves_its_time(swift: SwiftBench) -> None:
    def modified_ms() -> int:
        return swift.run(swift.fake.container(ContainerPath("test", "c"))).modified_ms

    swift.call("PUT", C, {"x-container-meta-a": "1"})
    before = modified_ms()
    swift.call("PUT", C)
    assert modified_ms() > before
    assert swift.call("HEAD", C).headers["x-container-meta-a"] == "1"


def test_an_absent_container_is_404(swift: SwiftBench) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert swift.call(method, C).status == 404
    assert swift.call("PUT", f"{C}/o", body=b"x").status == 404


def test_a_container_with_objects_is_not_deleted(swift: SwiftBench) -> None:
    swift.call("PUT", C)
    swift.call("PUT", f"{C}/o", body=b"x")
    assert swift.call("DELETE", C).status == 409
    swift.call("DELETE", f"{C}/o")
    assert swift.call("DELETE", C).status == 204
    assert swift.call("GET", C).status == 404


def test_settings_are_kept_until_they_are_removed(swift: SwiftBench) -> None:
    swift.call("PUT", C, {"x-container-meta-a": "1", "x-container-read": ".r: * , .rlistings"})
    swift.call("POST", C, {"x-container-meta-b": "2", "x-container-write": "test2:tester2"})
    headers = swift.call("HEAD", C).headers
    assert headers["x-container-meta-a"] == "1"
    assert headers["x-container-meta-b"] == "2"
    assert headers["x-container-read"] == ".r:*,.rlistings"
    assert headers["x-container-write"] == "test2:tester2"
    swift.call("POST", C, {"x-remove-container-read": "x", "x-remove-container-meta-a": "x"})
    headers = swift.call("HEAD", C).headers
    assert "x-container-read" not in headers
    assert "x-container-meta-a" not in headers


def test_acls_are_shown_to_the_owner_alone(swift: SwiftBench) -> None:
    swift.call("PUT", C, {"x-container-read": "test2", "x-container-meta-temp-url-key": "secret"})
    headers = swift.call("HEAD", C, user="test2:tester2").headers
    assert "x-container-read" not in headers
    assert "x-container-meta-temp-url-key" not in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"x-container-write": ".r:*"},
        {"x-container-read": ".r:"},
        {"x-container-read": ".x:y"},
        {"x-storage-policy": "gold"},
        {"x-container-meta-": "v"},
        {f"x-container-meta-{'n' * 129}": "v"},
        {"x-container-meta-n": "v" * 257},
        {f"x-container-meta-{n}": "v" for n in range(91)},
        {f"x-container-meta-{n}": "v" * 250 for n in range(17)},
        {"x-anything": "v" * 8193},
        {"x-container-meta-n": "\udcff"},
    ],
)
def test_settings_outside_the_limits_are_refused(swift: SwiftBench, headers: dict[str, str]) -> None:
    assert swift.call("PUT", C, headers).status == 400
    assert swift.call("HEAD", C).status == 404


def test_a_name_is_limited(swift: SwiftBench) -> None:
    assert swift.call("PUT", f"{TEST}/{'c' * 257}").status == 400
    assert swift.call("PUT", f"{TEST}/{'c' * 256}").status == 201
    assert swift.call("PUT", f"{TEST}/%FF").status == 412
    assert swift.call("PUT", f"{TEST}/a%00b").status == 412


def _fill(swift: SwiftBench, *names: str) -> None:
    swift.call("PUT", C)
    for name in names:
        assert swift.call("PUT", f"{C}/{name}", {"content-type": "text/plain"}, b"abc").status == 201


def test_a_listing_in_json_tells_all_of_an_object(swift: SwiftBench) -> None:
    _fill(swift, "o%22%C3%A9")
    answer = swift.call("GET", f"{C}?format=json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-container-object-count"] == "1"
    assert answer.headers["x-container-bytes-used"] == "3"
    (row,) = answer.json
    assert row["name"] == 'o"é'
    assert row["hash"] == "900150983cd24fb0d6963f7d28e17f72"
    assert (row["bytes"], row["content_type"]) == (3, "text/plain")
    assert row["last_modified"].startswith("2023-11-14T")


def test_a_listing_in_xml(swift: SwiftBench) -> None:
    _fill(swift, "a%26/b", "c")
    body = swift.call("GET", f"{C}?format=xml&delimiter=/").body
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<container name="c">')
    assert b'<subdir name="a&amp;/"><name>a&amp;/</name></subdir>' in body
    assert b"<object><name>c</name><hash>" in body


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a", "b/1", "b/2", "b/c/3", "d"]),
        ("prefix=b/", ["b/1", "b/2", "b/c/3"]),
        ("delimiter=/", ["a", "b/", "d"]),
        ("prefix=b/&delimiter=/", ["b/1", "b/2", "b/c/"]),
        ("path=", ["a", "d"]),
        ("path=b", ["b/1", "b/2"]),
        ("path=b/", ["b/1", "b/2"]),
        ("marker=b/1", ["b/2", "b/c/3", "d"]),
        ("end_marker=b/2", ["a", "b/1"]),
        ("marker=a&end_marker=d&reverse=1", []),
        ("marker=d&end_marker=a&reverse=1", ["b/c/3", "b/2", "b/1"]),
        ("limit=2", ["a", "b/1"]),
        ("limit=x", ["a", "b/1", "b/2", "b/c/3", "d"]),
        ("delimiter=/c", ["a", "b/1", "b/2", "b/c", "d"]),
        ("delimiter=/&marker=b/", ["d"]),
    ],
)
def test_a_listing_selects(swift: SwiftBench, query: str, names: list[str]) -> None:
    _fill(swift, "a", "b/1", "b/2", "b/c/3", "d")
    assert swift.call("GET", f"{C}?{query}").body.decode().splitlines() == names


def test_a_folder_listing_shows_objects_that_bear_a_folders_name(swift: SwiftBench) -> None:
    _fill(swift, "f/", "f/1", "f/g/", "f/g/x", "f/h/x", "f/z")
    assert swift.call("GET", f"{C}?path=f").body == b"f/1\nf/g/\nf/z\n"
    assert swift.call("GET", f"{C}?path=f&limit=2").body == b"f/1\nf/g/\n"
    assert swift.call("GET", f"{C}?path=f&marker=f/1&limit=2").body == b"f/g/\nf/z\n"
    assert swift.call("GET", f"{C}?path=").body == b"f/\n"


def test_a_limit_above_the_maximum_is_refused(swift: SwiftBench) -> None:
    _fill(swift)
    assert swift.call("GET", f"{C}?limit=10000").status == 204
    answer = swift.call("GET", f"{C}?limit=10001")
    assert (answer.status, answer.body) == (412, b"Maximum limit is 10000")
    assert swift.call("GET", f"{C}?prefix=%FF").status == 400
    assert swift.call("GET", f"{C}?prefix=%00").status == 204


def test_acls_open_containers(swift: SwiftBench) -> None:
    _fill(swift, "o")
    other = "test2:tester2"
    assert swift.call("GET", C, user=other).status == 403
    swift.call("POST", C, {"x-container-read": "test2:tester2"})
    assert swift.call("GET", C, user=other).body == b"o\n"
    assert swift.call("GET", f"{C}/o", user=other).status == 200
    assert swift.call("PUT", f"{C}/p", body=b"x", user=other).status == 403
    assert swift.call("GET", C, user="test:tester3").status == 403
    swift.call("POST", C, {"x-container-write": "test"})
    assert swift.call("PUT", f"{C}/p", body=b"x", user="test:tester3").status == 201
    assert swift.call("DELETE", f"{C}/p", user="test:tester3").status == 204
    assert swift.call("POST", C, {"x-container-meta-a": "1"}, user="test:tester3").status == 403
    assert swift.call("DELETE", C, user="test:tester3").status == 403


def test_a_referrer_reads_objects_and_lists_only_where_listings_are_open(swift: SwiftBench) -> None:
    _fill(swift, "o")
    swift.call("POST", C, {"x-container-read": ".r:.example.com,.r:-bad.example.com"})
    good = {"referer": "https://www.example.com/page"}
    assert swift.call("GET", f"{C}/o", good, user="").status == 200
    assert swift.call("GET", f"{C}/o", {"referer": "https://bad.example.com/"}, user="").status == 401
    assert swift.call("GET", f"{C}/o", user="").status == 401
    assert swift.call("GET", C, good, user="").status == 401
    swift.call("POST", C, {"x-container-read": ".r:*,.rlistings"})
    assert swift.call("GET", C, user="").body == b"o\n"
    assert swift.call("GET", f"{TEST}/absent/o", user="").status == 401
    assert swift.call("GET", f"{TEST}/absent/o", user="test2:tester2").status == 403
