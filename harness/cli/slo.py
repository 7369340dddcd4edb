"""The door of `slo`: commands on service level objectives."""

from __future__ import annotations

from harness.cli import slo_compile, slo_convert, slo_prove, slo_report
from harness.cli.parsing import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "slo",
        help="service level objectives: compile to rules, convert, prove, report",
        description="Reads service level objectives (OpenSLO v1, sloth prometheus/v1), compiles them to burn-rate "
        "rules, converts them to OpenSLO, measures how good such rules are, and reports how the budgets stand.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    slo_compile.add(actions)
    slo_convert.add(actions)
    slo_prove.add(actions)
    slo_report.add(actions)
