"""What `check` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass

from harness.choices.option import option
from harness.choices.shared import json_option, rules_option


@dataclass(frozen=True, slots=True)
class CheckChoices:
    """None where nothing was chosen."""

    against: str = option("--against", help="the running Prometheus-compatible server", default=MISSING, metavar="URL")
    rules: Sequence[str] | None = rules_option()
    dashboards: Sequence[str] | None = option(
        "--dashboards", help="Grafana dashboard, folder or glob", action="append", metavar="PATH"
    )
    objectives: Sequence[str] | None = option(
        "--objectives", help="objective (SLO) file, folder or glob", action="append", metavar="PATH"
    )
    since: str = option("--since", help="how far back to look (default: 1h)", default="1h", metavar="DURATION")
    scrape_interval: str = option(
        "--scrape-interval",
        help="as set in Grafana's data source, for $__rate_interval (default: 15s, Grafana's own)",
        default="15s",
        metavar="DURATION",
    )
    json: str | None = json_option("write the results as JSON; - prints it instead of the text")

    @property
    def named(self) -> bool:
        """Whether anything was named; then it is checked alone, without what is configured."""
        return bool(self.rules or self.dashboards or self.objectives)
