"""The door of `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.doctor import DoctorChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "doctor",
        DoctorChoices,
        run,
        help="show which tools were found, and what to do about missing ones",
        description="Shows promtool, prometheus, alertmanager, amtool, node exporter and the container engine: where, "
        "which version, and for each missing one what to do.",
    )


def run(config: Config, choices: DoctorChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import doctor

    return doctor.run(config, choices)
