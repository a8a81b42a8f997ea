"""The commands of `ringctl` that move partitions: plan and rebalance."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from ring import loader
from ring.change import Change, changed
from ring.cli_frame import Frame, framed, nothing_to_do
from ring.cli_render import render_change
from ring.errors import RingError
from ring.report import Health, flows, health
from ring.table import Ring
from ring.tree import Floats

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)


def _size(text: str) -> int:
    """Return a number of bytes: 1048576, 1MiB, 1.5G (units are powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write it as 500M, 2GiB or 1048576")
    return round(float(match[1]) * _UNITS[match[2].upper()])


_MOVE_OPTIONS = (
    click.option(
        "--overload", type=click.FloatRange(0), help="From now on: share above weight for dispersion."
    ),
    click.option("--scatter-width", type=click.IntRange(0), help="From now on: scatter width (0: no bound)."),
    click.option(
        "--bytes-per-partition",
        type=_size,
        metavar="SIZE",
        help="Count bytes, with this much in each partition.",
    ),
    click.option(
        "--usage",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help='Count bytes by this JSON file: {"partition": bytes, …} or a list of bytes.',
    ),
)


def _move_options(command: Any) -> Any:
    for option in reversed(_MOVE_OPTIONS):
        command = option(command)
    return command


@click.command()
@_move_options
@framed
def plan(frame: Frame, **options: Any) -> None:
    """Show what a rebalance would move, and balance and dispersion before and after; change nothing."""
    ring = _with_rules(frame.load(), options)
    apply_change(frame, ring, "", dry_run=True, partition_bytes=_partition_bytes(ring, options))


@click.command()
@click.option("--comment", default="", help="Words for the history.")
@click.option("--dry-run", is_flag=True, help="As plan.")
@_move_options
@framed
def rebalance(frame: Frame, comment: str, dry_run: bool, **options: Any) -> None:
    """Carry out the staged changes: make the ring's next version, moving as little as can be."""
    with loader.locked(frame.path) if frame.path.exists() else frame.working("reading"):
        ring = _with_rules(frame.load(), options)
        apply_change(frame, ring, comment, dry_run=dry_run, partition_bytes=_partition_bytes(ring, options))


def apply_change(
    frame: Frame, ring: Ring, comment: str, *, dry_run: bool, partition_bytes: Floats | None = None
) -> None:
    """Rebalance a ring onto its staged topology, save it unless it is a dry run, and report."""
    topology = ring.meta.staged or ring.topology
    with frame.working("rebalancing"):
        change = changed(ring, topology, created_ms=loader.now_ms(), comment=comment or "rebalanced")
        before = health(ring.table, topology, ring.rules)
        after = health(change.ring.table, topology, ring.rules)
    if topology == ring.topology and not len(change.rebalanced.moved):
        nothing_to_do(frame, "every replica is where it should be")
    if not dry_run:
        frame.save(change.ring)
    moves = flows(ring.table, change.rebalanced, partition_bytes)
    plain = {
        "ring": str(frame.path),
        "dry_run": dry_run,
        "version": ring.version if dry_run else change.ring.version,
        **_moves_plain(ring, change, partition_bytes),
        "before": health_plain(before),
        "after": health_plain(after),
        "devices": [
            {
                "id": flow.device_id,
                "place": _place(ring, change, flow.device_id),
                "arriving": flow.arriving,
                "leaving": flow.leaving,
                "arriving_bytes": flow.arriving_bytes,
                "leaving_bytes": flow.leaving_bytes,
            }
            for flow in moves
        ],
    }
    frame.emit(plain, lambda console: render_change(console, plain))


def health_plain(state: Health) -> dict[str, Any]:
    """Return a placement's health as JSON values; fills are relative to the share by weight."""
    return {
        "fullest": state.fullest,
        "emptiest": state.emptiest,
        "undispersed": dict(state.undispersed),
        "unplaced": state.unplaced,
    }


def _moves_plain(ring: Ring, change: Change, partition_bytes: Floats | None) -> dict[str, Any]:
    moved = change.rebalanced.moved
    certificate = change.rebalanced.certificate
    moved_bytes = None
    if partition_bytes is not None:
        moved_bytes = round(float(partition_bytes[moved // ring.replicas].sum()))
    return {
        "moves": certificate.moves,
        "moved_share": certificate.moves / ring.table.size,
        "moved_bytes": moved_bytes,
        "partitions": len(np.unique(moved // ring.replicas)),
        "deficits": certificate.deficits,
        "forced": certificate.forced,
        "crowded": certificate.crowded,
        "minimal": certificate.holds,
    }


def _place(ring: Ring, change: Change, device_id: int) -> str:
    device = change.ring.devices.get(device_id) or ring.devices.get(device_id)
    return "" if device is None else device.path


def _with_rules(ring: Ring, options: dict[str, Any]) -> Ring:
    rules = ring.rules
    if options["overload"] is not None:
        rules = replace(rules, overload=options["overload"])
    if options["scatter_width"] is not None:
        rules = replace(rules, scatter_width=options["scatter_width"] or None)
    return ring.staged(ring.meta.staged, rules)


def _partition_bytes(ring: Ring, options: dict[str, Any]) -> Floats | None:
    """Return float64[partition] by the options given, or None when bytes are not to be counted."""
    flat: int | None = options["bytes_per_partition"]
    source: Path | None = options["usage"]
    if source is None:
        return None if flat is None else np.full(ring.partition_count, float(flat))
    usage = np.full(ring.partition_count, float(flat or 0))
    try:
        plain = json.loads(source.read_bytes())
        pairs = plain.items() if isinstance(plain, dict) else enumerate(plain)
        for partition, size in pairs:
            usage[int(partition)] = float(size)
    except (ValueError, TypeError, IndexError) as error:
        raise RingError(
            f"{source}: {error}; give a JSON object of partition to bytes, with partitions below {usage.size}"
        ) from error
    return usage
