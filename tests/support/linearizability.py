"""Whether what clients saw of one register could have happened one operation at a time. Pure.

A search over orders of the operations that keep to real time, remembering states seen before.
Source: Wing & Gong, "Testing and Verifying Concurrent Objects", 1993; Lowe, "Testing for
Linearizability", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

Value = str | None
"""What a register holds; None for nothing."""


class Act(Enum):
    """What an operation did."""

    READ = "read"
    WRITE = "write"
    SWAP = "swap"
    """Wrote a value where the register held `expected`, and found that it did."""
    MISS = "miss"
    """Found the register to hold something else than the value, whatever it was."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as its client saw it.

    `begun` and `ended` are places in the one order of all events. An operation without an end may
    have taken effect at any time after its beginning, or never.
    """

    act: Act
    value: Value
    begun: int
    ended: int | None = None
    who: str = ""
    expected: Value = None

    @property
    def writes(self) -> bool:
        """Whether it changes the register."""
        return self.act in (Act.WRITE, Act.SWAP)

    def fits(self, held: Value) -> bool:
        """Say whether it may take effect on a register that holds a value."""
        match self.act:
            case Act.READ:
                return held == self.value
            case Act.SWAP:
                return held == self.expected
            case Act.MISS:
                return held != self.value
            case Act.WRITE:
                return True

    def __str__(self) -> str:
        ended = "?" if self.ended is None else str(self.ended)
        return f"{self.begun:>6} – {ended:<6} {self.act.value:<5} {self.value!s:<24} {self.who}"


def is_linearizable(operations: Sequence[Operation], initial: Value = None) -> bool:
    """Say whether some order of the operations explains every read.

    Written values but None must be unique. Operations of unknown outcome may be left out.
    """
    return _Search(_relevant(operations), initial).succeeds()


def _relevant(operations: Sequence[Operation]) -> list[Operation]:
    """Leave out what cannot matter: reads that saw nothing, and unsure writes that nobody read."""
    seen = {one.value for one in operations if one.act is Act.READ and one.ended is not None}
    seen |= {one.expected for one in operations if one.act is Act.SWAP}
    # Whoever missed a value may have met any other.
    missed = any(one.act is Act.MISS and one.ended is not None for one in operations)
    kept = [
        one for one in operations if one.ended is not None or (one.writes and (missed or one.value in seen))
    ]
    return sorted(kept, key=lambda one: one.begun)


class _Search:
    """Depth first over which operations have taken effect, as bits, and the value they left."""

    def __init__(self, operations: list[Operation], initial: Value) -> None:
        self.operations = operations
        self.initial = initial
        self.must = sum(1 << index for index, one in enumerate(operations) if one.ended is not None)

    def succeeds(self) -> bool:
        visited: set[tuple[int, Value]] = set()
        stack = [(0, self.initial)]
        while stack:
            done, value = self._take_reads(*stack.pop())
            if done & self.must == self.must:
                return True
            if (done, value) in visited:
                continue
            visited.add((done, value))
            # A read can only become possible by a write: so only writes are choices.
            stack += [
                (done | 1 << index, self.operations[index].value)
                for index in self._minimal(done)
                if self.operations[index].writes and self.operations[index].fits(value)
            ]
        return False

    def _take_reads(self, done: int, value: Value) -> tuple[int, Value]:
        """Let every read take effect that may and fits: putting it off never helps."""
        while True:
            fitting = [
                index
                for index in self._minimal(done)
                if not self.operations[index].writes and self.operations[index].fits(value)
            ]
            if not fitting:
                return done, value
            for index in fitting:
                done |= 1 << index

    def _minimal(self, done: int) -> list[int]:
        """Return the operations not done that began before the first end of any not done."""
        limit: int | None = None
        minimal: list[int] = []
        for index, one in enumerate(self.operations):
            if limit is not None and one.begun > limit:
                break
            if done >> index & 1:
                continue
            minimal.append(index)
            if one.ended is not None and (limit is None or one.ended < limit):
                limit = one.ended
        return [index for index in minimal if limit is None or self.operations[index].begun <= limit]
