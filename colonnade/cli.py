"""The command `colonnade`: starts colonies and tells of them. Exit codes are those of `Exit`."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Final

import click

from colonnade.cli_run import node, up
from colonnade.cli_tell import config, env, restart, status, stop, version

# Commands that other parts of the tree bring along: module and name of the click command.
_FURTHER: Final = {
    "certificate": ("colonnade.certificate", "certificate"),
    "keys": ("colonnade.keys", "keys"),
    "user": ("colonnade.users", "user"),
    "ring": ("colonnade.cli_ring", "ring"),
}


class _Commands(click.Group):
    """Loads further commands when they are called, so that the others start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        further = [name for name, (module, _) in _FURTHER.items() if importlib.util.find_spec(module)]
        return sorted([*super().list_commands(ctx), *further])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _FURTHER:
            module, name = _FURTHER[cmd_name]
            found = getattr(importlib.import_module(module), name)
            assert isinstance(found, click.Command)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def main() -> None:
    """Colonnade, a federated object store: S3 and Swift over one namespace.

    \b
    Exit codes:
      0  done
      1  failed; standard error says why
      2  wrong usage
      3  no colony there, or none runs
    """


for _command in (up, node, status, restart, stop, env, config, version):
    main.add_command(_command)
