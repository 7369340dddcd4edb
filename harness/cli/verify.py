"""The door of `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.verify import VerifyChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "verify",
        VerifyChoices,
        run,
        help="everything that is configured: check, test, prove, live, stack, objectives; yes or no",
        description="Loads rules and contracts, runs `promtool check rules` with lint and the promtool unit tests, "
        "proves every alert, runs all of them end to end on a compressed clock, plays the configured scenario on the "
        "instrumented stack, and ends in a clear yes or no.",
    )


def run(config: Config, choices: VerifyChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import verify

    return verify.run(config, choices)
