"""What `slo compile` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import WriteTarget, option
from harness.choices.shared import objective_files_argument, period_option


@dataclass(frozen=True, slots=True)
class CompileChoices:
    """None where nothing was chosen."""

    files: Sequence[str] = objective_files_argument()
    output: Path | None = option(
        "-o",
        "--output",
        help="write DIR/rules/*.yml and DIR/tests/*.test.yml, a file of each for each objective",
        target=WriteTarget.FOLDER,
        type=Path,
        metavar="DIR",
    )
    format: str = option(
        "--format",
        help="rule files, or PrometheusRule objects (with -o: in DIR/manifests, beside the rule files)",
        default="prometheus",
        choices=("prometheus", "prometheus-operator"),
    )
    windows: str = option(
        "--windows",
        help="window catalogue: workbook (the SRE Workbook's), pyrra, or a file of sloth's AlertWindows; scaled to the "
        "period (default: workbook)",
        default="workbook",
        metavar="NAME",
    )
    interval: str = option(
        "--interval", help="how often rules are evaluated (default: 1m)", default="1m", metavar="DURATION"
    )
    period: str | None = period_option()
    one_alert: bool = option(
        "--one-alert",
        help="one alert for each severity, as sloth writes it: two pairs fire as one",
        default=False,
        action="store_true",
    )
    no_data: bool = option(
        "--no-data-alert",
        help="whether to alert on absent data of an indicator too (default: on)",
        default=True,
        convert=lambda text: text == "on",
        choices=("on", "off"),
    )
