"""The SLO report as Markdown, for pull requests and CI logs."""

from __future__ import annotations

from tabulate import tabulate

from harness.report.markdown import escape_markdown
from harness.report.slo.wording import (
    MARKS,
    answer,
    coverage_cell,
    events_cell,
    left_cell,
    period_cell,
    range_text,
    sentence,
    sli_cell,
    target_cell,
)
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.verdict import BudgetVerdict, lasting, percent
from harness.slo.periods import moment

_HEADER = ("objective", "verdict", "measured", "target", "budget left", "bad", "coverage", "period")


def slo_report_markdown(report: SloReport) -> str:
    """A sentence, a table, then per objective why, what it cost, and what bears on it."""
    rows = [[escape_markdown(cell) for cell in _row(one)] for one in report.objectives]
    parts = [
        f"**{escape_markdown(answer(report)[0])}** {escape_markdown(range_text(report))}",
        tabulate(rows, headers=_HEADER, tablefmt="github", disable_numparse=True),
    ]
    parts += [_details(one) for one in report.objectives]
    return "\n\n".join(parts) + "\n"


def _row(one: ObjectiveReport) -> list[str]:
    judged = one.ruling.verdict is not BudgetVerdict.NO_DATA
    return [
        one.title,
        f"{MARKS[one.ruling.verdict]} {one.ruling.verdict.value}",
        sli_cell(one) if judged else "–",
        target_cell(one.objective),
        left_cell(one) if judged else "–",
        events_cell(one) if judged else "–",
        coverage_cell(one),
        period_cell(one),
    ]


def _details(one: ObjectiveReport) -> str:
    lines = [sentence(one.ruling.reason)]
    if one.policy_is_due and one.policy:
        lines.append(f"Budget policy: {sentence(one.policy)}")
    lines += [f"What cannot be right: {text}." for text in one.defects]
    for incident in (one.incidents.listed if one.incidents else ())[:3]:
        lines.append(
            f"Incident {moment(incident.start_ms, one.judged.zone)}, {lasting(incident.end_ms - incident.start_ms)}: "
            f"{percent(incident.cost)} of the budget."
        )
    lines += [sentence(text) for text in one.caveats]
    return "\n".join(
        [f"**{escape_markdown(one.title)}** ({escape_markdown(one.objective.service)})", ""]
        + [f"- {escape_markdown(line)}" for line in lines]
    )
