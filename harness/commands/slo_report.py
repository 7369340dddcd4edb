"""How objectives stand, from what a Prometheus-compatible server holds."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.text import Text

from harness.choices.slo_report import ReportChoices
from harness.commands.objectives import duration_ms, load, tell
from harness.commands.writing import check_targets, must_be_writable, write
from harness.config import Config
from harness.engines.base import Engine
from harness.engines.url import UrlEngine
from harness.errors import InputError, near_miss
from harness.files import write_document
from harness.numbers import parse_number, shortened
from harness.prometheus import DEFAULTS
from harness.report.junit import junit_xml
from harness.report.outputs import OFF
from harness.report.section import exit_code, section_of
from harness.report.slo.alert_quality import check_quality
from harness.report.slo.csv import slo_report_csv
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.report.slo.markdown import slo_report_markdown
from harness.report.slo.section import SloGate
from harness.report.slo.summary import PAGE
from harness.report.slo.terminal import print_slo_report, reading
from harness.report.terminal import console
from harness.report.wording import one_line
from harness.slo.budget.judge import Progress, make_report, silent
from harness.slo.budget.maintenance import in_vain, load_maintenance
from harness.slo.budget.report import SloReport
from harness.slo.budget.verdict import BudgetVerdict, Rules
from harness.slo.model import Objective
from harness.slo.periods import Window, parse_time_ms
from harness.source import display_path

FAIL_ON: Mapping[str, frozenset[BudgetVerdict]] = {
    "at-risk": frozenset({BudgetVerdict.AT_RISK, BudgetVerdict.EXHAUSTED}),
    "exhausted": frozenset({BudgetVerdict.EXHAUSTED}),
    "no-data": frozenset({BudgetVerdict.NO_DATA}),
    "none": frozenset(),
}
"""What each `--fail-on` fails; an indicator that cannot be right fails with all but `none`."""


def run(config: Config, choices: ReportChoices) -> int:
    """Report on the objectives; 1 if a verdict is one of those that `--fail-on` names."""
    now_ms = time.time_ns() // 1_000_000
    end = now_ms - now_ms % 60_000 if choices.end is None else parse_time_ms(choices.end, "--to", now_ms)
    begin = None if choices.begin is None else parse_time_ms(choices.begin, "--from", now_ms)
    window = Window(choices.window)
    if window is Window.RUN and begin is None:
        raise InputError("--window run needs the run's beginning", hint="name it with --from")
    usual = Rules()
    rules = Rules(
        _share(choices.min_coverage, "--min-coverage", usual.coverage_floor),
        _share(choices.at_risk, "--at-risk", usual.at_risk),
    )
    failing = verdicts_that_fail(choices.fail_on)
    page = _page(config, choices)
    check_targets(choices)
    if page is not None:
        must_be_writable("--report", page, folder=False)
    quality = _quality(choices.quality)
    objectives = load(config, choices.files, choices.period)
    file = choices.maintenance or config.maintenance
    planned = () if file is None else load_maintenance(file)
    tell(in_vain(planned, objectives))
    engine = open_server(choices.prometheus or config.url, timeout_s=duration_ms("--timeout", choices.timeout) / 1000)
    with engine, reading(len(objectives)) as progress:
        report = make_report(
            objectives, engine, begin, end,
            compress=choices.compress, window=window, rules=rules, quality=quality, progress=progress,
            sum_groups=choices.sum_groups, maintenance=planned,
            lookback_ms=_lookback_ms(config, engine, choices.compress),
            gap_ms=None if choices.gap is None else duration_ms("--gap", choices.gap),
            step_ms=None if choices.step is None else duration_ms("--step", choices.step),
        )  # fmt: skip
    sections = [section_of(SloGate(report, failing, list(choices.fail_on or ()) != ["none"]))]
    out = console(sys.stderr if choices.prints_document else None)
    if not choices.prints_document:
        print_slo_report(report, out)
    for target, render in ((choices.markdown, slo_report_markdown), (choices.csv, slo_report_csv)):
        if target is not None:
            write(target, render(report))
    if choices.json is not None:
        write(choices.json, slo_report_json(report, sections))
    if choices.junit is not None:
        write_document(choices.junit, junit_xml(sections))
    if page is not None:
        write_page(report, page)
        out.print()
        out.print(Text(f"report: {one_line(display_path(page))}"), soft_wrap=True)
    return exit_code(sections)


def report(
    objectives: Sequence[Objective],
    engine: Engine,
    start_ms: int,
    end_ms: int,
    *,
    compress: int = 1,
    window: str = "run",
    quality: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> SloReport:
    """The report over a run: `start_ms` to `end_ms` of the engine's clock, which ran `compress` times as fast.

    `window` is ``run`` or ``period``. Raises as :func:`harness.slo.budget.judge.make_report` does.
    """
    return make_report(
        objectives, engine, start_ms, end_ms,
        compress=compress, window=Window(window), quality=quality, progress=progress,
    )  # fmt: skip


def write_page(report: SloReport, file: Path) -> None:
    """The HTML page."""
    write_document(file, slo_report_html(report))


def verdicts_that_fail(fail_on: Sequence[str] | None) -> frozenset[BudgetVerdict]:
    """What the values of `--fail-on` name together; exhausted and no data if there are none: a misspelt metric passes
    no gate."""
    for name in fail_on or ():
        if name not in FAIL_ON:
            raise InputError(
                f"--fail-on {name}: there is no such verdict{near_miss(name, FAIL_ON)}",
                hint=f"expected one of: {', '.join(FAIL_ON)}",
            )
    return frozenset().union(*(FAIL_ON[name] for name in fail_on or ("exhausted", "no-data")))


def open_server(url: str | None, *, timeout_s: float) -> UrlEngine:
    """The server to read from; credentials come from ALERT_HARNESS_URL_*."""
    named = url or os.environ.get("ALERT_HARNESS_URL")
    if not named:
        raise InputError("no server to read from", hint="name it with --prometheus, such as http://127.0.0.1:9090")
    return UrlEngine(named, timeout_s=timeout_s, read_only=True)


def _lookback_ms(config: Config, engine: UrlEngine, compress: int) -> int:
    """How old a sample may be that the server sees, in the world's time: as it says itself, else as the settings say.

    Raises InputError where they differ. A run on a faster clock saw with the settings' lookback on that clock.
    """
    own = replace(DEFAULTS, lookback_ms=config.server().lookback_ms)
    if compress == 1:
        named = {field: span for field, span in config.named().items() if field == "lookback_ms"}
        own = engine.tell_server(own, named)
    return own.lookback_ms


def _page(config: Config, choices: ReportChoices) -> Path | None:
    """A folder on the command line is relative to where the user stands, one in the settings to their file."""
    named = config.report if choices.page is None else choices.page
    if named in OFF:
        return None
    folder = config.folder if choices.page is None else Path()
    return folder / named / PAGE


def _share(text: str | None, option: str, default: Fraction) -> Fraction:
    """``25%`` or ``0.25``."""
    if text is None:
        return default
    try:
        share = parse_number(text.strip().removesuffix("%").strip()) / (100 if text.strip().endswith("%") else 1)
    except ValueError as err:
        raise InputError(f"{option} `{shortened(text)}` is no share", hint="write a percentage, such as 25%") from err
    if not 0 <= share <= 1:
        raise InputError(
            f"{option} `{shortened(text)}` is not between 0 and 100 %", hint="write a percentage, such as 25%"
        )
    return share


def _quality(file: Path | None) -> Mapping[str, Any] | None:
    """The document of `slo prove --json`."""
    if file is None:
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(
            f"cannot read {file}: {err.strerror or err}", hint="name a file of `slo prove --json`"
        ) from err
    except ValueError as err:
        raise InputError(f"{file} is no JSON: {err}", hint="name a file that `slo prove --json` wrote") from err
    return check_quality(document, str(file))
