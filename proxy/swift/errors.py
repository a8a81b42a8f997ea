"""From errors to Swift's statuses: one table, and the short pages that go with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from http import HTTPStatus
from typing import Final

from model.errors import (
    Absent,
    BadDigest,
    BadRequest,
    ColonnadeError,
    Conflict,
    CorruptRecord,
    Denied,
    DeviceFull,
    Encrypted,
    IncompleteBody,
    InvalidRange,
    MasterKeyDisabled,
    MasterKeyLost,
    PreconditionFailed,
    Unavailable,
)
from proxy.http.messages import Response
from proxy.ranges import unsatisfied_range

HeaderList = Sequence[tuple[str, str]]

_STATUS: Final[tuple[tuple[type[ColonnadeError], int], ...]] = (
    # The first class that fits decides, so the narrower stand before the wider.
    (InvalidRange, 416),
    (BadDigest, 422),
    (BadRequest, 400),
    (Absent, 404),
    (PreconditionFailed, 412),
    (Conflict, 409),
    (Denied, 403),
    (MasterKeyLost, 503),
    (MasterKeyDisabled, 503),
    (Encrypted, 403),
    (DeviceFull, 507),
    (Unavailable, 503),
    (IncompleteBody, 499),
    (CorruptRecord, 503),
)
_REASONS: Final = {
    202: "The request is accepted.",
    400: "The request is malformed, or asks for what cannot be.",
    401: "Sign in to see what is here.",
    403: "You may not do this here.",
    404: "There is nothing of this name.",
    405: "This method does nothing here.",
    406: "None of the formats you accept is served here.",
    409: "What is stored forbids the request.",
    411: "Content-Length is required.",
    412: "A condition of the request does not hold.",
    413: "The request is too large.",
    416: "The range lies outside the object.",
    422: "The body does not fit what was said of it.",
    499: "The client went away.",
    500: "The request failed.",
    503: "The colony cannot answer now; try again.",
    507: "There is no room for this.",
}
_TITLES: Final = {416: "Requested Range Not Satisfiable", 499: "Client Disconnect", 500: "Internal Error"}
HTML: Final = "text/html; charset=UTF-8"
PLAIN: Final = "text/plain; charset=UTF-8"


class Refused(ColonnadeError):
    """Swift's own refusal of a request: a status, and a text for the client or the standard page."""

    def __init__(
        self, status: int, text: str = "", *, content_type: str = "", headers: HeaderList = ()
    ) -> None:
        super().__init__(text or _REASONS.get(status, ""))
        self.status = status
        self.text = text
        self.content_type = content_type
        self.headers = headers


def refused_plainly(status: int, text: str) -> Refused:
    """Return a refusal whose text is plain text, as Swift sends for what it checks itself."""
    return Refused(status, text, content_type=PLAIN)


def status_of(error: ColonnadeError) -> int:
    """Return the status that an error is answered with."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def status_title(status: int) -> str:
    """Return the reason phrase of a status, as Swift words it."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def status_line(status: int) -> str:
    """Return a status as reports show it: `404 Not Found`."""
    return f"{status} {status_title(status)}"


def standard_page(status: int) -> bytes:
    """Return the short page of a status: a heading and a sentence."""
    title = status_title(status)
    return f"<html><h1>{title}</h1><p>{escape(_REASONS.get(status, title))}</p></html>".encode()


def error_response(error: ColonnadeError) -> Response:
    """Return the response to an error."""
    status = status_of(error)
    if isinstance(error, Refused):
        body = error.text.encode("utf-8", "surrogateescape") if error.text else standard_page(status)
        return Response(status, [("Content-Type", error.content_type or HTML), *error.headers], body)
    if isinstance(error, Encrypted):
        # The standard page says nothing of keys, and the account's owner may not know of any.
        return Response(status, [("Content-Type", PLAIN)], f"{error}\n".encode())
    headers = [("Content-Type", HTML)]
    if isinstance(error, InvalidRange):
        headers.append(("Content-Range", unsatisfied_range(error.size)))
    return Response(status, headers, standard_page(status), close=isinstance(error, IncompleteBody))
