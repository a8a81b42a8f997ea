"""Requests and responses as the API packages see them, free of any server's details. Pure.

`Request` and `Response` are made by `proxy.http.protocol` and by unit tests alike: a test builds a
Request with `BodyStream.of(b"…")` and reads the Response it gets back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

Buffer = bytes | bytearray | memoryview


class Headers:
    """Header fields in order of arrival; names are lower case, values are text.

    Values are decoded as UTF-8 with surrogateescape, so that every byte a client sent survives.
    A repeated field is seen as one value joined by commas (RFC 9110, section 5.2).
    """

    __slots__ = ("_fields", "_items")

    def __init__(self, items: Sequence[tuple[str, str]] = ()) -> None:
        self._items = items
        fields: dict[str, str] = {}
        for name, value in items:
            fields[name] = f"{fields[name]},{value}" if name in fields else value
        self._fields = fields

    def get(self, name: str, default: str = "") -> str:
        """Return the value of a lower-case name, or the default."""
        return self._fields.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name]

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each name once, with its joined value."""
        return iter(self._fields.items())

    def raw(self) -> Sequence[tuple[str, str]]:
        """Return the fields as they arrived, repeats apart."""
        return self._items

    def starting(self, prefix: str) -> dict[str, str]:
        """Return the fields whose name starts with a prefix, with the prefix cut off."""
        cut = len(prefix)
        return {name[cut:]: value for name, value in self._fields.items() if name.startswith(prefix)}


class BodyStream(ABC):
    """The body of a request, read once."""

    length: int | None = None
    """Content-Length in bytes; None for a chunked body."""

    @abstractmethod
    def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the body as it arrives. Raises IncompleteBody when the client goes away.

        A yielded buffer is the receiver's to keep: the connection never writes to it again.
        """

    @abstractmethod
    async def read(self, bytes_max: int) -> Buffer:
        """Return the whole body. Raises BadRequest where it is longer than `bytes_max`."""

    @staticmethod
    def of(body: Buffer) -> BodyStream:
        """Return a body that is already here."""
        return _HeldBody(body)


class _HeldBody(BodyStream):
    def __init__(self, body: Buffer) -> None:
        self.length = len(body)
        self._body = body

    async def chunks(self) -> AsyncIterator[Buffer]:
        if self._body:
            yield self._body

    async def read(self, bytes_max: int) -> Buffer:
        from model.errors import BadRequest

        if len(self._body) > bytes_max:
            raise BadRequest(f"the body is longer than {bytes_max} bytes")
        return self._body


@dataclass(slots=True)
class Request:
    """One request, its body still to be read.

    `raw_path` and `raw_query` are as on the wire (percent-encoded, without the question mark);
    signatures are computed over them. `secure` tells whether the connection is TLS.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Headers
    body: BodyStream
    remote: str = ""
    secure: bool = False
    id: str = ""
    """The request id that every log line, node call and response of this request carries."""
    user: str = ""
    """The id of who asks, once an API has found out; for the access log."""


@dataclass(slots=True)
class Response:
    """One response.

    `body` is the whole body, or an iterator of buffers. An iterator comes with `length`, or is sent
    chunked where `length` is None. For HEAD, set `length` to what GET would send and leave the body
    empty: the server writes Content-Length from `length`.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Buffer | AsyncIterator[Buffer] = b""
    length: int | None = None
    close: bool = False
    """Close the connection after this response."""
