"""The door of `slo prove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.slo_prove import QualityChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(actions: Commands) -> None:
    add_command(
        actions,
        "prove",
        QualityChoices,
        run,
        help="how good burn-rate alerts are, over an incident library",
        description="Plays an incident library (constant error ratios from 1 % to 100 %, outages, spikes, leaks, "
        "flapping, low and uneven traffic, gaps, restarts, deploys) through the compiled rules, or through --rules, "
        "and reports for each severity detection and reset times, the budget spent at detection, missed incidents and "
        "false alerts, beside the closed form, and each pair's threshold to two adjacent doubles. Exits 1 unless every "
        "severity does what the objective's window pairs say.",
    )


def run(config: Config, choices: QualityChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_prove

    return slo_prove.run(config, choices)
