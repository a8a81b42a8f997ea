"""Objects are stored, read, changed and deleted as Swift does it."""

import hashlib

import pytest

from proxy.swift.limits import Limits
from tests.unit.proxy.swift.client import TEST, SwiftBench

C = f"{TEST}/c"
O = f"{C}/o"  # noqa: E741
BODY = b"0123456789"
ETAG = hashlib.md5(BODY).hexdigest()


@pytest.fixture(autouse=True)
def container(swift: SwiftBench) -> None:
    """The container of the tests."""
    swift.call("PUT", C)


def _put(swift: SwiftBench, path: str = O, body: bytes = BODY, **headers: str) -> None:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    assert swift.call("PUT", path, fields, body).status == 201


def test_what_is_put_is_got(swift: SwiftBench) -> None:
    put = swift.call(
        "PUT",
        O,
        {
            "content-type": "text/plain; charset=utf-8",
            "content-encoding": "gzip",
            "content-disposition": "attachment; filename=x",
            "x-object-meta-color": "grün",
            "x-object-meta-empty": "",
        },
        BODY,
    )
    assert (put.status, put.headers["etag"], put.body) == (201, ETAG, b"")
    got = swift.call("GET", O)
    assert (got.status, got.body, got.length) == (200, BODY, 10)
    assert got.headers["etag"] == ETAG
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["content-encoding"] == "gzip"
    assert got.headers["content-disposition"] == "attachment; filename=x"
    assert got.headers["x-object-meta-color"] == "grün"
    assert "x-object-meta-empty" not in got.headers
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["last-modified"] == put.headers["last-modified"]
    assert got.headers["x-timestamp"].startswith("17000000")
    assert got.headers["x-trans-id"] == got.headers["x-openstack-request-id"] == "tx1"
    head = swift.call("HEAD", O)
    assert (head.status, head.body, head.length, head.headers) == (200, b"", 10, got.headers)


def test_an_absent_object_is_404(swift: SwiftBench) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert swift.call(method, O).status == 404
    assert swift.call("HEAD", O).body == b""
    assert swift.call("GET", O, {"if-match": "*"}).status == 412


def test_a_body_that_is_not_what_was_stated_is_not_stored(swift: SwiftBench) -> None:
    assert swift.call("PUT", O, {"etag": "0" * 32}, BODY).status == 422
    assert swift.call("GET", O).status == 404
    _put(swift, etag=f'"{ETAG}"')


def test_the_content_type_is_kept_guessed_or_generic(swift: SwiftBench) -> None:
    for path, headers, expected in (
        (f"{C}/a.html", {}, "text/html"),
        (f"{C}/a.html", {"content-type": "text/x"}, "text/x"),
        (f"{C}/a.html", {"content-type": "text/x", "x-detect-content-type": "true"}, "text/html"),
        (f"{C}/unknown", {}, "application/octet-stream"),
    ):
        assert swift.call("PUT", path, headers, BODY).status == 201
        assert swift.call("HEAD", path).headers["content-type"] == expected
    assert swift.call("PUT", O, {"content-type": "text/x; swift_bytes=3"}).status == 400


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-3", 206, b"789"),
        ("bytes=7-", 206, b"789"),
        ("bytes=0-99", 206, BODY),
        ("bytes=3-1", 200, BODY),
        ("lines=1-2", 200, BODY),
    ],
)
def test_a_range_selects(swift: SwiftBench, text: str, status: int, body: bytes) -> None:
    _put(swift)
    got = swift.call("GET", O, {"range": text})
    assert (got.status, got.body, got.length) == (status, body, len(body))
    assert ("content-range" in got.headers) is (status == 206)


def test_a_range_outside_is_416_and_tells_the_size(swift: SwiftBench) -> None:
    _put(swift)
    got = swift.call("GET", O, {"range": "bytes=10-"})
    assert got.status == 416
    assert got.headers["content-range"] == "bytes */10"


def test_several_ranges_come_in_parts(swift: SwiftBench) -> None:
    _put(swift, content_type="text/plain")
    got = swift.call("GET", O, {"range": "bytes=0-1,8-"})
    assert got.status == 206
    kind, _, boundary = got.headers["content-type"].partition("boundary=")
    assert kind == "multipart/byteranges;"
    assert got.length == len(got.body)
    parts = got.body.split(f"--{boundary}".encode())
    assert parts[0] == b""
    assert parts[1].endswith(b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n")
    assert parts[2].endswith(b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n")
    assert parts[3] == b"--"


def test_if_range_sends_the_whole_once_the_object_changed(swift: SwiftBench) -> None:
    _put(swift)
    assert swift.call("GET", O, {"range": "bytes=0-1", "if-range": f'"{ETAG}"'}).status == 206
    assert swift.call("GET", O, {"range": "bytes=0-1", "if-range": '"other"'}).status == 200


def test_conditions_decide_what_is_read(swift: SwiftBench) -> None:
    _put(swift)
    modified = swift.call("HEAD", O).headers["last-modified"]
    long_ago = "Thu, 01 Jan 1970 00:00:01 GMT"
    for headers, status in (
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-match": f'"{ETAG}"'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": long_ago}, 200),
        ({"if-unmodified-since": long_ago}, 412),
        ({"if-unmodified-since": modified}, 200),
    ):
        for method in ("GET", "HEAD"):
            got = swift.call(method, O, headers)
            assert got.status == status, headers
            assert got.body == (BODY if status == 200 and method == "GET" else b"")


def test_a_put_may_ask_that_nothing_be_there(swift: SwiftBench) -> None:
    assert swift.call("PUT", O, {"if-none-match": "*"}, BODY).status == 201
    assert swift.call("PUT", O, {"if-none-match": "*"}, b"other").status == 412
    assert swift.call("PUT", O, {"if-none-match": ETAG}, b"other").status == 400
    assert swift.call("GET", O).body == BODY


def test_a_post_replaces_the_metadata_and_keeps_the_bytes(swift: SwiftBench) -> None:
    _put(swift, content_type="text/plain", x_object_meta_a="1", content_encoding="gzip")
    assert swift.call("POST", O, {"x-object-meta-b": "2"}).status == 202
    got = swift.call("GET", O)
    assert (got.body, got.headers["x-object-meta-b"]) == (BODY, "2")
    assert "x-object-meta-a" not in got.headers
    assert "content-encoding" not in got.headers
    assert got.headers["content-type"] == "text/plain"
    swift.call("POST", O, {"content-type": "text/other"})
    assert swift.call("HEAD", O).headers["content-type"] == "text/other"


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-object-meta-": "v"},
        {f"x-object-meta-{'n' * 129}": "v"},
        {"x-object-meta-n": "v" * 257},
        {f"x-object-meta-{n}": "v" for n in range(91)},
        {f"x-object-meta-{n}": "v" * 250 for n in range(17)},
        {"x-delete-at": "soon"},
        {"x-delete-at": "1"},
        {"x-delete-after": "0"},
        {"x-delete-after": "-1"},
        {"x-delete-after": "x"},
        {"x-object-manifest": "no-slash"},
        {"x-object-manifest": "c//prefix"},
        {"x-anything": "v" * 8193},
    ],
)
def test_metadata_outside_the_limits_is_refused(
    swift: SwiftBench, method: str, headers: dict[str, str]
) -> None:
    _put(swift)
    assert swift.call(method, O, headers).status == 400


def test_names_are_bytes_up_to_1024(swift: SwiftBench) -> None:
    for name in ("a//b", "..", "%2E/x", "%F0%9F%98%80", "a%20b", "a+b", "%25", "x" * 1024):
        _put(swift, f"{C}/{name}")
        assert swift.call("GET", f"{C}/{name}").body == BODY
    assert swift.call("PUT", f"{C}/{'x' * 1025}", body=BODY).status == 400
    assert swift.call("PUT", f"{C}/%FF", body=BODY).status == 412


def test_an_object_expires_at_once(swift: SwiftBench) -> None:
    _put(swift, x_delete_after="10")
    expires_s = int(swift.call("HEAD", O).headers["x-delete-at"])
    swift.fake.now_ms = expires_s * 1000 - 1
    assert swift.call("GET", O).status == 200
    swift.fake.now_ms += 1
    assert swift.call("GET", O).status == 404
    assert swift.call("POST", O, {"x-object-meta-a": "1"}).status == 404


def test_a_post_without_an_expiry_lifts_it(swift: SwiftBench) -> None:
    _put(swift, x_delete_after="10")
    swift.call("POST", O)
    assert "x-delete-at" not in swift.call("HEAD", O).headers


def test_a_length_must_be_told_and_is_limited(swift: SwiftBench) -> None:
    small = SwiftBench(limits=Limits(file_bytes_max=4), fake=swift.fake, tokens=swift.tokens)
    try:
        assert small.call("PUT", O, body=BODY).status == 413
        assert small.call("PUT", O, body=b"1234").status == 201
    finally:
        small.close()


def test_errors_are_short_pages(swift: SwiftBench) -> None:
    answer = swift.call("GET", O)
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"
    assert answer.body.startswith(b"<html><h1>Not Found</h1><p>")


def test_an_owner_reads_an_object_without_asking_for_the_container_again(swift: SwiftBench) -> None:
    _put(swift)
    swift.call("GET", O)
    before = swift.fake.reads
    swift.call("GET", O)
    assert swift.fake.reads == before + 1
