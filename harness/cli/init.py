"""The door of `init`."""

from __future__ import annotations

import argparse

from harness.choices.init import InitChoices
from harness.cli.parsing import Commands, add_options, chosen


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "init",
        help="write settings, a contract skeleton for each alert, and what CI runs",
        description="Looks for alert rules in a folder and writes what is missing: alert-harness.toml, a contract "
        "skeleton for each alert, and snippets for GitHub and GitLab. Never overwrites. Every guess says `confirm:`.",
    )
    add_options(parser, InitChoices)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Without the settings: there are none yet, or wrong ones that it leaves as they are."""
    from harness.commands import init

    return init.run(chosen(InitChoices, arguments).folder)
