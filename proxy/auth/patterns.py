"""Patterns of policies: literals, `*` and `?`, and variables such as `${aws:username}`. Pure.

Matching costs at most the length of the pattern times that of the text, whatever the pattern: pieces
between stars are looked for from left to right, and none is ever looked for again.
Source: AWS IAM user guide, "IAM policy elements: Variables and tags".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

Lookup = Callable[[str], Sequence[str] | None]
"""Tells the values of a condition key by its lower-case name; None where the request has none."""

_VARIABLE: Final = re.compile(r"""\$\{([^{}'",]*)(?:,\s*'([^'{}]*)')?\}""")
_LITERALS: Final = frozenset("*?$")
"""`${*}`, `${?}` and `${$}` stand for the characters themselves."""


class InvalidPattern(ValueError):
    """A variable of a pattern is not one."""


class _Wild(Enum):
    ANY = "?"
    STAR = "*"


@dataclass(frozen=True, slots=True)
class _Variable:
    key: str
    default: str | None


_Token = str | _Wild | _Variable


class Wildcards(Enum):
    """What `*` and `?` mean in a pattern."""

    MATCH = "they match"
    LITERAL = "they are characters like others"


class Variables(Enum):
    """What `${…}` means in a pattern: policies of version 2008-10-17 know no variables."""

    REPLACED = "the value of a key"
    LITERAL = "characters like others"


class Case(Enum):
    """Whether case matters."""

    EXACT = "exact"
    IGNORED = "ignored"


class Pattern:
    """A pattern, compiled."""

    __slots__ = ("_case", "_matcher", "_tokens", "text")

    def __init__(
        self,
        text: str,
        wildcards: Wildcards = Wildcards.MATCH,
        variables: Variables = Variables.LITERAL,
        case: Case = Case.EXACT,
    ) -> None:
        """Raises InvalidPattern."""
        self.text = text
        self._case = case
        self._tokens = _read(text, wildcards, variables)
        fixed = not any(isinstance(token, _Variable) for token in self._tokens)
        self._matcher = _Matcher(self._tokens, case) if fixed else None

    @property
    def is_fixed(self) -> bool:
        """Whether the pattern matches one text only, whoever asks."""
        return all(isinstance(token, str) for token in self._tokens)

    def needs(self) -> Iterable[str]:
        """Yield the keys of variables that have no default."""
        for token in self._tokens:
            if isinstance(token, _Variable) and token.default is None:
                yield token.key

    def matches(self, text: str, lookup: Lookup) -> bool:
        """Whether the whole text fits; it does not where a variable has no one value."""
        if self._matcher is not None:
            return self._matcher.matches(text)
        resolved: list[_Token] = []
        for token in self._tokens:
            if isinstance(token, _Variable):
                value = resolve(token.key, token.default, lookup)
                if value is None:
                    return False
                resolved.append(value)
            else:
                resolved.append(token)
        return _Matcher(resolved, self._case).matches(text)


def resolve(key: str, default: str | None, lookup: Lookup) -> str | None:
    """Return the one value of a variable, its default where it has none, or None."""
    values = lookup(key)
    if values and len(values) == 1:
        return values[0]
    return default if not values else None


def _read(text: str, wildcards: Wildcards, variables: Variables) -> tuple[_Token, ...]:
    if variables is Variables.LITERAL or "${" not in text:
        return tuple(_plain(text, wildcards))
    tokens: list[_Token] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        tokens += _outside(text[at : found.start()], wildcards)
        name, default = found[1].strip(), found[2]
        if name in _LITERALS and default is None:
            tokens.append(name)
        elif name:
            tokens.append(_Variable(name.lower(), default))
        else:
            raise InvalidPattern(f"a variable without a name in {text!r}")
        at = found.end()
    tokens += _outside(text[at:], wildcards)
    return tuple(tokens)


def _outside(text: str, wildcards: Wildcards) -> Iterable[_Token]:
    if "${" in text:
        raise InvalidPattern(f"a variable that is not closed in {text!r}")
    return _plain(text, wildcards)


def _plain(text: str, wildcards: Wildcards) -> Iterable[_Token]:
    if wildcards is Wildcards.LITERAL:
        if text:
            yield text
        return
    for piece in re.split(r"([*?])", text):
        if piece == "*":
            yield _Wild.STAR
        elif piece == "?":
            yield _Wild.ANY
        elif piece:
            yield piece


class _Piece:
    """What stands between two stars: characters, some of them any."""

    __slots__ = ("_literal", "_shape", "length")

    def __init__(self, tokens: Sequence[_Token]) -> None:
        texts = [token for token in tokens if isinstance(token, str)]
        self.length = sum(map(len, texts)) + len(tokens) - len(texts)
        self._literal = "".join(texts)
        self._shape: re.Pattern[str] | None = None
        if len(texts) != len(tokens):
            source = "".join([re.escape(token) if isinstance(token, str) else "." for token in tokens])
            self._shape = re.compile(source, re.DOTALL)

    def at(self, text: str, start: int) -> bool:
        if self._shape is None:
            return text.startswith(self._literal, start)
        return self._shape.match(text, start) is not None

    def find(self, text: str, start: int, end: int) -> int:
        """Return where the piece stands first in text[start:end], -1 where it does not."""
        if self._shape is None:
            return text.find(self._literal, start, end)
        found = self._shape.search(text, start, end)
        return -1 if found is None else found.start()


class _Matcher:
    """A pattern without variables."""

    __slots__ = ("_case", "_pieces")

    def __init__(self, tokens: Iterable[_Token], case: Case) -> None:
        self._case = case
        groups: list[list[_Token]] = [[]]
        for token in tokens:
            if token is _Wild.STAR:
                groups.append([])
            else:
                folded = token.lower() if isinstance(token, str) and case is Case.IGNORED else token
                groups[-1].append(folded)
        self._pieces = [_Piece(group) for group in groups]

    def matches(self, text: str) -> bool:
        if self._case is Case.IGNORED:
            text = text.lower()
        first, *more = self._pieces
        if not more:
            return len(text) == first.length and first.at(text, 0)
        last = more.pop()
        end = len(text) - last.length
        at = first.length
        if at > end or not first.at(text, 0) or not last.at(text, end):
            return False
        for piece in more:
            found = piece.find(text, at, end)
            if found < 0:
                return False
            at = found + piece.length
        return True
