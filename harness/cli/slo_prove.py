"""The door of `slo prove`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import Commands, config_of


def add(actions: Commands) -> None:
    parser = actions.add_parser(
        "prove",
        help="how good burn-rate alerts are, over an incident library",
        description="Plays an incident library (constant error ratios from 1 % to 100 %, outages, spikes, leaks, "
        "flapping, low and uneven traffic, gaps, restarts, deploys) through the compiled rules, or through --rules, "
        "and reports for each severity detection and reset times, the budget spent at detection, missed incidents and "
        "false alerts, beside the closed form, and each pair's threshold to two adjacent doubles. Exits 1 unless every "
        "severity does what the objective's window pairs say.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="PATH", help="file, folder or glob of objectives (default: the configured)"
    )
    parser.add_argument(
        "--rules",
        action="append",
        metavar="PATH",
        help="prove these rule files, folders or globs, not the compiled rules (repeatable)",
    )
    parser.add_argument(
        "--windows",
        default="workbook",
        metavar="NAME",
        help="window catalogue to compile with, and to judge by: workbook, pyrra, or a file of sloth's AlertWindows "
        "(default: workbook)",
    )
    parser.add_argument("--objective", action="append", metavar="NAME", help="only this objective (repeatable)")
    parser.add_argument(
        "--interval", default="1m", metavar="DURATION", help="how often compiled rules are evaluated (default: 1m)"
    )
    parser.add_argument(
        "--default-slo-period",
        metavar="DURATION",
        help="period of objectives that name none (default: the setting slo_period; 30d of sloth's files)",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; - prints it instead of the table")
    parser.add_argument(
        "--picture", metavar="FILE", help="draw detection time over error ratio, measured and by the closed form (SVG)"
    )
    parser.add_argument(
        "--engine",
        metavar="KIND",
        help="process (a local prometheus), docker, url, or auto: a process if there is a binary, else docker",
    )
    parser.add_argument("--image", metavar="NAME", help="container image of Prometheus for --engine docker")
    parser.add_argument("--url", metavar="URL", help="Prometheus-compatible API with remote write for --engine url")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    from harness.commands import slo_prove

    return slo_prove.run(
        config,
        slo_prove.QualityChoices(
            files=arguments.files,
            rules=arguments.rules,
            windows=arguments.windows,
            objectives=arguments.objective,
            interval=arguments.interval,
            period=arguments.default_slo_period,
            json=arguments.json,
            picture=arguments.picture,
            engine=arguments.engine,
            image=arguments.image,
            url=arguments.url,
        ),
    )
