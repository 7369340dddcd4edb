"""The door of `slo compile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.slo_compile import CompileChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(actions: Commands) -> None:
    add_command(
        actions,
        "compile",
        CompileChoices,
        run,
        help="recording rules and burn-rate alerts, with promtool tests",
        description="Compiles objectives to recording rules and multi-window, multi-burn-rate alerts under sloth's "
        "names and labels. Prints the rules once promtool has taken them, or with -o writes rules/ and tests/ into "
        "a folder.",
    )


def run(config: Config, choices: CompileChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_compile

    return slo_compile.run(config, choices)
