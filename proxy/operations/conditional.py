"""Writes on a condition: exactly one of those that race takes effect, whatever dies meanwhile.

A condition is judged on a state that nothing can change any more but this very write
(proxy.operations.settling), and the write goes out under the ballot that holds the state still. The
listing row follows once the object is safe: it shows nothing that may yet be refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from model.entry import Entry, Table
from model.errors import Contended, DeviceFull, NotEnoughReplicas
from model.stamp import Stamp
from objectd.contract import Outcome
from proxy.operations.consensus import After, Own, after_accept, own_part
from proxy.operations.nodes import Nodes
from proxy.operations.settling import Lost, Round, Tries, begin
from proxy.operations.write import Update, Written, write

Judge = Callable[[tuple[Entry, ...]], Awaitable[bool]]
"""Looks at the settled entries of an object, and at nothing else, since only they stand still.

Raises where a condition fails; False where nothing is to be done.
"""
Build = Callable[[Stamp], Sequence[Update]]
Glance = Callable[[], Awaitable[None]]
"""Looks at the object as a reader does, and raises where a condition fails already."""

_UNKNOWN: Final = "another write came in between, and it cannot be told whether this one took effect before"


@dataclass(slots=True)
class Accepted:
    """An object's update that took effect, the rows that belong to it and are still to be written."""

    stamp: Stamp
    updates: tuple[Update, ...]
    written: Written
    rows: tuple[Update, ...]


@dataclass(slots=True)
class ConditionalWrite:
    """One write, over all its tries; `doubtful` are stamps under which it may have taken effect.

    `also` is the key of a version that the judge looks at, current or not.
    """

    nodes: Nodes
    digest: bytes
    judge: Judge
    build: Build
    also: bytes | None = None
    glance: Glance | None = None
    doubtful: set[Stamp] = field(default_factory=set)

    async def run(self) -> Accepted | None:
        """Write, or do nothing where the judge says so.

        Raises what the judge raises; Contended where others kept coming first; NotEnoughReplicas and
        DeviceFull where it cannot be done, or told, just now.
        """
        tries = Tries(self.nodes)
        while True:
            try:
                return await self._try()
            except (Lost, NotEnoughReplicas) as error:
                try:
                    await tries.pause(error)
                except Contended as contended:
                    if self.doubtful:
                        raise NotEnoughReplicas(_UNKNOWN) from contended
                    raise
            if self.glance is not None and not self.doubtful:
                # Mostly somebody else has won by now: that is seen without a ballot to delay the others.
                await self.glance()

    async def _try(self) -> Accepted | None:
        found = await begin(self.nodes, self.digest, also=self.also)
        own = own_part(found.state, self.doubtful)
        if own is Own.DONE:
            return self._done_before(found)
        if own is Own.UNKNOWN:
            raise _Undecidable(_UNKNOWN)
        if not await self.judge(found.state):
            return None
        if not found.usable:
            raise Lost("the ballot is too old")
        updates = tuple(self.build(found.stamp))
        of_object = tuple(one._replace(ballot=found.stamp) for one in updates if _is_object(one))
        assert len(of_object) == 1, "one version of one object"
        (written,) = await write(self.nodes, of_object, epoch=found.epoch)
        rows = tuple(one for one in updates if not _is_object(one))
        after = after_accept(written.verdict, unseen=written.unseen, anywhere=written.anywhere)
        if after is After.DONE:
            return Accepted(found.stamp, of_object, written, rows)
        if after is After.DOUBT:
            self.doubtful.add(found.stamp)
        self.nodes.clock.observe(written.newest)
        if Outcome.FULL in written.refusals and after is After.AGAIN:
            raise _Full("too many of the devices that should hold this object are full")
        if of_object[0].staged is not None:
            raise await self._bytes_are_spent()
        raise Lost("the ballot was overtaken")

    def _done_before(self, found: Round) -> Accepted:
        """Return an earlier try that was found to have taken effect."""
        stamp = max(stamp for stamp in self.doubtful if own_part(found.state, {stamp}) is Own.DONE)
        updates = tuple(self.build(stamp))
        of_object = tuple(one for one in updates if _is_object(one))
        return Accepted(stamp, of_object, Written(), tuple(one for one in updates if not _is_object(one)))

    async def _bytes_are_spent(self) -> Exception:
        """Return what to raise where staged bytes, which go out but once, were refused."""
        if self.doubtful:
            return _Undecidable(_UNKNOWN)
        return Contended("another write on a condition came first; the bytes have to be sent again")


class _Undecidable(Exception):
    """Trying again would not tell more."""


class _Full(Exception):
    """Trying again would not help."""


async def write_if(
    nodes: Nodes,
    digest: bytes,
    judge: Judge,
    build: Build,
    *,
    also: bytes | None = None,
    glance: Glance | None = None,
    doubtful: Sequence[Stamp] = (),
) -> Accepted | None:
    """Write one version of an object where the judge allows it, see `ConditionalWrite.run`.

    `also` is the key of the version that the judge looks at, where that need not be the current one.
    """
    try:
        return await ConditionalWrite(nodes, digest, judge, build, also, glance, set(doubtful)).run()
    except _Undecidable as error:
        raise NotEnoughReplicas(str(error)) from error
    except _Full as error:
        raise DeviceFull(str(error)) from error


async def unconditionally(state: tuple[Entry, ...]) -> bool:
    """Judge nothing: for a plain write that a promise refused, and which has to take a ballot itself."""
    return True


def _is_object(update: Update) -> bool:
    return update.entry.key[0] == Table.OBJECT
