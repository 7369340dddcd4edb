"""What `slo report` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import WriteTarget, option, printed_documents
from harness.choices.shared import json_option, objective_files_argument, period_option
from harness.errors import InputError
from harness.numbers import parse_whole, shortened


def _factor(text: str) -> int:
    try:
        factor = parse_whole(text)
    except ValueError:
        factor = 0
    if factor < 1:
        raise InputError(f"--compress `{shortened(text)}` is no whole number from 1 up", hint="write something like 60")
    return factor


def _window(text: str) -> str:
    if text not in ("period", "run"):
        raise InputError(f"--window `{text}` is unknown", hint="write period or run")
    return text


@dataclass(frozen=True, slots=True)
class ReportChoices:
    """None where nothing was chosen."""

    files: Sequence[str] = objective_files_argument()
    prometheus: str | None = option(
        "--prometheus", help="the server to read from (default: ALERT_HARNESS_URL)", metavar="URL"
    )
    begin: str | None = option("--from", help="where reading begins (default: where each period does)", metavar="TIME")
    end: str | None = option(
        "--to",
        help="the moment to judge at: RFC 3339, Unix seconds, now or now-7d (default: now, at the full minute)",
        metavar="TIME",
    )
    window: str = option(
        "--window",
        help="period: each objective's own (default); run: the range itself, as if it were the period",
        default="period",
        convert=_window,
        metavar="KIND",
    )
    compress: int = option(
        "--compress",
        help="the server's clock ran K times as fast; times are converted back",
        default=1,
        convert=_factor,
        metavar="K",
    )
    fail_on: Sequence[str] | None = option(
        "--fail-on",
        help="exit 1 on at-risk (or worse), exhausted, no-data, or none (repeatable; default: exhausted and no-data)",
        action="append",
        metavar="VERDICT",
    )
    min_coverage: str | None = option(
        "--min-coverage",
        help="measured less than this share of the time: no data (default: 50%%)",
        metavar="SHARE",
    )
    at_risk: str | None = option(
        "--at-risk", help="less budget left than this: at risk (default: 25%%)", metavar="SHARE"
    )
    step: str | None = option(
        "--step", help="length of the steps in which events are counted (default: 1m or finer)", metavar="DURATION"
    )
    gap: str | None = option(
        "--gap",
        help="samples further apart leave a gap (default: thrice their usual distance, at most 5m)",
        metavar="DURATION",
    )
    maintenance: Path | None = option(
        "--maintenance",
        help="planned maintenance (YAML), which spends no budget (default: the setting maintenance)",
        type=Path,
        metavar="FILE",
    )
    sum_groups: bool = option(
        "--sum-groups",
        help="of an indicator that is grouped by labels the sum of its groups too",
        default=False,
        action="store_true",
    )
    quality: Path | None = option(
        "--quality", help="what `slo prove --json` wrote, to stand beside it", type=Path, metavar="FILE"
    )
    page: str | None = option(
        "--report", help="folder of the HTML page slo.html (default: build/report); none: no page", metavar="DIR"
    )
    json: str | None = json_option("write the report as JSON; - prints it instead of the table")
    markdown: str | None = option(
        "--markdown", help="write it as Markdown; - prints it instead", target=WriteTarget.DOCUMENT, metavar="FILE"
    )
    csv: str | None = option(
        "--csv",
        help="write a line an objective as CSV; - prints it instead",
        target=WriteTarget.DOCUMENT,
        metavar="FILE",
    )
    junit: Path | None = option(
        "--junit",
        help="write it as JUnit XML, failing as --fail-on says",
        target=WriteTarget.FILE,
        type=Path,
        metavar="FILE",
    )
    timeout: str = option(
        "--timeout", help="how long to wait for an answer (default: 2m)", default="2m", metavar="DURATION"
    )
    period: str | None = period_option()

    @property
    def prints_document(self) -> bool:
        """Whether standard output belongs to a document."""
        return bool(printed_documents(self))
