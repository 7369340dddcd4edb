"""The door of `test`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.test import SuiteChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(commands: Commands) -> None:
    add_command(
        commands,
        "test",
        SuiteChoices,
        run,
        help="run promtool unit tests, and say what promtool's SUCCESS hides",
        description="Runs promtool unit-test files with promtool as the judge, in parallel, and fails where its "
        "SUCCESS is empty: misspelt alerts, rules that were not loaded, groups that assert nothing, ... Exits 1 if an "
        "assertion fails or a check does.",
    )


def run(config: Config, choices: SuiteChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import test

    return test.run(config, choices)
