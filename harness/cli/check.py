"""The door of `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.check import CheckChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "check",
        CheckChoices,
        run,
        help="whether a running Prometheus has what rules, dashboards and objectives read",
        description="Looks up every metric, label and label value that rules, Grafana dashboards and objectives use on "
        "a running Prometheus, names the near miss of what is not there, and runs each dashboard query. Exits 1 if a "
        "name is not real or a panel has no data. Credentials: as for --engine url, from the environment.",
    )


def run(config: Config, choices: CheckChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import check

    return check.run(config, choices)
