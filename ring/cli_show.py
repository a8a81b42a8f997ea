"""The commands of `ringctl` that look: show, history, verify, locate, export."""

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ring import loader
from ring.cli_frame import Exit, Frame, framed
from ring.cli_move import health_plain
from ring.cli_render import render_history, render_location, render_tree, render_verdict
from ring.errors import RingError
from ring.hashing import path_digest
from ring.report import health, scatter_width
from ring.table import Ring
from ring.transfer import device_to_plain, ring_to_plain
from ring.verify import Finding, examine


@click.command()
@click.option("--version", "version", type=click.IntRange(1), help="As it was at this version.")
@click.option(
    "--depth",
    type=click.Choice(["region", "zone", "host", "device"]),
    default="device",
    show_default=True,
    help="How far down the tree to go.",
)
@framed
def show(frame: Frame, version: int | None, depth: str) -> None:
    """Show the tree of devices, what each holds, and how even and dispersed that is."""
    ring = _at(frame.load(), version)
    state = health(ring.table, ring.topology, ring.rules)
    plain = {
        "ring": str(frame.path),
        "version": ring.version,
        "created": _iso(ring.meta.created_ms),
        "part_power": ring.part_power,
        "partitions": ring.partition_count,
        "replicas": ring.replicas,
        "overload": ring.rules.overload,
        "scatter_width": ring.rules.scatter_width,
        "comment": ring.meta.comment,
        **health_plain(state),
        "devices": [
            {**device_to_plain(ring.devices[load.device_id]), "held": load.held, "by_weight": load.by_weight}
            for load in state.loads
        ],
        "staged": None if ring.meta.staged is None else [device_to_plain(d) for d in ring.meta.staged],
    }
    frame.emit(plain, lambda console: render_tree(console, ring, state, plain, depth))


@click.command()
@framed
def history(frame: Frame) -> None:
    """List the versions kept in the file, newest first."""
    rows: list[dict[str, Any]] = []
    ring: Ring | None = frame.load()
    while ring is not None:
        slots = ring.history[0].slots if ring.history else None
        rows.append(
            {
                "version": ring.version,
                "created": _iso(ring.meta.created_ms),
                "devices": len(ring.topology),
                "moves": slots,
                "comment": ring.meta.comment,
                "digest": ring.digest.hex(),
                "parent": ring.meta.parent.hex(),
            }
        )
        ring = ring.previous()
    frame.emit({"ring": str(frame.path), "versions": rows}, lambda console: render_history(console, rows))


@click.command()
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Accept this signer alone.  [default: the one pinned beside the ring]",
)
@framed
def verify(frame: Frame, public_key: Path | None) -> None:
    """Check file, signature, history and placement; leaves with 4 when something is wrong."""
    trust = [loader.load_public_key(public_key)] if public_key else frame.trust()
    try:
        ring = loader.load(frame.path, trust=trust)
    except FileNotFoundError:
        raise RingError(f"{frame.path}: no such ring") from None
    with frame.working("verifying"):
        findings = examine(ring)
    signed = bool(public_key) or loader.pin_path(frame.path).exists()
    findings.append(
        Finding("signature", True, "by the trusted key")
        if signed and not (frame.unsigned and not public_key)
        else Finding("signature", True, "not checked: no public key is pinned or given")
    )
    good = all(finding.good for finding in findings)
    plain = {
        "ring": str(frame.path),
        "version": ring.version,
        "good": good,
        "checks": [{"check": f.check, "good": f.good, "detail": f.detail} for f in findings],
    }
    frame.emit(plain, lambda console: render_verdict(console, plain))
    if not good:
        raise SystemExit(int(Exit.VERIFICATION_FAILED))


@click.command()
@click.argument("path", metavar="ACCOUNT[/CONTAINER[/OBJECT]]")
@click.option(
    "--handoffs", type=click.IntRange(0), default=3, show_default=True, help="How many stand-ins to name."
)
@framed
def locate(frame: Frame, path: str, handoffs: int) -> None:
    """Show the partition, the homes and the stand-ins of an object, a container or an account."""
    names = path.strip("/").split("/", 2) if not path.startswith("//") else []
    if not names or not all(names):
        raise RingError(f"{path!r}: write it as account/container/object")
    ring = frame.load()
    partition = ring.partition(*names)
    earlier = ring.previous()
    former = () if earlier is None else earlier.homes(partition)
    homes = ring.homes(partition)
    plain = {
        "path": "/".join(names),
        "digest": path_digest(ring.salt, *names).hex(),
        "partition": partition,
        "version": ring.version,
        "homes": [_described(ring, device_id) for device_id in homes],
        "former_homes": []
        if earlier is None or former == homes
        else [_described(earlier, i) for i in former],
        "handoffs": [_described(ring, device_id) for device_id in islice(ring.handoffs(partition), handoffs)],
        "scatter_width": scatter_width(ring.table, homes[0]),
    }
    frame.emit(plain, lambda console: render_location(console, plain))


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: print it]"
)
@click.option("--with-table", is_flag=True, help="Include the assignment of partitions.")
@click.option(
    "--with-salt", is_flag=True, help="Include the secret salt, without which objects are not found."
)
@framed
def export(frame: Frame, output: Path | None, with_table: bool, with_salt: bool) -> None:
    """Write the ring as JSON, for review and for `ringctl import`."""
    plain = ring_to_plain(frame.load(), with_table=with_table, with_salt=with_salt)
    if output is None:
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    loader.write_durably(output, text.encode(), 0o600 if with_salt else 0o644)
    done = {"written": str(output), "bytes": len(text.encode())}
    frame.emit(done, lambda console: console.print(f"Wrote {output}."))


def _at(ring: Ring, version: int | None) -> Ring:
    if version is None:
        return ring
    found = ring.at_version(version)
    if found is None:
        raise RingError(f"version {version} is not kept; `ringctl history` lists those that are")
    return found


def _described(ring: Ring, device_id: int) -> dict[str, Any]:
    device = ring.devices.get(device_id)
    if device is None:
        return {"id": device_id, "place": "", "node": "", "address": "", "state": "unknown"}
    return {
        "id": device_id,
        "place": device.path,
        "node": device.node,
        "address": device.address,
        "state": device.state.value,
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
