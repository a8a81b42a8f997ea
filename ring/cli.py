"""`ringctl`: the operator's command for the placement ring. Its commands live in cli_edit, cli_move and
cli_show.
"""

import click

from ring.cli_edit import add, create, drain, import_, remove, set_weight
from ring.cli_frame import EXIT_HELP
from ring.cli_move import plan, rebalance
from ring.cli_show import export, history, locate, show, verify


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXIT_HELP,
)
def main() -> None:
    """Make, change and examine the placement ring of a colony.

    Changes of devices are staged first; `plan` shows what they would move and `rebalance` carries them out.
    """


for _command in (
    create, add, remove, set_weight, drain, plan, rebalance, show, history, verify, locate, export, import_,
):  # fmt: skip
    main.add_command(_command)
