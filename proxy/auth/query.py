"""Percent-encoding as SigV4 and S3 use it: parsed query strings and canonical paths. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

Pairs = Sequence[tuple[str, str]]
"""Query parameters in order of arrival, decoded."""

_UNRESERVED: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PLAIN_IN_PATH: Final = _UNRESERVED + "/"


def decode(text: str) -> str:
    """Return percent-encoded text decoded; bytes that are not UTF-8 become surrogate escapes."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def encode(text: str, *, safe: str = "") -> str:
    """Return text percent-encoded but for unreserved characters and those in `safe`."""
    if not text.rstrip(_UNRESERVED + safe):
        return text
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe=safe + "~")


def parse_query(raw: str) -> list[tuple[str, str]]:
    """Return the parameters of a raw query string; a plus sign is a space, a bare name has no value."""
    pairs: list[tuple[str, str]] = []
    if not raw:
        return pairs
    for field in raw.split("&"):
        if field:
            if "+" in field:
                field = field.replace("+", " ")
            name, _, value = field.partition("=")
            pairs.append((decode(name), decode(value)))
    return pairs


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return parameters encoded and sorted as a canonical request wants them."""
    encoded = sorted((encode(name), encode(value)) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded])


def canonical_path(raw_path: str) -> str:
    """Return a path as sent, decoded once and encoded once: the canonical URI of S3."""
    if not raw_path.rstrip(_PLAIN_IN_PATH):
        return raw_path or "/"
    return encode(decode(raw_path), safe="/")
