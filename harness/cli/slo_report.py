"""The door of `slo report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.slo_report import ReportChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(actions: Commands) -> None:
    add_command(
        actions,
        "report",
        ReportChoices,
        run,
        help="how objectives stand: budgets, incidents, alerts, from a server's history",
        description="Reads the history of a Prometheus-compatible server and says of each objective whether it is met, "
        "at risk, exhausted, or cannot be judged. Credentials come from ALERT_HARNESS_URL_* (docs/engines.md).",
    )


def run(config: Config, choices: ReportChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_report

    return slo_report.run(config, choices)
