"""The door of `live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.live import LiveChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "live",
        LiveChoices,
        run,
        help="run every alert end to end on a compressed clock: scraped, evaluated, routed, received",
        description="Starts an exporter that shows each contract's world, a real Prometheus with the rules and every "
        "duration of them divided by the factor, a real Alertmanager with your routes, and a receiver. Tells for each "
        "alert on which tick it became pending and fired, where it was delivered and whether its end was told. "
        "Exits 3 if Prometheus cannot evaluate an alert, else 1 if any is not exact.",
    )


def run(config: Config, choices: LiveChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import live

    return live.command(config, choices)
