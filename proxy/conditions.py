"""Conditional requests: the headers that make one, and whether they hold. Pure.

Source: RFC 9110, section 13, precedence of 13.2.2. The size and the modification time of S3's
conditional DELETE are here too. ETags are compared without quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.dates import parse_http_date
from proxy.http.messages import Headers

ANY: Final = "*"
# A quoted tag may hold commas; what is not well quoted is taken as it stands, up to the next comma.
_TAG: Final = re.compile(r'\s*(W/)?(?:"([^"]*)"\s*|([^,]*))(?:,|$)')


class Verdict(Enum):
    """What the conditions of a request say."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    """The client has what a GET or HEAD would send: 304."""
    FAILED = "failed"
    """412."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold for a request to be performed.

    ETags are without quotes, `*` stands for any; an empty tuple means that the header was absent.
    Times are seconds since the epoch. `if_size` and `if_modified_at` compare for equality.
    """

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since: int | None = None
    if_unmodified_since: int | None = None
    if_size: int | None = None
    if_modified_at: int | None = None

    @property
    def decides_writes(self) -> bool:
        """Whether a write under these conditions must have exactly one winner."""
        return bool(
            self.if_match
            or self.if_none_match
            or self.if_unmodified_since is not None
            or self.if_size is not None
            or self.if_modified_at is not None
        )


NONE: Final = Conditions()
_NAMES: Final = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def read_conditions(headers: Headers, prefix: str = "") -> Conditions:
    """Return the conditions among the headers; `prefix` such as `x-amz-copy-source-` selects others.

    A date that cannot be read is as if it were absent (RFC 9110, section 13.1.3).
    """
    names = tuple(prefix + name for name in _NAMES) if prefix else _NAMES
    if not any(name in headers for name in names):
        return NONE
    match, none_match, modified, unmodified = names
    return Conditions(
        if_match=parse_etags(headers.get(match), weak=False),
        if_none_match=parse_etags(headers.get(none_match), weak=True),
        if_modified_since=parse_http_date(headers.get(modified)),
        if_unmodified_since=parse_http_date(headers.get(unmodified)),
    )


def parse_etags(text: str, *, weak: bool) -> tuple[str, ...]:
    """Return the ETags of a list, without quotes; weak ones never match where `weak` is false.

    Tags without quotes are taken too, as clients send them.
    """
    if not text.strip():
        return ()
    tags = []
    for mark, quoted, bare in _TAG.findall(text):
        if mark and not weak:
            # Kept as a tag that no stored ETag equals: the condition was made, and must fail.
            tags.append(f'W/"{quoted}"')
        elif quoted or bare.strip():
            tags.append(quoted or bare.strip())
    return tuple(tags) or ('""',)


def judge_read(conditions: Conditions, etag: str, modified_s: int) -> Verdict:
    """Return what the conditions say of a GET or HEAD of an object that exists.

    `modified_s` is the second that the API shows as Last-Modified.
    """
    if conditions is NONE:
        return Verdict.PROCEED
    if not _unchanged(conditions, etag, modified_s):
        return Verdict.FAILED
    if conditions.if_none_match:
        return Verdict.NOT_MODIFIED if _among(etag, conditions.if_none_match) else Verdict.PROCEED
    since = conditions.if_modified_since
    if since is not None and modified_s <= since:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def judge_write(conditions: Conditions, etag: str | None, modified_s: int = 0, size: int = 0) -> Verdict:
    """Return what the conditions say of a PUT, POST or DELETE; `etag` is None where nothing exists.

    The answer is PROCEED or FAILED.
    """
    if conditions is NONE:
        return Verdict.PROCEED
    if etag is None:
        return Verdict.FAILED if conditions.if_match else Verdict.PROCEED
    if not _unchanged(conditions, etag, modified_s) or _among(etag, conditions.if_none_match):
        return Verdict.FAILED
    if conditions.if_size is not None and conditions.if_size != size:
        return Verdict.FAILED
    if conditions.if_modified_at is not None and conditions.if_modified_at != modified_s:
        return Verdict.FAILED
    return Verdict.PROCEED


def _unchanged(conditions: Conditions, etag: str, modified_s: int) -> bool:
    if conditions.if_match:
        return _among(etag, conditions.if_match)
    limit = conditions.if_unmodified_since
    return limit is None or modified_s <= limit


def _among(etag: str, tags: tuple[str, ...]) -> bool:
    return etag in tags or ANY in tags
