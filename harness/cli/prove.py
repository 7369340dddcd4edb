"""The door of `prove`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import (
    Commands,
    add_output_options,
    add_project_options,
    add_proof_options,
    choices_of,
    config_of,
)


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "prove",
        help="measure where each alert fires and compare with its contract",
        description="Searches each contract's knob to two adjacent values of which one is quiet and one fires, "
        "measures hold, gap and recovery in ticks, plays the named situations, has promtool confirm it, and prints one "
        "row per alert as it is known. Exits 1 if any alert is not exact, 3 if one is an error.",
    )
    add_project_options(parser)
    add_proof_options(parser)
    add_output_options(parser)
    parser.add_argument("--alert", action="append", metavar="NAME", help="only this alert (repeatable)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import prove

    return prove.run(config, choices_of(arguments, config))
