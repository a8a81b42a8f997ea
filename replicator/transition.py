"""The phases of a ring change: when the next may be published, by what the nodes have adopted. Pure.

A change goes WRITE_BOTH, READ_NEW, SETTLED (ring.epoch). Every coordinator that sees the same facts
comes to the same next epoch, and adopting an epoch twice changes nothing, so several do no harm.
The rules, for every partition:

- an epoch is published only when a majority of its old homes and of its new homes adopted the one before:
  then nobody can still finish an operation of two phases ago;
- READ_NEW is published only when all that a majority of the old homes held, once they had adopted
  WRITE_BOTH, is on a majority of the new homes;
- SETTLED is published only when the same was found once more under READ_NEW: a writer of WRITE_BOTH that
  died may have left a write on old homes alone, which readers of both phases have returned.

A node that is down holds nothing up as long as majorities stand without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from replicator.places import majority
from ring.epoch import Epoch, Phase
from ring.table import Ring

NEXT: Final[Mapping[Phase, Phase]] = {Phase.WRITE_BOTH: Phase.READ_NEW, Phase.READ_NEW: Phase.SETTLED}


class Move(Enum):
    """What a coordinator does now."""

    NOTHING = "nothing"
    """The ring is settled."""
    WAIT = "wait"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, the phase to publish, and why not yet in words for an operator."""

    move: Move
    phase: Phase | None = None
    reason: str = ""


@dataclass(slots=True)
class Progress:
    """The partitions whose homes change in one epoch, and those of them known to be synced."""

    epoch: int
    changing: frozenset[int]
    synced: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, epoch: Epoch) -> Progress:
        """Return the progress of an epoch that has just begun."""
        return cls(epoch.number, changing_partitions(epoch))

    @property
    def left(self) -> frozenset[int]:
        """The partitions not known to be synced."""
        return self.changing - self.synced


def changing_partitions(epoch: Epoch) -> frozenset[int]:
    """Return the partitions whose homes differ between the old and the new version; none once settled."""
    old = epoch.ring.previous() if epoch.phase in NEXT else None
    if old is None:
        return frozenset()
    new_table, old_table = epoch.ring.table, old.table
    if new_table.shape == old_table.shape:
        differ = (np.sort(new_table, axis=1) != np.sort(old_table, axis=1)).any(axis=1)
        return frozenset(np.flatnonzero(differ).tolist())
    return frozenset(range(epoch.ring.partition_count))


def adopted_devices(epoch: Epoch, epochs: Mapping[str, int]) -> frozenset[int]:
    """Return the devices of nodes known to have adopted an epoch, or a later one."""
    return frozenset(device.id for device in epoch.devices() if epochs.get(device.node, 0) >= epoch.number)


def every_majority(rings: Iterable[Ring], devices: Collection[int]) -> bool:
    """Say whether devices are a majority of the homes of every partition of every ring."""
    chosen = np.array(sorted(devices), dtype=np.uint16)
    for ring in rings:
        held = np.isin(ring.table, chosen).sum(axis=1)
        if not bool((held >= majority(ring.replicas)).all()):
            return False
    return True


def decide(epoch: Epoch, epochs: Mapping[str, int], progress: Progress) -> Decision:
    """Return the next step of a change; `epochs` has the nodes that answer."""
    following = NEXT.get(epoch.phase)
    if following is None:
        return Decision(Move.NOTHING)
    old = epoch.ring.previous()
    if old is None:
        # Nothing is known of the version before: it counts as settled, and must be told so.
        return Decision(Move.PUBLISH, Phase.SETTLED)
    behind = sorted(node for node, number in epochs.items() if number < epoch.number)
    if behind:
        return Decision(Move.WAIT, None, f"{', '.join(behind)} have yet to adopt this phase")
    if not every_majority((old, epoch.ring), adopted_devices(epoch, epochs)):
        return Decision(Move.WAIT, None, "for some partitions no majority of homes is up")
    if progress.left:
        done = len(progress.changing) - len(progress.left)
        return Decision(Move.WAIT, None, f"{done} of {len(progress.changing)} partitions are copied")
    return Decision(Move.PUBLISH, following)
