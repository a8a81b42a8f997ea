"""Listing what was stored although the row of an unfinished write hides it.

A writer whose clock is ahead may have brought its row to a majority and its object not, and may have died
since. A later write is then stored and not listed, and must not be acknowledged so. A ballot for the object
(proxy.operations.settling) decides between the two: either the other write is stored too, and newer, and
its row tells the truth; or it can take no effect under its stamp any more, and the later row goes above
its row. A writer that is barred so and still lives goes on under a ballot of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.entry import Kind, Table
from model.errors import Contended, NotEnoughReplicas
from model.promises import stamps_of
from model.stamp import Stamp
from proxy.operations.guarding import write_guarded
from proxy.operations.nodes import Nodes
from proxy.operations.quorum import Verdict
from proxy.operations.settling import Lost, Tries, begin
from proxy.operations.write import Update, Written


def is_listed_over(updates: Sequence[Update], written: Sequence[Written]) -> bool:
    """Say whether an object is stored, or removed, while something newer hides the row that says so."""
    verdicts = {one.entry.key[0]: told.verdict for one, told in zip(updates, written, strict=True)}
    stored = verdicts.get(Table.OBJECT) is Verdict.DURABLE and verdicts.get(Table.INDEX) is Verdict.HIDDEN
    return stored and all(one.entry.kind is not Kind.EMPTY for one in updates)


async def list_again(
    nodes: Nodes,
    build: Callable[[Stamp], Sequence[Update]],
    updates: Sequence[Update],
    written: Sequence[Written],
) -> tuple[Sequence[Update], list[Written]]:
    """Write the row of a stored object above one that hides it, unless that is a newer object's.

    Returns what was written in the end, and what became of it. Raises NotEnoughReplicas where it cannot be
    told which of the two the object is.
    """
    at = next(index for index, one in enumerate(updates) if one.entry.key[0] == Table.OBJECT)
    of_object = updates[at]
    tries = Tries(nodes)
    while True:
        try:
            found = await begin(nodes, of_object.entry.digest)
            if not any(of_object.entry.stamp in stamps_of(entry) for entry in found.state):
                return updates, list(written)
            rows = [one for one in build(found.stamp) if one.entry.key[0] == Table.INDEX]
            again = await write_guarded(nodes, rows)
            if not all(one.verdict is Verdict.HIDDEN for one in again):
                return (of_object, *rows), [written[at], *again]
            nodes.clock.observe(max(one.newest for one in again))
            raise Lost("another row came above this one")
        except (Lost, NotEnoughReplicas) as error:
            try:
                await tries.pause(error)
            except Contended as contended:
                raise NotEnoughReplicas(str(contended)) from contended
