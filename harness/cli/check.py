"""The door of `check`."""

from __future__ import annotations

import argparse

from harness.cli.parsing import Commands, config_of


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="whether a running Prometheus has what rules, dashboards and objectives read",
        description="Looks up every metric, label and label value that rules, Grafana dashboards and objectives use on "
        "a running Prometheus, names the near miss of what is not there, and runs each dashboard query. Exits 1 if a "
        "name is not real or a panel has no data. Credentials: as for --engine url, from the environment.",
    )
    parser.add_argument("--against", required=True, metavar="URL", help="the running Prometheus-compatible server")
    parser.add_argument("--rules", action="append", metavar="PATH", help="rule file, folder or glob (repeatable)")
    parser.add_argument("--dashboards", action="append", metavar="PATH", help="Grafana dashboard, folder or glob")
    parser.add_argument("--objectives", action="append", metavar="PATH", help="objective (SLO) file, folder or glob")
    parser.add_argument("--since", default="1h", metavar="DURATION", help="how far back to look (default: 1h)")
    parser.add_argument(
        "--scrape-interval",
        default="15s",
        metavar="DURATION",
        help="as set in Grafana's data source, for $__rate_interval (default: 15s, Grafana's own)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON; - prints it instead of the text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    # Imported here, so that `--help` and usage errors answer at once.
    from harness.commands import check

    return check.run(
        config,
        check.CheckChoices(
            against=arguments.against,
            since=arguments.since,
            scrape_interval=arguments.scrape_interval,
            rules=arguments.rules,
            dashboards=arguments.dashboards,
            objectives=arguments.objectives,
            json=arguments.json,
        ),
    )
