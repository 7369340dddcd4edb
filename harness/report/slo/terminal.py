"""The SLO report on a terminal: a line an objective with a sparkline of its budget, then what there is to say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from harness.report.slo.wording import (
    MARKS,
    answer,
    coverage_cell,
    left_cell,
    period_cell,
    range_text,
    sentence,
    sli_cell,
    sparkline,
    target_cell,
)
from harness.report.terminal import console, shortened
from harness.report.wording import one_line
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.verdict import BudgetVerdict, lasting, percent
from harness.slo.model import Objective
from harness.slo.periods import moment

_COLOURS = {
    BudgetVerdict.MET: "green",
    BudgetVerdict.AT_RISK: "yellow",
    BudgetVerdict.EXHAUSTED: "red",
    BudgetVerdict.NO_DATA: "dim",
}
_TONES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red", "soft": "bold"}
_HEADER = ("objective", "verdict", "measured", "target", "budget left", "over the period", "coverage", "period")
_NUMBERS = ("measured", "target", "budget left", "coverage")
_MOST_INCIDENTS = 3


def print_slo_report(report: SloReport, out: Console) -> None:
    """The table, what decided each verdict, the dearest incidents, and the answer as the last line."""
    slo_table(report, out)
    for one in report.objectives:
        out.print()
        style = _COLOURS[one.ruling.verdict]
        head = Text.assemble((shortened(one_line(one.title)), "bold"), "  ", (one.ruling.verdict.value, style))
        out.print(head)
        for line, shade in _lines(one):
            out.print(Padding(Text(line, style=shade), (0, 0, 0, 2), expand=False))
    out.print()
    said, tone = answer(report)
    out.print(Text(said, style=_TONES[tone]))
    out.print(Text(range_text(report), style="dim"))


def slo_table(report: SloReport, out: Console) -> None:
    """One row per objective."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in _HEADER:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for one in report.objectives:
        table.add_row(*_row(one))
    out.print(table)


def _row(one: ObjectiveReport) -> list[Text]:
    verdict = one.ruling.verdict
    judged = verdict is not BudgetVerdict.NO_DATA
    return [
        Text(shortened(one_line(one.title))),
        Text(f"{MARKS[verdict]} {verdict.value}", style=_COLOURS[verdict]),
        Text(sli_cell(one) if judged else "–"),
        Text(target_cell(one.objective)),
        Text(left_cell(one) if judged else "–"),
        Text(sparkline(one)),
        Text(coverage_cell(one)),
        Text(period_cell(one)),
    ]


def _lines(one: ObjectiveReport) -> Iterator[tuple[str, str]]:
    yield sentence(one.ruling.reason), ""
    if one.policy_is_due and one.policy:
        yield f"Budget policy: {sentence(one.policy)}", ""
    for defect in one.defects:
        yield f"Cannot be right: {sentence(defect)}", "red"
    for incident in (one.incidents.listed if one.incidents else ())[:_MOST_INCIDENTS]:
        yield (
            f"{moment(incident.start_ms, one.judged.zone)}, {lasting(incident.end_ms - incident.start_ms)}: "
            f"{percent(incident.cost)} of the budget",
            "",
        )
    for caveat in one.caveats:
        yield sentence(caveat), "dim"


@contextmanager
def reading(objectives: int) -> Iterator[Callable[[Objective, float], None]]:
    """Progress over the objectives while their history is read, on standard error; silent off a terminal."""
    err = console(sys.stderr)
    if not err.is_terminal or os.environ.get("TERM") == "dumb":
        yield lambda _objective, _share: None
        return
    bar = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True)
    task = bar.add_task("reading", total=objectives)
    done: dict[str, float] = {}
    with bar:

        def told(objective: Objective, share: float) -> None:
            done[objective.id] = max(share, done.get(objective.id, 0.0))
            finished = sum(done.values())
            name = escape(shortened(one_line(objective.title)))
            bar.update(task, completed=finished, description=f"reading {name}")

        yield told
