"""Writes docs/configuration.md from the declarations of the settings: `python -m kit.configuration_page`."""

from __future__ import annotations

import sys
from typing import Any, Final

from kit.config import Setting, describe
from kit.settings import Settings

_INTRODUCTION: Final = """\
# Configuration

One TOML file per node, `colonnade.toml` in its data folder, read once when a process starts. Every
setting may be left out. A mistake (an unknown key, a wrong type, a value out of its bounds) stops the
start with an error that names the file, the key and the mend.

```toml
[node]
name = "node-1"
zone = "rack-7"

[proxy]
bind = "0.0.0.0"
port = 8080
```

This page is written from the code by `python -m kit.configuration_page > docs/configuration.md`; a test
holds it true.
"""

_TABLE_HEAD: Final = "| setting | default | unit | bounds | what it is |\n|---|---|---|---|---|\n"


def render() -> str:
    """Return the text of docs/configuration.md."""
    parts = [_INTRODUCTION]
    for name, doc, settings in describe(Settings):
        parts.append(f"\n## [{name}]\n\n{doc}\n\n{_TABLE_HEAD}")
        parts += [_row(one) for one in settings]
    return "".join(parts)


def _row(one: Setting) -> str:
    info = one.info
    if info.choices:
        bounds = ", ".join(info.choices)
    else:
        edges = (info.minimum, info.maximum)
        low, high = (
            "" if edge is None else f"{edge:g}" if isinstance(edge, float) else str(edge) for edge in edges
        )
        bounds = f"{low} to {high}" if low and high else f"≥ {low}" if low else f"≤ {high}" if high else ""
    return f"| `{one.key}` | `{_toml(one.default)}` | {info.unit} | {bounds} | {info.doc} |\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(render())
