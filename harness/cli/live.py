"""The door of `live`."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parsing import Commands, add_output_options, config_of, outputs_of
from harness.live import DEFAULT_FACTOR


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "live",
        help="run every alert end to end on a compressed clock: scraped, evaluated, routed, received",
        description="Starts an exporter that shows each contract's world, a real Prometheus with the rules and every "
        "duration of them divided by the factor, a real Alertmanager with your routes, and a receiver. Tells for each "
        "alert on which tick it became pending and fired, where it was delivered and whether its end was told. "
        "Exits 3 if Prometheus cannot evaluate an alert, else 1 if any is not exact.",
    )
    parser.add_argument("--rules", action="append", metavar="PATH", help="rule file, folder or glob (repeatable)")
    parser.add_argument("--contracts", action="append", metavar="PATH", help="contract file, folder or glob")
    parser.add_argument("--alert", action="append", metavar="NAME", help="only this alert (repeatable)")
    parser.add_argument(
        "--compress",
        type=int,
        metavar="K",
        help=f"run the clock K times as fast (default: {DEFAULT_FACTOR}, or the largest below that fits all durations)",
    )
    parser.add_argument(
        "--engine", metavar="KIND", help="process, docker, or auto: a process if there is a binary, else docker"
    )
    parser.add_argument("--image", metavar="NAME", help="container image of Prometheus for --engine docker")
    parser.add_argument(
        "--alertmanager",
        type=Path,
        metavar="FILE",
        help="Alertmanager configuration whose routes, grouping and inhibition are used",
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - prints it instead of the table")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import live
    from harness.commands.project import RunChoices

    choices = RunChoices(
        rules=arguments.rules,
        contracts=arguments.contracts,
        engine=arguments.engine,
        image=arguments.image,
        json=arguments.json,
        alerts=arguments.alert,
        outputs=outputs_of(arguments, config),
    )
    return live.command(config, choices, factor=arguments.compress, alertmanager=arguments.alertmanager)
