"""What `test` lets one choose."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import option
from harness.choices.shared import annotate_option, json_option, junit_option, report_option


@dataclass(frozen=True, slots=True)
class SuiteChoices:
    """None where nothing was chosen."""

    files: Sequence[str] = option(
        help="unit-test file, folder or glob (default: the configured)", default=(), nargs="*", metavar="PATH"
    )
    run_groups: Sequence[str] = option(
        "--run",
        help="only test groups of a matching name (promtool's)",
        default=(),
        action="append",
        metavar="REGEX",
    )
    features: Sequence[str] = option(
        "--enable-feature", help="feature of promtool (repeatable)", default=(), action="append", metavar="NAME"
    )
    ignore_unknown_fields: bool = option(
        "--ignore-unknown-fields", help="promtool's switch of this name", default=False, action="store_true"
    )
    strict: bool | None = option(
        "--strict",
        help="whether matters of taste are errors too: alerts that fire without an assertion, untested rules, ...",
        action=BooleanOptionalAction,
    )
    jobs: int = option("--jobs", help="promtool processes at a time (default: cores)", default=0, type=int, metavar="N")
    json: str | None = json_option("write the results as JSON; - prints it instead of the text")
    report: str | None = report_option()
    junit: Path | None = junit_option()
    annotate: str | None = annotate_option()
