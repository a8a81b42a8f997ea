"""Stamping writes so that none hides under an older one: at most two rounds, mostly one.

A write takes a stamp and goes out at once, without asking what the newest stamp is. Mostly that is
right: clocks agree to milliseconds. Where a clock was ahead, an older write has a newer stamp; it is
on a majority, so this write never is the newest on a majority: it is HIDDEN. But something under way
at the same time hides it as well, after readers may have seen it; writing it again would then show
it a second time. The two are told apart by whether any reader can have seen it (`Written.unseen`):

- DURABLE (a majority held it as the newest): nothing acknowledged before is newer. Done.
- one update of a write HIDDEN, another not: what hides it was not acknowledged before, or it would
  hide both. Done, where it is the object that is hidden; a hidden row of a stored object is brought to
  light first (proxy.operations.overlisting).
- all HIDDEN and unseen: written again, after the newest stamp that a majority told of. What hides it
  now was not acknowledged before this write began: done, whatever comes.
- HIDDEN by answers too few to tell: the outcome is unknown, and the client is told so.
- refused by homes that have promised a newer stamp to a conditional write, or hidden where there was one:
  the other has judged a state without this write, so this one cannot have come first. It takes a
  ballot itself, as an unconditional one, unless its first try may have taken effect meanwhile.

A write that looked up the newest stamp first is in the position of the second round from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.entry import Table
from model.errors import NotEnoughReplicas
from model.stamp import Stamp
from objectd.contract import Outcome
from proxy.operations.conditional import Glance, Judge, unconditionally, write_if
from proxy.operations.guarding import write_guarded
from proxy.operations.nodes import Nodes
from proxy.operations.overlisting import is_listed_over, list_again
from proxy.operations.quorum import Verdict
from proxy.operations.write import Update, Written

Build = Callable[[Stamp], Sequence[Update]]
"""Makes the updates of one write, the same ones but for the stamp."""


async def write_stamped(
    nodes: Nodes, build: Build, *, looked_up: bool
) -> tuple[Stamp, Sequence[Update], list[Written]]:
    """Write updates under a stamp of their own, confirmed where they are durable.

    Raises NotEnoughReplicas where it cannot be told whether the write has taken effect.
    """
    stamp = nodes.clock.next()
    updates = build(stamp)
    written = await write_guarded(nodes, updates)
    if not looked_up and all(one.verdict is Verdict.HIDDEN for one in written):
        if not all(one.unseen for one in written):
            raise NotEnoughReplicas(
                "another write hides this one, and too few replicas tell which came first"
            )
        nodes.clock.observe(max(one.newest for one in written))
        stamp = nodes.clock.next()
        updates = build(stamp)
        written = await write_guarded(nodes, updates)
    if any(_is_barred(one) for one in written):
        return await _under_ballot(nodes, build, stamp, updates, written)
    if is_listed_over(updates, written):
        updates, written = await list_again(nodes, build, updates, written)
    confirm(nodes, updates, written)
    return stamp, updates, written


def _is_barred(one: Written) -> bool:
    """Say whether a write on a condition forbids to call an update done, or may."""
    if one.verdict is Verdict.HIDDEN:
        return one.contested
    return one.verdict is not Verdict.DURABLE and Outcome.PROMISED in one.refusals


async def _under_ballot(
    nodes: Nodes, build: Build, stamp: Stamp, updates: Sequence[Update], written: Sequence[Written]
) -> tuple[Stamp, Sequence[Update], list[Written]]:
    nodes.clock.observe(max(one.newest for one in written))
    digest = next(one.entry.digest for one in updates if one.entry.key[0] == Table.OBJECT)
    is_gone = all(not one.anywhere or (one.verdict is Verdict.HIDDEN and one.unseen) for one in written)
    doubtful = () if is_gone else (stamp,)
    done = await write_stamped_if(nodes, digest, unconditionally, build, doubtful=doubtful)
    assert done is not None, "nothing was judged"
    return done


async def write_stamped_if(
    nodes: Nodes,
    digest: bytes,
    judge: Judge,
    build: Build,
    *,
    also: bytes | None = None,
    glance: Glance | None = None,
    doubtful: Sequence[Stamp] = (),
) -> tuple[Stamp, Sequence[Update], list[Written]] | None:
    """Write updates under a ballot where the judge allows it, the object first and then its row.

    Returns None where the judge found nothing to do. Raises as `proxy.operations.conditional.write_if`.
    """
    accepted = await write_if(nodes, digest, judge, build, also=also, glance=glance, doubtful=doubtful)
    if accepted is None:
        return None
    written = [accepted.written, *await write_guarded(nodes, accepted.rows)]
    updates = [*accepted.updates, *accepted.rows]
    if accepted.written.devices:
        confirm(nodes, updates, written)
    else:
        # Found to have taken effect by another's hand: the replicator makes the row agree and confirms.
        written[0].verdict = Verdict.DURABLE
    return accepted.stamp, updates, written


def confirm(nodes: Nodes, updates: Sequence[Update], written: Sequence[Written]) -> None:
    """Confirm a write of which all parts are durable."""
    if all(one.verdict is Verdict.DURABLE for one in written):
        for update, one in zip(updates, written, strict=True):
            nodes.confirm(update.entry.key, update.entry.newest, one.devices)
