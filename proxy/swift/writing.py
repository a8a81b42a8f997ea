"""What every write of an object shares: its checks, its precondition, its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from model.errors import BadDigest, PreconditionFailed
from model.names import ObjectPath
from proxy.conditions import ANY, Conditions, Verdict, judge_write
from proxy.dates import http_date
from proxy.http.messages import BodyStream, Buffer, Headers, Response
from proxy.operations.types import BodySource, Digests, Precondition, StoredObject
from proxy.swift.call import Call
from proxy.swift.errors import HTML, Refused, refused_plainly
from proxy.swift.limits import Limits
from proxy.swift.metadata import check_headers
from proxy.swift.object_headers import last_modified_s


def write_precondition(headers: Headers) -> Precondition | None:
    """Return what must hold of what is stored: Swift knows only `If-None-Match: *`. Raises Refused."""
    text = headers.get("if-none-match")
    if not text:
        return None
    if text.strip() != ANY:
        raise refused_plainly(400, "If-None-Match only supports *")
    conditions = Conditions(if_none_match=(ANY,))

    def absent(stored: StoredObject | None) -> None:
        if judge_write(conditions, None if stored is None else stored.record.etag) is Verdict.FAILED:
            raise PreconditionFailed("the object exists")

    return absent


def check_object_name(path: ObjectPath, limits: Limits) -> None:
    """Raise Refused where the object's name is too long."""
    name_bytes = len(path.name.encode("utf-8", "surrogateescape"))
    if name_bytes > limits.object_name_bytes_max:
        raise refused_plainly(
            400, f"Object name length of {name_bytes} longer than {limits.object_name_bytes_max}"
        )


def requested_metadata(call: Call) -> dict[str, str]:
    """Return the user metadata of a new object; items without a value are left out. Raises Refused."""
    user = check_headers(call.headers, "object", call.limits)
    return {name: value for name, value in user.items() if value}


def checked_body(call: Call) -> BodySource:
    """Return the body of a PUT. Raises Refused where its length is not told or too large."""
    headers, body = call.headers, call.request.body
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise refused_plainly(411, "Missing Content-Length header.")
    if body.length is None:
        return _LimitedBody(body, call.limits.file_bytes_max)
    if body.length > call.limits.file_bytes_max:
        raise refused_plainly(413, "Your request is too large.")
    return body


class _LimitedBody:
    """A chunked body, which tells its length only at its end."""

    length: int | None = None

    def __init__(self, body: BodyStream, bytes_max: int) -> None:
        self._body = body
        self._bytes_max = bytes_max

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the body. Raises Refused once it is too large."""
        taken = 0
        async for chunk in self._body.chunks():
            taken += len(chunk)
            if taken > self._bytes_max:
                raise refused_plainly(413, "Your request is too large.")
            yield chunk


def etag_verifier(stated: str) -> Callable[[Digests], None] | None:
    """Return a check that a body has the MD5 that its sender stated, or None where none was."""
    if not stated:
        return None

    def verify(digests: Digests) -> None:
        if digests.md5 != stated:
            raise BadDigest(f"the body's MD5 is {digests.md5}, stated was {stated}")

    return verify


def created(stored: StoredObject, shown_etag: str) -> Response:
    """Return the answer to a write that succeeded."""
    return Response(
        201,
        [
            ("Content-Type", HTML),
            ("Etag", shown_etag),
            ("Last-Modified", http_date(last_modified_s(stored.modified))),
        ],
    )


def require_empty_body(call: Call) -> None:
    """Raise Refused where a request that takes none brings a body."""
    if call.request.body.length != 0:
        raise Refused(400, "Copy requests require a zero byte body", content_type="text/plain")
