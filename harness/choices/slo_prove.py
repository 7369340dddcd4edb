"""What `slo prove` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.choices.option import WriteTarget, option
from harness.choices.shared import (
    engine_option,
    image_option,
    json_option,
    objective_files_argument,
    period_option,
    url_option,
)


@dataclass(frozen=True, slots=True)
class QualityChoices:
    """None where nothing was chosen."""

    files: Sequence[str] = objective_files_argument()
    rules: Sequence[str] | None = option(
        "--rules",
        help="prove these rule files, folders or globs, not the compiled rules (repeatable)",
        action="append",
        metavar="PATH",
    )
    windows: str = option(
        "--windows",
        help="window catalogue to compile with, and to judge by: workbook, pyrra, or a file of sloth's AlertWindows "
        "(default: workbook)",
        default="workbook",
        metavar="NAME",
    )
    objectives: Sequence[str] | None = option(
        "--objective", help="only this objective (repeatable)", action="append", metavar="NAME"
    )
    interval: str = option(
        "--interval", help="how often compiled rules are evaluated (default: 1m)", default="1m", metavar="DURATION"
    )
    period: str | None = period_option()
    json: str | None = json_option("write everything as JSON; - prints it instead of the table")
    picture: str | None = option(
        "--picture",
        help="draw detection time over error ratio, measured and by the closed form (SVG)",
        target=WriteTarget.FILE,
        metavar="FILE",
    )
    engine: str | None = engine_option()
    image: str | None = image_option()
    url: str | None = url_option()
