"""X-Delete-At and X-Delete-After: when a request wants an object to expire. Pure."""

from __future__ import annotations

from typing import Final

from proxy.http.messages import Headers
from proxy.swift.errors import refused_plainly

_SECONDS_MAX: Final = 9_999_999_999


def requested_expiry(headers: Headers, now_s: float) -> int:
    """Return the second at which the request wants the object to expire, 0 for never. Raises Refused."""
    if "x-delete-after" in headers:
        after_s = _whole_number(headers["x-delete-after"], "X-Delete-After")
        if after_s < 1:
            raise refused_plainly(400, "X-Delete-After in past")
        return min(int(now_s) + after_s, _SECONDS_MAX)
    if "x-delete-at" in headers:
        at_s = _whole_number(headers["x-delete-at"], "X-Delete-At")
        if at_s <= now_s:
            raise refused_plainly(400, "X-Delete-At in past")
        return min(at_s, _SECONDS_MAX)
    return 0


def _whole_number(text: str, header: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise refused_plainly(400, f"Non-integer {header}") from error
