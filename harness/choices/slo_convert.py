"""What `slo convert` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import WriteTarget, option
from harness.choices.shared import objective_files_argument, period_option


@dataclass(frozen=True, slots=True)
class ConvertChoices:
    """None where nothing was chosen."""

    files: Sequence[str] = objective_files_argument()
    output: Path | None = option(
        "-o",
        "--output",
        help="write DIR/*.yml, a file for each objective and services.yml for what is said of services",
        target=WriteTarget.FOLDER,
        type=Path,
        metavar="DIR",
    )
    period: str | None = period_option()
