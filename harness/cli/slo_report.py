"""The door of `slo report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parsing import Commands, config_of
from harness.errors import InputError
from harness.numbers import parse_whole, shortened


def add(actions: Commands) -> None:
    parser = actions.add_parser(
        "report",
        help="how objectives stand: budgets, incidents, alerts, from a server's history",
        description="Reads the history of a Prometheus-compatible server and says of each objective whether it is met, "
        "at risk, exhausted, or cannot be judged. Credentials come from ALERT_HARNESS_URL_* (docs/engines.md).",
    )
    parser.add_argument(
        "files", nargs="*", metavar="PATH", help="file, folder or glob of objectives (default: the configured)"
    )
    parser.add_argument("--prometheus", metavar="URL", help="the server to read from (default: ALERT_HARNESS_URL)")
    parser.add_argument(
        "--from", dest="begin", metavar="TIME", help="where reading begins (default: where each period does)"
    )
    parser.add_argument(
        "--to",
        dest="end",
        metavar="TIME",
        help="the moment to judge at: RFC 3339, Unix seconds, now or now-7d (default: now, at the full minute)",
    )
    parser.add_argument(
        "--window",
        default="period",
        metavar="KIND",
        help="period: each objective's own (default); run: the range itself, as if it were the period",
    )
    parser.add_argument(
        "--compress", default="1", metavar="K", help="the server's clock ran K times as fast; times are converted back"
    )
    parser.add_argument(
        "--fail-on",
        action="append",
        metavar="VERDICT",
        help="exit 1 on at-risk (or worse), exhausted, no-data, or none (repeatable; default: exhausted and no-data)",
    )
    parser.add_argument(
        "--min-coverage", metavar="SHARE", help="measured less than this share of the time: no data (default: 50%%)"
    )
    parser.add_argument("--at-risk", metavar="SHARE", help="less budget left than this: at risk (default: 25%%)")
    parser.add_argument(
        "--step", metavar="DURATION", help="length of the steps in which events are counted (default: 1m or finer)"
    )
    parser.add_argument(
        "--gap",
        metavar="DURATION",
        help="samples further apart leave a gap (default: thrice their usual distance, at most 5m)",
    )
    parser.add_argument(
        "--maintenance",
        type=Path,
        metavar="FILE",
        help="planned maintenance (YAML), which spends no budget (default: the setting maintenance)",
    )
    parser.add_argument(
        "--sum-groups", action="store_true", help="of an indicator that is grouped by labels the sum of its groups too"
    )
    parser.add_argument(
        "--quality", type=Path, metavar="FILE", help="what `slo prove --json` wrote, to stand beside it"
    )
    parser.add_argument(
        "--report", metavar="DIR", help="folder of the HTML page slo.html (default: build/report); none: no page"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it instead of the table")
    parser.add_argument("--markdown", metavar="FILE", help="write it as Markdown; - prints it instead")
    parser.add_argument("--csv", metavar="FILE", help="write a line an objective as CSV; - prints it instead")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write it as JUnit XML, failing as --fail-on says")
    parser.add_argument(
        "--timeout", default="2m", metavar="DURATION", help="how long to wait for an answer (default: 2m)"
    )
    parser.add_argument(
        "--default-slo-period",
        metavar="DURATION",
        help="period of objectives that name none (default: the setting slo_period; 30d of sloth's files)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    try:
        factor = parse_whole(arguments.compress)
    except ValueError:
        factor = 0
    if factor < 1:
        raise InputError(
            f"--compress `{shortened(arguments.compress)}` is no whole number from 1 up", hint="write something like 60"
        )
    if arguments.window not in ("period", "run"):
        raise InputError(f"--window `{arguments.window}` is unknown", hint="write period or run")
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import slo_report

    return slo_report.run(
        config,
        slo_report.ReportChoices(
            files=arguments.files,
            prometheus=arguments.prometheus,
            begin=arguments.begin,
            end=arguments.end,
            window=arguments.window,
            compress=factor,
            step=arguments.step,
            gap=arguments.gap,
            min_coverage=arguments.min_coverage,
            at_risk=arguments.at_risk,
            period=arguments.default_slo_period,
            timeout=arguments.timeout,
            quality=arguments.quality,
            page=arguments.report,
            json=arguments.json,
            markdown=arguments.markdown,
            csv=arguments.csv,
            junit=arguments.junit,
            fail_on=arguments.fail_on,
            sum_groups=arguments.sum_groups,
            maintenance=arguments.maintenance,
        ),
    )
