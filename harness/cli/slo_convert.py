"""The door of `slo convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.choices.slo_convert import ConvertChoices
from harness.cli.parsing import Commands, add_command

if TYPE_CHECKING:
    from harness.config import Config


def add(actions: Commands) -> None:
    add_command(
        actions,
        "convert",
        ConvertChoices,
        run,
        help="objectives of any format as OpenSLO v1 documents",
        description="Writes objectives (sloth prometheus/v1, its Kubernetes objects, OpenSLO v1) as OpenSLO v1 "
        "documents, each of which was read back as the same objective. Prints them, or with -o writes a file for each "
        "into a folder. Exits 2 if something cannot be said in OpenSLO, after the rest is written.",
    )


def run(config: Config, choices: ConvertChoices) -> int:
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_convert

    return slo_convert.run(config, choices)
