"""Heads of requests and responses: what is read, what is refused, what is written."""

from __future__ import annotations

import pytest

from proxy.http.heads import HEADERS_COUNT_MAX, BadHead, encode_head, parse_head


def head(line: str = "GET / HTTP/1.1", *fields: str) -> bytes:
    lines = [line, *(fields if any(field.startswith("Host") for field in fields) else ("Host: h", *fields))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def test_a_head_is_read_as_it_was_sent() -> None:
    parsed = parse_head(
        head(
            "PUT /b/k%20%C3%A9?a=b?c&d HTTP/1.1",
            "X-Amz-Meta-A:  b c \t",
            "Content-Length: 12",
            "a: 1",
            "A: 2",
        )
    )
    assert (parsed.method, parsed.raw_path, parsed.raw_query) == ("PUT", "/b/k%20%C3%A9", "a=b?c&d")
    assert parsed.headers["x-amz-meta-a"] == "b c"
    assert parsed.headers["a"] == "1,2"
    assert parsed.content_length == 12
    assert parsed.keep_alive
    assert not parsed.expects_continue


def test_bytes_beyond_ascii_survive_in_targets_and_values() -> None:
    parsed = parse_head(b"GET /\xc3\xa9/\xff HTTP/1.1\r\nHost: h\r\nx: \xc3\xa9\xff\r\n\r\n")
    assert parsed.raw_path.encode("utf-8", "surrogateescape") == b"/\xc3\xa9/\xff"
    assert parsed.headers["x"].encode("utf-8", "surrogateescape") == b"\xc3\xa9\xff"


def test_any_method_is_let_through_to_the_handler() -> None:
    for method in ("COPY", "LICK", "PRI", "CONNECT", "BAD_METHOD"):
        assert parse_head(head(f"{method} / HTTP/1.1")).method == method


def test_absolute_targets_mean_their_path() -> None:
    for target, path, query in [
        ("http://h/a?b", "/a", "b"),
        ("HTTPS://h", "/", ""),
        ("http://h?x=/", "/", "x=/"),
        ("*", "*", ""),
    ]:
        parsed = parse_head(head(f"GET {target} HTTP/1.1"))
        assert (parsed.raw_path, parsed.raw_query) == (path, query)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "TE, Close", False),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_a_connection_is_kept_as_the_version_says(version: str, connection: str, kept: bool) -> None:
    fields = [f"Connection: {connection}"] if connection else []
    assert parse_head(head(f"GET / HTTP/{version}", *fields)).keep_alive is kept


def test_an_offer_to_upgrade_is_declined_by_going_on() -> None:
    assert parse_head(
        head("GET / HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
    ).keep_alive


def test_only_100_continue_is_an_expectation() -> None:
    assert parse_head(head("PUT / HTTP/1.1", "Expect: 100-Continue")).expects_continue
    assert not parse_head(head("PUT / HTTP/1.1", "Expect: 200")).expects_continue
    assert not parse_head(head("PUT / HTTP/1.0", "Expect: 100-continue")).expects_continue


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], 400),
        (["Content-Length: 5", "Content-Length: 5"], 400),
        (["Content-Length: 5, 5"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: -5"], 400),
        (["Content-Length: 0x5"], 400),
        (["Content-Length: "], 400),
        (["Content-Length: 99999999999999999999999"], 400),
        (["Transfer-Encoding: xchunked"], 400),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Content-Length : 5"], 400),
        (["a: b\r\n folded"], 400),
        (["a: b\nc: d"], 400),
        (["a: b\rc"], 400),
        (["a: b\0c"], 400),
        (["no colon"], 400),
        ([": empty"], 400),
        (["Host: a", "Host: b"], 400),
        (["a: b"] * (HEADERS_COUNT_MAX + 1), 431),
    ],
)
def test_ambiguous_heads_are_refused(fields: list[str], status: int) -> None:
    with pytest.raises(BadHead) as caught:
        parse_head(head("PUT / HTTP/1.1", *fields))
    assert caught.value.status in (status, 400 if "chunked" in fields[0] else status)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET /\t HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET /\x01 HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
    ],
)
def test_malformed_request_lines_are_refused(line: str, status: int) -> None:
    with pytest.raises(BadHead) as caught:
        parse_head(head(line))
    assert caught.value.status == status


def test_http_1_1_needs_a_host_and_1_0_does_not() -> None:
    with pytest.raises(BadHead):
        parse_head(b"GET / HTTP/1.1\r\na: b\r\n\r\n")
    assert parse_head(b"GET / HTTP/1.0\r\na: b\r\n\r\n").minor_version == 0
    with pytest.raises(BadHead):
        parse_head(b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_a_response_head_is_written_as_given() -> None:
    assert encode_head(404, [("ETag", '"x"'), ("x", "é")], "Content-Length: 0\r\n") == (
        'HTTP/1.1 404 Not Found\r\nETag: "x"\r\nx: é\r\nContent-Length: 0\r\n\r\n'.encode()
    )
    assert encode_head(498, [], "").startswith(b"HTTP/1.1 498 ")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "\r\n\r\n<html>"])
def test_a_value_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_head(200, [("x", value)], "")
