"""The door of `doctor`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import Commands, config_of


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="show which tools were found, and what to do about missing ones",
        description="Shows promtool, prometheus, alertmanager, amtool, node exporter and the container engine: where, "
        "which version, and for each missing one what to do.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--fetch", action="store_true", help="fetch what is missing into the cache")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import doctor

    return doctor.run(config, as_json=arguments.json, fetch=arguments.fetch)
