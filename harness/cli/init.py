"""The door of `init`."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parsing import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "init",
        help="write settings, a contract skeleton for each alert, and what CI runs",
        description="Looks for alert rules in a folder and writes what is missing: alert-harness.toml, a contract "
        "skeleton for each alert, and snippets for GitHub and GitLab. Never overwrites. Every guess says `confirm:`.",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: this folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from harness.commands import init

    return init.run(arguments.folder)
