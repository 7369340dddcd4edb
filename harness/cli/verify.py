"""The door of `verify`."""

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
        "verify",
        help="everything that is configured: check, test, prove, live, stack, objectives; yes or no",
        description="Loads rules and contracts, runs `promtool check rules` with lint and the promtool unit tests, "
        "proves every alert, runs all of them end to end on a compressed clock, plays the configured scenario on the "
        "instrumented stack, and ends in a clear yes or no.",
    )
    add_project_options(parser)
    add_proof_options(parser)
    add_output_options(parser)
    parser.add_argument("--tests", action="append", metavar="PATH", help="promtool test file, folder or glob")
    parser.add_argument(
        "--skip", action="append", default=[], metavar="STEP", help="leave this step out: live, stack (repeatable)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import verify

    return verify.run(config, choices_of(arguments, config), tests=arguments.tests, skip=arguments.skip)
