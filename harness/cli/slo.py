"""The door of `slo`: commands on service level objectives."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli import slo_convert, slo_prove, slo_report
from harness.cli.parsing import Commands, config_of


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "slo",
        help="service level objectives: compile to rules, convert, prove, report",
        description="Reads service level objectives (OpenSLO v1, sloth prometheus/v1), compiles them to burn-rate "
        "rules, converts them to OpenSLO, measures how good such rules are, and reports how the budgets stand.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_compile(actions)
    slo_convert.add(actions)
    slo_prove.add(actions)
    slo_report.add(actions)


def _add_compile(actions: Commands) -> None:
    parser = actions.add_parser(
        "compile",
        help="recording rules and burn-rate alerts, with promtool tests",
        description="Compiles objectives to recording rules and multi-window, multi-burn-rate alerts under sloth's "
        "names and labels. Prints the rules once promtool has taken them, or with -o writes rules/ and tests/ into "
        "a folder.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="PATH", help="file, folder or glob of objectives (default: the configured)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write DIR/rules/*.yml and DIR/tests/*.test.yml, a file of each for each objective",
    )
    parser.add_argument(
        "--format",
        default="prometheus",
        choices=("prometheus", "prometheus-operator"),
        help="rule files, or PrometheusRule objects (with -o: in DIR/manifests, beside the rule files)",
    )
    parser.add_argument(
        "--windows",
        default="workbook",
        metavar="NAME",
        help="window catalogue: workbook (the SRE Workbook's), pyrra, or a file of sloth's AlertWindows; scaled to the "
        "period (default: workbook)",
    )
    parser.add_argument(
        "--interval", default="1m", metavar="DURATION", help="how often rules are evaluated (default: 1m)"
    )
    parser.add_argument(
        "--default-slo-period",
        metavar="DURATION",
        help="period of objectives that name none (default: the setting slo_period; 30d of sloth's files)",
    )
    parser.add_argument(
        "--one-alert",
        action="store_true",
        help="one alert for each severity, as sloth writes it: two pairs fire as one",
    )
    parser.add_argument(
        "--no-data-alert",
        default="on",
        choices=("on", "off"),
        help="whether to alert on absent data of an indicator too (default: on)",
    )
    parser.set_defaults(run=run_compile)


def run_compile(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_compile

    return slo_compile.run(
        config,
        slo_compile.CompileChoices(
            files=arguments.files,
            output=arguments.output,
            format=arguments.format,
            windows=arguments.windows,
            interval=arguments.interval,
            period=arguments.default_slo_period,
            one_alert=arguments.one_alert,
            no_data=arguments.no_data_alert == "on",
        ),
    )
