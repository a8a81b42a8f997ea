"""Examines a ring: table, devices, history and rules must agree. Pure."""

from dataclasses import dataclass

import numpy as np

from ring.errors import RingError
from ring.report import health
from ring.table import Ring
from ring.tree import DEVICE, build_tree, ideal_quotas


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, whether it passed, and what was seen."""

    check: str
    good: bool
    detail: str


def examine(ring: Ring) -> list[Finding]:
    """Return what was found of a ring, every check in its turn."""
    return [_devices(ring), _distinct(ring), _balance(ring), _history(ring)]


def _devices(ring: Ring) -> Finding:
    unknown = sorted(set(np.unique(ring.table).tolist()) - set(ring.devices))
    if unknown:
        return Finding("devices", False, f"the table names devices that the header does not: {unknown[:5]}")
    return Finding("devices", True, f"{len(ring.devices)} devices, each one in the table is known")


def _distinct(ring: Ring) -> Finding:
    ordered = np.sort(ring.table, axis=1)
    twice = np.flatnonzero((np.diff(ordered.astype(np.int32), axis=1) == 0).any(axis=1))
    if len(twice):
        return Finding(
            "replicas", False, f"{len(twice)} partitions are twice on a device, first {int(twice[0])}"
        )
    return Finding(
        "replicas", True, f"each of {ring.partition_count} partitions is on {ring.replicas} devices"
    )


def _balance(ring: Ring) -> Finding:
    try:
        state = health(ring.table, ring.topology, ring.rules)
        tree = build_tree(ring.topology)
        target = ideal_quotas(tree, ring.replicas, ring.rules)[DEVICE] * ring.partition_count
    except RingError as error:
        return Finding("balance", False, str(error))
    held = np.array([load.held for load in state.loads])
    off = int((np.abs(held - target) >= 2).sum())
    spread = ", ".join(f"{name} {share:.2%}" for name, share in state.undispersed.items())
    detail = (
        f"fullest {state.fullest:.3f}, emptiest {state.emptiest:.3f} of its weight; undispersed: {spread}"
    )
    return Finding(
        "balance", off == 0, detail if off == 0 else f"{off} devices are off their quota; {detail}"
    )


def _history(ring: Ring) -> Finding:
    later, kept = ring, 0
    while later.history:
        try:
            earlier = later.previous()
        except RingError as error:
            return Finding("history", False, str(error))
        assert earlier is not None
        if earlier.digest != later.meta.parent:
            return Finding(
                "history", False, f"version {earlier.version} is not the parent of {later.version}"
            )
        later, kept = earlier, kept + 1
    return Finding("history", True, f"{kept} earlier versions can be reconstructed")
