"""A model of what a store may hold, given what each client was told.

Every key has one writer, so its history is a sequence. A write that failed may have taken effect or may
do so later; seeing it, or a later one, rules out what came before.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

ABSENT = None


def digest_of(body: bytes) -> str:
    """Return what the model remembers of a body."""
    return hashlib.sha256(body).hexdigest()


@dataclass
class KeyHistory:
    """What a key may hold: the last thing known for sure, then writes of unknown outcome, in order."""

    possible: list[str | None] = field(default_factory=lambda: [ABSENT])

    def done(self, value: str | None) -> None:
        """A write was acknowledged: nothing earlier may be seen again."""
        self.possible = [value]

    def unsure(self, value: str | None) -> None:
        """A write ended in an error: it may or may not have happened."""
        self.possible.append(value)

    def saw(self, value: str | None) -> str | None:
        """A read returned a value; return what is wrong with it, or None."""
        if value not in self.possible:
            return f"read {value!r}, possible were {self.possible!r}"
        # Where several writes wrote this value, it may be the first of them: rule out no more than that.
        self.possible = self.possible[self.possible.index(value) :]
        return None

    @property
    def must_exist(self) -> bool:
        """Whether a listing has to show the key."""
        return ABSENT not in self.possible

    @property
    def may_exist(self) -> bool:
        """Whether a listing may show the key."""
        return any(value is not ABSENT for value in self.possible)


class Findings:
    """Violations found by several threads, and counts of what was done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.violations: list[str] = []
        self.counts: dict[str, int] = {}

    def violation(self, text: str) -> None:
        """Note a violation."""
        with self._lock:
            self.violations.append(text)

    def count(self, what: str) -> None:
        """Count something done."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1
