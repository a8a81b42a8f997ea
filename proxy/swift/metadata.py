"""Metadata headers: reading and checking those of a request, writing those of a response. Pure.

Header names are lower case here. Source: OpenStack Object Storage API reference, and the limits
that its `/info` announces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from model.containers import META
from proxy.http.messages import Headers
from proxy.swift.errors import refused_plainly
from proxy.swift.limits import Limits

STORED_HEADERS: Final = (
    "content-encoding",
    "content-disposition",
    "cache-control",
    "content-language",
    "expires",
    "x-robots-tag",
    "x-object-manifest",
)
"""Headers of an object that are stored with it and given back."""


def check_headers(headers: Headers, kind: str, limits: Limits) -> dict[str, str]:
    """Return the user metadata (`x-KIND-meta-…`) of a request. Raises Refused beyond the limits."""
    prefix = f"x-{kind}-meta-"
    cut = len(prefix)
    found: dict[str, str] = {}
    overall = 0
    for name, value in headers.items():
        if len(value) > limits.header_bytes_max:
            raise refused_plainly(400, f"Header value too long: {name[: limits.meta_name_bytes_max]}")
        if not name.startswith(prefix):
            continue
        short = name[cut:]
        found[short] = value
        overall += _check_item(short, value, prefix=prefix, limits=limits)
    if found:
        _check_whole(len(found), overall, limits)
    return found


def _check_item(short: str, value: str, *, prefix: str, limits: Limits) -> int:
    if not short:
        raise refused_plainly(400, "Metadata name cannot be empty")
    name_bytes = len(short.encode("utf-8", "surrogateescape"))
    value_bytes = len(value.encode("utf-8", "surrogateescape"))
    if prefix != "x-object-meta-" and not _is_utf8(short + value):
        raise refused_plainly(400, "Metadata must be valid UTF-8")
    if name_bytes > limits.meta_name_bytes_max:
        raise refused_plainly(400, f"Metadata name too long: {prefix}{short}")
    if value_bytes > limits.meta_value_bytes_max:
        raise refused_plainly(
            400, f"Metadata value longer than {limits.meta_value_bytes_max}: {prefix}{short}"
        )
    return name_bytes + value_bytes


def _check_whole(count: int, overall_bytes: int, limits: Limits) -> None:
    if count > limits.meta_count_max:
        raise refused_plainly(400, f"Too many metadata items; max {limits.meta_count_max}")
    if overall_bytes > limits.meta_overall_bytes_max:
        raise refused_plainly(400, f"Total metadata too large; max {limits.meta_overall_bytes_max}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def changed_metadata(headers: Headers, kind: str, limits: Limits) -> dict[str, str]:
    """Return what a request changes of a container's or account's metadata; "" removes.

    `x-remove-KIND-meta-NAME` removes too. Raises Refused.
    """
    changes = check_headers(headers, kind, limits)
    for short in headers.starting(f"x-remove-{kind}-meta-"):
        changes.setdefault(short, "")
    return changes


def check_total(stored: Mapping[str, str], changes: Mapping[str, str], limits: Limits) -> None:
    """Check the metadata as it will be once the changes are made. Raises Refused."""
    whole = {name: value for name, value in {**stored, **changes}.items() if value}
    overall = sum(len(name.encode()) + len(value.encode()) for name, value in whole.items())
    _check_whole(len(whole), overall, limits)


def metadata_registers(changes: Mapping[str, str]) -> dict[str, bytes]:
    """Return changes of metadata as side registers of a container's entry."""
    return {META + name: value.encode("utf-8", "surrogateescape") for name, value in changes.items()}


def metadata_of(settings: Mapping[str, bytes]) -> dict[str, str]:
    """Return the user metadata among a container's registers."""
    cut = len(META)
    return {
        name[cut:]: value.decode("utf-8", "surrogateescape")
        for name, value in settings.items()
        if name.startswith(META) and value
    }


@lru_cache(maxsize=4096)
def header_name(prefix: str, short: str) -> str:
    """Return a header name in the customary capitals: `X-Object-Meta-` and `color` give `…-Color`."""
    return prefix + "-".join(word.capitalize() if word.isascii() else word for word in short.split("-"))
