"""What `live` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import option
from harness.choices.shared import (
    alert_option,
    annotate_option,
    contracts_option,
    image_option,
    json_option,
    junit_option,
    report_option,
    rules_option,
)
from harness.live import DEFAULT_FACTOR


@dataclass(frozen=True, slots=True)
class LiveChoices:
    """None where nothing was chosen."""

    rules: Sequence[str] | None = rules_option()
    contracts: Sequence[str] | None = contracts_option()
    alerts: Sequence[str] | None = alert_option()
    compress: int | None = option(
        "--compress",
        help=f"run the clock K times as fast (default: {DEFAULT_FACTOR}, or the largest below that fits all durations)",
        type=int,
        metavar="K",
    )
    engine: str | None = option(
        "--engine", help="process, docker, or auto: a process if there is a binary, else docker", metavar="KIND"
    )
    image: str | None = image_option()
    alertmanager: Path | None = option(
        "--alertmanager",
        help="Alertmanager configuration whose routes, grouping and inhibition are used",
        type=Path,
        metavar="FILE",
    )
    json: str | None = json_option("write the result as JSON; - prints it instead of the table")
    report: str | None = report_option()
    junit: Path | None = junit_option()
    annotate: str | None = annotate_option()
    url: str | None = None
    """Always None: the Prometheus is one of its own."""
