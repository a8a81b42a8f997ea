"""How `ringctl` shows its results to people: tables, a tree with bars, verdicts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ring.report import Health
from ring.table import Ring
from ring.topology import Device
from ring.tree import LEVEL_NAMES

_BAR_CELLS = 20
_BAR_FULL = 1.25
_WARN_FILL = 1.05
_ROWS_MAX = 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def human_bytes(size: float) -> str:
    """Return a size in the unit that leaves it below 1024."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def render_created(console: Console, ring: Ring, path: Path, dry_run: bool) -> None:
    """Say what ring was made."""
    console.print(
        f"{'Would make' if dry_run else 'Made'} {path}: "
        f"2^{ring.part_power} partitions × {ring.replicas} replicas over {len(ring.devices)} devices, "
        f"overload {ring.rules.overload:g}, scatter width {ring.rules.scatter_width or 'unbounded'}."
    )


def render_staged(console: Console, rows: Iterable[Mapping[str, Any]], dry_run: bool) -> None:
    """List the changes that wait for a rebalance."""
    table = Table(
        title="Would be staged" if dry_run else "Staged; `ringctl rebalance` carries it out",
        title_justify="left",
    )
    for name in ("", "id", "place", "weight", "node", "address", "state"):
        table.add_column(name, justify="right" if name in ("id", "weight") else "left")
    marks = {"added": "+", "removed": "-", "changed": "~"}
    for row in rows:
        table.add_row(
            marks[row["change"]],
            str(row["id"]),
            _place(row),
            f"{row['weight']:g}",
            row["node"],
            row["address"],
            row["state"],
        )
    if table.row_count:
        console.print(table)
    else:
        console.print("Nothing is staged any more: the devices are as the ring has them.")


def render_change(console: Console, plain: Mapping[str, Any]) -> None:
    """Show what moves, and the state before and after."""
    verb = "would move" if plain["dry_run"] else "move"
    amount = "" if plain["moved_bytes"] is None else f", {human_bytes(plain['moved_bytes'])}"
    console.print(
        f"{plain['moves']:,} replicas of {plain['partitions']:,} partitions {verb} "
        f"({plain['moved_share']:.2%} of all{amount})."
    )
    if plain["minimal"]:
        console.print(
            f"Certificate: moves equal the sum of deficits ({plain['deficits']:,}); no fewer can do."
        )
    else:
        console.print(
            f"Certificate: {plain['deficits']:,} moves for deficits, {plain['forced']:,} for dispersion; "
            f"{plain['crowded']:,} replicas stay too close."
        )
    compare = Table(title="Balance and dispersion", title_justify="left")
    for name in ("", "before", "after"):
        compare.add_column(name, justify="left" if not name else "right")
    before, after = plain["before"], plain["after"]
    for key in ("fullest", "emptiest"):
        compare.add_row(f"{key} device (of its weight)", f"{before[key]:.3f}", f"{after[key]:.3f}")
    for level, share in before["undispersed"].items():
        compare.add_row(f"replicas sharing a {level}", f"{share:.2%}", f"{after['undispersed'][level]:.2%}")
    compare.add_row("replicas on devices that left", f"{before['unplaced']:,}", f"{after['unplaced']:,}")
    console.print(compare)
    _render_flows(console, plain["devices"])
    if not plain["dry_run"]:
        console.print(f"The ring is at version {plain['version']}.")


def _render_flows(console: Console, rows: list[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title="Devices", title_justify="left")
    for name in ("id", "place", "arriving", "leaving", "bytes in", "bytes out"):
        table.add_column(name, justify="left" if name == "place" else "right")
    for row in rows[:_ROWS_MAX]:
        sizes = [row["arriving_bytes"], row["leaving_bytes"]]
        table.add_row(
            str(row["id"]),
            row["place"],
            f"{row['arriving']:,}",
            f"{row['leaving']:,}",
            *("" if size is None else human_bytes(size) for size in sizes),
        )
    console.print(table)
    if len(rows) > _ROWS_MAX:
        console.print(f"… and {len(rows) - _ROWS_MAX:,} devices more (--json lists all).")


def render_tree(console: Console, ring: Ring, state: Health, plain: Mapping[str, Any], depth: str) -> None:
    """Show the tree of devices with what each node holds, a bar and its fill by weight."""
    console.print(
        f"{plain['ring']} version {ring.version} of {plain['created']}: 2^{ring.part_power} partitions × "
        f"{ring.replicas} replicas, overload {ring.rules.overload:g}, "
        f"scatter width {ring.rules.scatter_width or 'unbounded'}"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("place", "id", "weight", "replicas", "of its weight", "fill", "state"):
        table.add_column(name, justify="right" if name in ("id", "weight", "replicas", "fill") else "left")
    levels = LEVEL_NAMES.index(depth)
    for row in _tree_rows(ring, state, levels):
        table.add_row(*row)
    console.print(table)
    spread = ", ".join(f"{share:.2%} share a {level}" for level, share in state.undispersed.items())
    console.print(
        f"Fullest {state.fullest:.3f}, emptiest {state.emptiest:.3f} of its weight. Replicas: {spread}."
    )
    if ring.meta.staged is not None:
        console.print("Changes are staged; `ringctl plan` shows what they would move.")


def _tree_rows(ring: Ring, state: Health, levels: int) -> list[tuple[str | Text, ...]]:
    """Return a row for each node down to `levels`, depth first, sums on the inner ones."""
    order: list[tuple[str, ...]] = []
    sums: dict[tuple[str, ...], list[float]] = {}
    leaves: dict[tuple[str, ...], Device] = {}
    for load in state.loads:
        device = ring.devices[load.device_id]
        path = (device.region, device.zone, device.host, device.name)
        leaves[path] = device
        for level in range(1, levels + 1):
            node = path[:level]
            if node not in sums:
                sums[node] = [0.0, 0.0, 0.0]
                order.append(node)
            for index, value in enumerate((device.effective_weight, load.held, load.by_weight)):
                sums[node][index] += value
    rows: list[tuple[str | Text, ...]] = []
    for node in order:
        weight, held, share = sums[node]
        device_here = leaves.get(node)
        rows.append(
            (
                "  " * (len(node) - 1) + node[-1],
                "" if device_here is None else str(device_here.id),
                f"{weight:g}",
                f"{held:,.0f}",
                _bar(held, share),
                f"{held / share:.1%}" if share else "–",
                "" if device_here is None else device_here.state.value,
            )
        )
    return rows


def _bar(held: float, share: float) -> Text:
    fill = held / share if share else 0.0
    cells = min(_BAR_CELLS, round(fill / _BAR_FULL * _BAR_CELLS))
    style = "yellow" if fill > _WARN_FILL else "green"
    return Text("█" * cells, style=style) + Text("░" * (_BAR_CELLS - cells), style="dim")


def render_history(console: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    """List versions."""
    table = Table()
    for name in ("version", "created", "devices", "moves", "comment"):
        table.add_column(name, justify="right" if name in ("version", "devices", "moves") else "left")
    for row in rows:
        moves = "" if row["moves"] is None else f"{row['moves']:,}"
        table.add_row(str(row["version"]), row["created"], f"{row['devices']:,}", moves, row["comment"])
    console.print(table)


def render_verdict(console: Console, plain: Mapping[str, Any]) -> None:
    """List checks and what they found."""
    table = Table(title=f"{plain['ring']} version {plain['version']}", title_justify="left")
    for name in ("check", "", "found"):
        table.add_column(name)
    for row in plain["checks"]:
        mark = Text("good", style="green") if row["good"] else Text("WRONG", style="bold red")
        table.add_row(row["check"], mark, row["detail"])
    console.print(table)


def render_location(console: Console, plain: Mapping[str, Any]) -> None:
    """Show where a name lives."""
    console.print(
        f"{plain['path']}: partition {plain['partition']} (digest {plain['digest']}), ring {plain['version']}"
    )
    table = Table()
    for name in ("role", "id", "place", "node", "address", "state"):
        table.add_column(name, justify="right" if name == "id" else "left")
    for role, key in (("home", "homes"), ("former home", "former_homes"), ("stand-in", "handoffs")):
        for row in plain[key]:
            table.add_row(role, str(row["id"]), row["place"], row["node"], row["address"], row["state"])
    console.print(table)


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['region']}/{row['zone']}/{row['host']}/{row['name']}"
