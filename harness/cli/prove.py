"""The door of `prove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.prove import ProveChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "prove",
        ProveChoices,
        run,
        help="measure where each alert fires and compare with its contract",
        description="Searches each contract's knob to two adjacent values of which one is quiet and one fires, "
        "measures hold, gap and recovery in ticks, plays the named situations, has promtool confirm it, and prints one "
        "row per alert as it is known. Exits 1 if any alert is not exact, 3 if one is an error.",
    )


def run(config: Config, choices: ProveChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import prove

    return prove.run(config, choices)
