"""Cross-origin resource sharing: which rule lets a page read an answer, and the headers that say so. Pure.

A rule names origins, methods and request headers; each origin and header may hold one `*` that
stands for any text. The first rule that fits decides. Both APIs may keep their rules as they like:
this module sees only `Rule`.

Source: WHATWG, "Fetch", section "HTTP-CORS protocol"; Amazon S3 user guide, "Elements of a CORS
configuration".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.http.messages import Headers

ANY: Final = "*"
HEADERS_ASKED_MAX: Final = 100
"""A preflight that asks for more request headers than this fits no rule."""

VARY: Final = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
"""Belongs to every answer that would be another one to another origin."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What pages of some origins may do.

    `headers` are lower-case patterns of request headers, `exposed` the names of answer headers that
    a page may read. `max_age_s` is how long a browser may remember a preflight, None for as long as
    it likes.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age_s: int | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request of a page says of itself; `headers` are lower case."""

    origin: str
    method: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that fits, by which of its origins."""

    rule: Rule
    origin_pattern: str


def read_asked(headers: Headers, method: str) -> Asked:
    """Return what a request asks for; `method` counts where no header names another."""
    names = headers.get("access-control-request-headers").lower().split(",")
    asked = tuple(name for name in (name.strip() for name in names) if name)
    return Asked(headers.get("origin"), headers.get("access-control-request-method") or method, asked)


def find(rules: Sequence[Rule], asked: Asked) -> Match | None:
    """Return the first rule that fits, or None."""
    if len(asked.headers) > HEADERS_ASKED_MAX:
        return None
    for rule in rules:
        if asked.method not in rule.methods:
            continue
        for pattern in rule.origins:
            if fits(pattern, asked.origin) and _all_allowed(rule, asked.headers):
                return Match(rule, pattern)
    return None


def fits(pattern: str, text: str) -> bool:
    """Whether text is what a pattern with at most one `*` stands for."""
    before, star, after = pattern.partition(ANY)
    if not star:
        return pattern == text
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def answer_headers(match: Match, asked: Asked) -> list[tuple[str, str]]:
    """Return the headers that let a page read an answer, and a browser go on after a preflight."""
    rule = match.rule
    anyone = match.origin_pattern == ANY
    shown = [
        ("Access-Control-Allow-Origin", ANY if anyone else asked.origin),
        ("Access-Control-Allow-Methods", ", ".join(rule.methods)),
    ]
    if asked.headers:
        shown.append(("Access-Control-Allow-Headers", ", ".join(asked.headers)))
    if rule.exposed:
        shown.append(("Access-Control-Expose-Headers", ", ".join(rule.exposed)))
    if rule.max_age_s is not None:
        shown.append(("Access-Control-Max-Age", str(rule.max_age_s)))
    if not anyone:
        # Browsers refuse credentials where the answer is for anyone.
        shown.append(("Access-Control-Allow-Credentials", "true"))
    return shown


def _all_allowed(rule: Rule, names: Sequence[str]) -> bool:
    return all(any(fits(pattern, name) for pattern in rule.headers) for name in names)
