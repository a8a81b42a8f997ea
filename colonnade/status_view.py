"""Shows a colony's status to people: bars, tables and plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_BAR_CELLS: Final = 8
_STYLES: Final = {
    "ok": "green",
    "running": "green",
    "read-only": "yellow",
    "restarting": "yellow",
    "filling": "yellow",
}


def render_status(found: Mapping[str, Any]) -> RenderableType:
    """Return what `gather_status` found as something to print."""
    parts: list[RenderableType] = [_headline(found)]
    parts += [Text(f"  ! {problem}", style="bold red") for problem in found["problems"]]
    parts += [Text(""), _devices(found), Text(""), _processes(found)]
    parts += [Text(""), *(Text(_repair(replicator)) for replicator in found["replicators"])]
    parts += [Text(line) for replicator in found["replicators"] if (line := _lifecycle(replicator))]
    return Group(*parts)


def human_bytes(size: float) -> str:
    """Return a size in binary units with three digits: "1.50 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            digits = 0 if unit == "B" or size >= 100 else 1 if size >= 10 else 2
            return f"{size:.{digits}f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def human_duration(ms: float) -> str:
    """Return a duration in its two largest units: "3 h 12 min"."""
    seconds = max(0, int(ms // 1000))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def _repair(replicator: Mapping[str, Any]) -> str:
    """Return one line on what a node's replicator has before it, and until when."""
    parts = []
    moving = replicator.get("moving") or {}
    if moving.get("total") and replicator.get("ring_phase") in ("write_both", "read_new"):
        parts.append(f"moving for the new ring: {moving['done']:,} of {moving['total']:,} partitions")
    for key, words in (
        ("partitions_left", "partitions out of step"),
        ("queue", "repairs waiting"),
        ("pending", "unfinished writes"),
        ("strays_left", "partitions to hand back"),
    ):
        if replicator.get(key):
            parts.append(f"{replicator[key]:,} {words}")
    if replicator.get("filling"):
        parts.append(f"filling devices {', '.join(map(str, replicator['filling']))}")
    if not parts:
        if not replicator.get("last_round_ms"):
            return f"{replicator['node']}: first comparison of replicas under way"
        return f"{replicator['node']}: in step"
    eta = replicator.get("eta_s")
    rest = f"; done in about {human_duration(eta * 1000)}" if eta is not None else ""
    return f"{replicator['node']}: {', '.join(parts)}{rest}"


def _lifecycle(replicator: Mapping[str, Any]) -> str:
    """Return one line on a node's last pass of lifecycle rules; empty where it leads no bucket with any."""
    last = replicator.get("lifecycle") or {}
    if not last.get("buckets") and not last.get("buckets_so_far"):
        return ""
    if not last.get("last_pass_ms"):
        return f"{replicator['node']}: first pass of lifecycle rules under way"
    failed = f", {last['failed']:,} left to the next" if last.get("failed") else ""
    return (
        f"{replicator['node']}: lifecycle rules of {last['buckets']:,} buckets: {last['rows']:,} rows "
        f"in {human_duration(last['took_ms'])}{failed}"
    )


def _headline(found: Mapping[str, Any]) -> Text:
    text = Text()
    text.append("healthy" if found["healthy"] else "in trouble", style="green" if found["healthy"] else "red")
    text.append(f"   {found['data']}")
    ring = found["ring"]
    if ring is None:
        return text.append("\nno ring")
    text.append(
        f"\nring version {ring['version']}, {ring['phase_words']}   "
        f"{ring['partitions']} partitions × {ring['replicas']} replicas on {ring['devices']} devices"
    )
    return text


def _devices(found: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("device", "node", "health", "fill", ""):
        table.add_column(name, no_wrap=True)
    for name in ("data", "dead", "entries", "bad"):
        table.add_column(name, justify="right", no_wrap=True)
    for node in found["nodes"]:
        for device in node["devices"]:
            table.add_row(*_device(device))
    return table


def _device(device: Mapping[str, Any]) -> list[RenderableType]:
    health = str(device["health"])
    if health == "ok" and device.get("filling"):
        health = "filling"
    name = f"{device['id']} {device['name']}"
    front: list[RenderableType] = [name, str(device["node"]), Text(health, style=_STYLES.get(health, "red"))]
    if "capacity_bytes" not in device:
        return [*front, "", "", "", "", "", ""]
    capacity = max(1, int(device["capacity_bytes"]))
    used = 1 - int(device["free_bytes"]) / capacity
    return [
        *front,
        _bar(used),
        f"{used:.0%} of {human_bytes(capacity)}",
        human_bytes(int(device["live_bytes"])),
        human_bytes(int(device["dead_bytes"])),
        f"{device['entry_count']:,}",
        str(device["quarantined_count"]),
    ]


def _bar(share: float) -> Text:
    full = round(min(1.0, max(0.0, share)) * _BAR_CELLS)
    style = "red" if share > 0.95 else "yellow" if share > 0.85 else "green"
    return Text("█" * full, style=style).append("░" * (_BAR_CELLS - full), style="dim")


def _processes(found: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("process", "node", "state"):
        table.add_column(name)
    for name in ("pid", "up", "restarts"):
        table.add_column(name, justify="right")
    for supervisor in found["supervisors"]:
        for row in supervisor["processes"]:
            state = str(row["state"])
            up = "" if row["pid"] is None else human_duration(found["gathered_ms"] - row["started_ms"])
            table.add_row(
                str(row["name"]),
                str(supervisor.get("node", "")),
                Text(state, style=_STYLES.get(state, "red")),
                str(row["pid"] or ""),
                up,
                str(row["restarts"]),
            )
    return table
