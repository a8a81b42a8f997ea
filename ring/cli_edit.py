"""The commands of `ringctl` that make a ring or change its devices: create, add, remove, set-weight, drain,
import.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ring import loader
from ring.change import first_ring, next_device_ids, suggest_part_power
from ring.cli_frame import Frame, framed, nothing_to_do
from ring.cli_move import apply_change
from ring.cli_render import render_created, render_staged
from ring.errors import RingError, RingFormatUnknown
from ring.meta import PlacementRules, RingMeta
from ring.selection import parse_device, select
from ring.swift_import import is_swift_file, read_swift
from ring.table import Ring
from ring.topology import Device, DeviceState, Topology
from ring.transfer import Imported, device_to_plain, ring_from_plain

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
_AT_ONCE = click.option(
    "--rebalance", "at_once", is_flag=True, help="Also rebalance, so that it takes effect."
)
_DEFAULT_REPLICAS = 3
_DEFAULT_OVERLOAD = 0.1

Edit = Callable[[Ring, Topology], Topology]


def _rules_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--part-power", type=click.IntRange(1, 24), help="2^N partitions, fixed for good."),
        click.option("--replicas", type=click.IntRange(1, 16), help="Copies of each object.  [default: 3]"),
        click.option(
            "--overload",
            type=click.FloatRange(0),
            help="Share above its weight that a device may take for dispersion.  [default: 0.1]",
        ),
        click.option(
            "--scatter-width", type=click.IntRange(1), help="Others a device shares partitions with."
        ),
        click.option("--seed", type=click.IntRange(0), help="Seed of the placement.  [default: random]"),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("devices", nargs=-1, required=True, metavar="REGION/ZONE/HOST/NAME[=WEIGHT]...")
@click.option("--weight", type=click.FloatRange(0), default=1.0, show_default=True, help="Without =WEIGHT.")
@_rules_options
@_DRY_RUN
@framed
def create(frame: Frame, devices: tuple[str, ...], weight: float, dry_run: bool, **options: Any) -> None:
    """Make a ring over the DEVICES, and its signing key if there is none."""
    parsed = [parse_device(text, index, weight=weight) for index, text in enumerate(devices)]
    _create(frame, Imported(Topology.of(parsed)), dry_run, options)


@click.command()
@click.argument("devices", nargs=-1, required=True, metavar="REGION/ZONE/HOST/NAME[=WEIGHT]...")
@click.option("--weight", type=click.FloatRange(0), default=1.0, show_default=True, help="Without =WEIGHT.")
@click.option("--node", default="", help="Id of the node that owns the devices.  [default: the host]")
@click.option("--address", default="", help="Where the node's daemon listens.")
@_AT_ONCE
@_DRY_RUN
@framed
def add(
    frame: Frame,
    devices: tuple[str, ...],
    weight: float,
    node: str,
    address: str,
    at_once: bool,
    dry_run: bool,
) -> None:
    """Add DEVICES."""

    def edit(ring: Ring, topology: Topology) -> Topology:
        ids = next_device_ids(ring, len(devices))
        return topology.with_devices(
            parse_device(text, device_id, weight=weight, node=node, address=address)
            for text, device_id in zip(devices, ids, strict=True)
        )

    _edit(frame, edit, f"add {len(devices)} devices", at_once=at_once, dry_run=dry_run)


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="DEVICE...")
@_AT_ONCE
@_DRY_RUN
@framed
def remove(frame: Frame, selectors: tuple[str, ...], at_once: bool, dry_run: bool) -> None:
    """Remove DEVICEs that are dead or empty (drain healthy ones first). A DEVICE is an id or a place in the
    tree.
    """

    def edit(_: Ring, topology: Topology) -> Topology:
        return topology.without(device.id for device in select(topology, selectors))

    _edit(frame, edit, f"remove {' '.join(selectors)}", at_once=at_once, dry_run=dry_run)


@click.command("set-weight")
@click.argument("selectors", nargs=-1, required=True, metavar="DEVICE...")
@click.argument("weight", type=click.FloatRange(0))
@_AT_ONCE
@_DRY_RUN
@framed
def set_weight(frame: Frame, selectors: tuple[str, ...], weight: float, at_once: bool, dry_run: bool) -> None:
    """Give DEVICEs another WEIGHT; drained ones take data again."""

    def edit(_: Ring, topology: Topology) -> Topology:
        return topology.with_devices(
            replace(device, weight=weight, state=DeviceState.ACTIVE) for device in select(topology, selectors)
        )

    _edit(frame, edit, f"set-weight {' '.join(selectors)} {weight:g}", at_once=at_once, dry_run=dry_run)


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="DEVICE...")
@_AT_ONCE
@_DRY_RUN
@framed
def drain(frame: Frame, selectors: tuple[str, ...], at_once: bool, dry_run: bool) -> None:
    """Let DEVICEs hand over all they hold, while they still serve it."""

    def edit(_: Ring, topology: Topology) -> Topology:
        return topology.with_devices(
            replace(device, state=DeviceState.DRAINING) for device in select(topology, selectors)
        )

    _edit(frame, edit, f"drain {' '.join(selectors)}", at_once=at_once, dry_run=dry_run)


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@_rules_options
@_AT_ONCE
@_DRY_RUN
@framed
def import_(frame: Frame, source: Path, at_once: bool, dry_run: bool, **options: Any) -> None:
    """Take over the devices in FILE: a new ring if there is none, else the ring's next devices.

    FILE is JSON made by `ringctl export`, or a builder file or .ring.gz of OpenStack Swift.
    """
    imported = _read(source)
    if not frame.path.exists():
        _create(frame, imported, dry_run, options)
        return
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise RingError(f"{frame.path} exists: --{given[0].replace('_', '-')} is for new rings only")
    _edit(frame, lambda _, __: imported.topology, f"import {source.name}", at_once=at_once, dry_run=dry_run)


def _read(source: Path) -> Imported:
    data = source.read_bytes()
    try:
        return read_swift(data) if is_swift_file(data) else ring_from_plain(json.loads(data))
    except ValueError as error:
        raise RingFormatUnknown(f"{source}: neither JSON nor a Swift ring: {error}") from error
    except RingError as error:
        raise type(error)(f"{source}: {error}") from error


def _create(frame: Frame, imported: Imported, dry_run: bool, options: dict[str, Any]) -> None:
    if frame.path.exists():
        raise RingError(f"{frame.path} exists; change it with add, or name another file")
    with frame.working("placing"):
        ring = _first_ring(imported, options)
    if not dry_run:
        with loader.locked(frame.path):
            loader.save(frame.path, ring, frame.new_signing_key())
    plain = {
        "ring": str(frame.path),
        "dry_run": dry_run,
        "version": ring.version,
        "part_power": ring.part_power,
        "replicas": ring.replicas,
        "overload": ring.rules.overload,
        "scatter_width": ring.rules.scatter_width,
        "devices": [device_to_plain(device) for device in ring.topology],
    }
    frame.emit(plain, lambda console: render_created(console, ring, frame.path, dry_run))


def _first_ring(imported: Imported, options: dict[str, Any]) -> Ring:
    """Return version 1 (or the table and version imported) under the options, the import and the defaults."""

    def pick(key: str, from_import: Any, otherwise: Any) -> Any:
        return next(v for v in (options.get(key), from_import, otherwise) if v is not None)

    rules = imported.rules
    replicas = pick("replicas", imported.replicas, _DEFAULT_REPLICAS)
    suggested = suggest_part_power(len(imported.topology), replicas)
    part_power = pick("part_power", imported.part_power, suggested)
    rules = PlacementRules(
        overload=pick("overload", None if rules is None else rules.overload, _DEFAULT_OVERLOAD),
        scatter_width=options.get("scatter_width") or (None if rules is None else rules.scatter_width),
        seed=pick("seed", None if rules is None else rules.seed, loader.random_seed()),
    )
    salt = imported.salt or loader.random_salt()
    created_ms = loader.now_ms()
    if imported.table is not None and imported.table.shape == (1 << part_power, replicas):
        meta = RingMeta(
            imported.version,
            part_power,
            replicas,
            salt,
            imported.topology,
            created_ms,
            b"",
            rules,
            "imported",
        )
        return Ring(meta, imported.table)
    return first_ring(
        imported.topology,
        part_power=part_power,
        replicas=replicas,
        salt=salt,
        rules=rules,
        created_ms=created_ms,
    )


def _edit(frame: Frame, edit: Edit, comment: str, *, at_once: bool, dry_run: bool) -> None:
    """Stage an edit of the devices, or carry it out at once."""
    with loader.locked(frame.path) if frame.path.exists() else frame.working("reading"):
        ring = frame.load()
        before = ring.meta.staged or ring.topology
        after = edit(ring, before)
        if after == before and not at_once:
            nothing_to_do(frame, "the devices are as asked already")
        if at_once:
            apply_change(frame, ring.staged(after), comment, dry_run=dry_run)
            return
        staged = ring.staged(None if after == ring.topology else after)
        if not dry_run:
            frame.save(staged)
    plain = {"ring": str(frame.path), "dry_run": dry_run, "staged": differences(ring.topology, after)}
    frame.emit(plain, lambda console: render_staged(console, differences(ring.topology, after), dry_run))


def differences(before: Topology, after: Topology) -> list[dict[str, Any]]:
    """Return what becomes of each device that differs: added, removed or changed, with its new (or last)
    values.
    """
    old: dict[int, Device] = {device.id: device for device in before}
    new: dict[int, Device] = {device.id: device for device in after}
    rows = []
    for device_id in sorted(old.keys() | new.keys()):
        was, becomes = old.get(device_id), new.get(device_id)
        if was == becomes:
            continue
        kind = "added" if was is None else "removed" if becomes is None else "changed"
        device = becomes or was
        assert device is not None
        rows.append({"change": kind, **device_to_plain(device)})
    return rows
