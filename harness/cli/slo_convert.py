"""The door of `slo convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parsing import Commands, config_of


def add(actions: Commands) -> None:
    parser = actions.add_parser(
        "convert",
        help="objectives of any format as OpenSLO v1 documents",
        description="Writes objectives (sloth prometheus/v1, its Kubernetes objects, OpenSLO v1) as OpenSLO v1 "
        "documents, each of which was read back as the same objective. Prints them, or with -o writes a file for each "
        "into a folder. Exits 2 if something cannot be said in OpenSLO, after the rest is written.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="PATH", help="file, folder or glob of objectives (default: the configured)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write DIR/*.yml, a file for each objective and services.yml for what is said of services",
    )
    parser.add_argument(
        "--default-slo-period",
        metavar="DURATION",
        help="period of objectives that name none (default: the setting slo_period; 30d of sloth's files)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_convert

    return slo_convert.run(
        config,
        slo_convert.ConvertChoices(files=arguments.files, output=arguments.output, period=arguments.default_slo_period),
    )
