"""Query parameters of the Swift API, and the listing that they ask for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from model.listing import Query
from proxy.swift.errors import Refused, refused_plainly

_TRUE: Final = frozenset(("true", "1", "yes", "on", "t", "y"))
_CHECKED: Final = ("marker", "end_marker", "prefix", "delimiter", "path", "format", "reverse", "limit")
Parameters = dict[str, str]


def is_true(value: str) -> bool:
    """Return whether a parameter or header says yes."""
    return value.strip().lower() in _TRUE


def parse_parameters(raw_query: str) -> Parameters:
    """Return the parameters of a query by name; of one that is repeated the last counts."""
    if not raw_query:
        return {}
    try:
        return dict(
            parse_qsl(raw_query, keep_blank_values=True, errors="surrogateescape", max_num_fields=200)
        )
    except ValueError as error:
        raise Refused(400) from error


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """What a listing asks for: the query, and for `?path=` the pseudo-folder that is not shown itself."""

    query: Query
    hidden_name: bytes = b""
    in_folder: bool = False
    """With `?path=`, only real names are shown: common prefixes only where an object bears their name."""


def listing_request(parameters: Parameters, *, limit_max: int) -> ListingRequest:
    """Return the listing that the parameters ask for. Raises Refused."""
    raw = {name: _utf8(name, parameters[name]) for name in _CHECKED if name in parameters}
    prefix, delimiter, hidden, in_folder = raw.get("prefix", b""), raw.get("delimiter", b""), b"", False
    if "path" in raw:
        folder = raw["path"].rstrip(b"/")
        prefix = folder + b"/" if raw["path"] else b""
        delimiter, hidden, in_folder = b"/", prefix, True
    query = Query(
        prefix=prefix,
        delimiter=delimiter,
        marker=raw.get("marker", b""),
        end_marker=raw.get("end_marker", b""),
        limit=_limit(parameters.get("limit", ""), limit_max),
        reverse=is_true(parameters.get("reverse", "")),
    )
    return ListingRequest(query, hidden, in_folder)


def _limit(text: str, limit_max: int) -> int:
    if not (text.isascii() and text.isdigit()):
        return limit_max
    limit = int(text[:20])
    if limit > limit_max:
        raise Refused(412, f"Maximum limit is {limit_max}")
    return limit


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise refused_plainly(400, f'"{name}" parameter not valid UTF-8') from error
