"""Heads: a request's head from its bytes, a response's head to its bytes.

httptools (llhttp) reads the header fields, for its speed and strictness; the request line is read
here, because llhttp knows a fixed list of methods and refuses bytes above 127 in a target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools

from proxy.http.messages import Headers

HEAD_BYTES_MAX: Final = 64 * 1024
HEADERS_COUNT_MAX: Final = 200
CONTENT_LENGTH_MAX: Final = 1 << 62

_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])"
)
_SCHEMES: Final = (b"http://", b"https://")
_NAMES_CACHED_MAX: Final = 1024
_names: dict[bytes, str] = {}

_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else 'Unknown'}\r\n"
    for status in range(100, 600)
}


class BadHead(Exception):
    """A head that is refused with `status`, before any handler sees it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class RequestHead:
    """The head of a request; `content_length` is None where the body is chunked."""

    method: str
    raw_path: str
    raw_query: str
    headers: Headers
    content_length: int | None
    keep_alive: bool
    expects_continue: bool
    minor_version: int


class _Fields:
    """What httptools calls back."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        known = _names.get(name)
        if known is None:
            known = name.decode("ascii").lower()
            if len(_names) < _NAMES_CACHED_MAX and len(name) < 64:
                _names[name] = known
        self.items.append((known, value.decode("utf-8", "surrogateescape").strip(" \t")))


def parse_head(head: bytes) -> RequestHead:
    """Return the request whose head, with its empty line, is `head`; raises BadHead."""
    line_end = head.find(b"\r\n")
    match = _REQUEST_LINE.fullmatch(head, 0, line_end)
    if match is None:
        raise BadHead(400, "malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise BadHead(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(b"GET / HTTP/1.1" + head[line_end:])
    except httptools.HttpParserUpgrade:
        # An offer to speak another protocol is declined by going on in this one.
        pass
    except (httptools.HttpParserError, UnicodeError) as error:
        raise BadHead(400, f"malformed header: {error}") from error
    if len(fields.items) > HEADERS_COUNT_MAX:
        raise BadHead(431, f"more than {HEADERS_COUNT_MAX} header fields")
    path, query = _split_target(target)
    headers = Headers(fields.items)
    return _with_framing(method.decode("ascii"), path, query, headers, int(minor))


def _with_framing(method: str, path: str, query: str, headers: Headers, minor_version: int) -> RequestHead:
    if minor_version and ("host" not in headers or "," in headers["host"]):
        raise BadHead(400, "exactly one Host header is needed")
    content_length: int | None = 0
    if "transfer-encoding" in headers:
        if "content-length" in headers or not minor_version:
            raise BadHead(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        if headers["transfer-encoding"].lower() != "chunked":
            raise BadHead(501, "the only transfer coding understood is chunked")
        content_length = None
    elif "content-length" in headers:
        text = headers["content-length"]
        if not (text.isascii() and text.isdigit()) or int(text) > CONTENT_LENGTH_MAX:
            raise BadHead(400, "malformed Content-Length")
        content_length = int(text)
    connection = headers.get("connection")
    if connection:
        tokens = {token.strip() for token in connection.lower().split(",")}
        keep_alive = "close" not in tokens and (minor_version == 1 or "keep-alive" in tokens)
    else:
        keep_alive = minor_version == 1
    expects_continue = (
        "expect" in headers and minor_version == 1 and headers["expect"].lower() == "100-continue"
    )
    return RequestHead(
        method, path, query, headers, content_length, keep_alive, expects_continue, minor_version
    )


def _split_target(target: bytes) -> tuple[str, str]:
    if target[:1] != b"/" and target != b"*":
        scheme = next((scheme for scheme in _SCHEMES if target[:8].lower().startswith(scheme)), None)
        if scheme is None:
            raise BadHead(400, "malformed request target")
        # The absolute form, as sent to proxies: what counts is the path.
        rest = target[len(scheme) :]
        cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        target = rest[cut:] if rest[cut : cut + 1] == b"/" else b"/" + rest[cut:]
    path, _, query = target.decode("utf-8", "surrogateescape").partition("?")
    return path, query


def encode_head(status: int, headers: list[tuple[str, str]], ending: str) -> bytes:
    """Return the bytes of a response's head.

    `ending` holds the fields that the server adds, each with its CR LF. Raises ValueError where a
    name or a value would break out of its line.
    """
    lines = [_STATUS_LINES[status]]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise ValueError("a response header holds a line break")
    return f"{text}{ending}\r\n".encode("utf-8", "surrogateescape")
