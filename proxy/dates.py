"""Dates as HTTP, S3 and Swift write and read them. Pure.

Moments are whole seconds, milliseconds or microseconds since the epoch, as each name says; texts are
always UTC.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_tz
from functools import lru_cache
from typing import Final

from model.stamp import Stamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HYBRIDS_A_SECOND: Final = 1000 << 16
_ISO: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d+))?)?)?(Z|[+-]\d\d:?\d\d)?$"
)


@lru_cache(maxsize=8192)
def http_date(moment_s: int) -> str:
    """Return the IMF-fixdate of a second (RFC 9110, section 5.6.7)."""
    return formatdate(moment_s, usegmt=True)


@lru_cache(maxsize=1024)
def parse_http_date(text: str) -> int | None:
    """Return the seconds since the epoch of an HTTP date in any of its three forms, or None."""
    parsed = parsedate_tz(text)
    if parsed is None:
        return None
    try:
        moment_s = timegm((*parsed[:6], 0, 0, 0))
    except (ValueError, OverflowError):
        return None
    return moment_s - (parsed[9] or 0)


def whole_seconds_up(moment_ms: int) -> int:
    """Return the first whole second that is not before a moment: what Swift shows as Last-Modified."""
    return -(-moment_ms // 1000)


def iso_micros(moment_us: int) -> str:
    """Return a moment as Swift's listings write it: `2013-06-04T05:22:55.123450`, without a zone."""
    whole_s, rest_us = divmod(moment_us, 1_000_000)
    return f"{iso_second(whole_s)}.{rest_us:06}"


def iso_of_stamp(stamp: Stamp) -> str:
    """Return the moment of a stamp as `iso_micros` writes it."""
    hybrid = int.from_bytes(stamp[:8], "big")
    return f"{iso_second(hybrid // _HYBRIDS_A_SECOND)}.{iso_fraction(hybrid):06}"


def iso_fraction(hybrid: int) -> int:
    """Return the microseconds into its second of a stamp's first 64 bits, milliseconds and counter."""
    return hybrid % _HYBRIDS_A_SECOND * 1000 >> 16


def iso_millis(moment_ms: int) -> str:
    """Return a moment as S3's listings write it: `2013-06-04T05:22:55.123Z`."""
    whole_s, rest_ms = divmod(moment_ms, 1000)
    return f"{iso_second(whole_s)}.{rest_ms:03}Z"


def decimal_seconds(moment_us: int) -> str:
    """Return a moment as Swift's X-Timestamp writes it: seconds with five decimals."""
    whole_s, rest_us = divmod(moment_us, 1_000_000)
    return f"{whole_s:010}.{rest_us // 10:05}"


def parse_iso(text: str) -> int | None:
    """Return the milliseconds since the epoch of an ISO 8601 text (basic or extended), or None."""
    match = _ISO.match(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        return None
    moment_ms = (moment - _EPOCH) // timedelta(milliseconds=1) + int((fraction or "").ljust(3, "0")[:3])
    if zone and zone != "Z":
        offset_minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        moment_ms -= (offset_minutes if zone[0] == "+" else -offset_minutes) * 60_000
    return moment_ms


# A listing's names were mostly written within few seconds of one another.
@lru_cache(maxsize=4096)
def iso_second(moment_s: int) -> str:
    """Return a second as `iso_micros` begins with it."""
    return (_EPOCH + timedelta(seconds=moment_s)).strftime("%Y-%m-%dT%H:%M:%S")
