"""The objectives of a run on the page, in short; the report itself is a page of its own."""

from __future__ import annotations

from typing import Any

from harness.report.html.template import shown
from harness.report.slo.wording import answer, coverage_cell, left_cell, period_cell, sli_cell, target_cell
from harness.slo.budget.report import SloReport
from harness.slo.budget.verdict import BudgetVerdict

PAGE = "slo.html"
"""The report's file, beside the page's."""
_TONES = {
    BudgetVerdict.MET: "good",
    BudgetVerdict.AT_RISK: "warn",
    BudgetVerdict.EXHAUSTED: "bad",
    BudgetVerdict.NO_DATA: "soft",
}


def objectives_view(report: SloReport) -> dict[str, Any]:
    """What the template draws."""
    said, tone = answer(report)
    return {
        "page": PAGE,
        "answer": shown(said),
        "tone": tone,
        "rows": [
            (
                shown(one.title),
                target_cell(one.objective),
                period_cell(one),
                sli_cell(one),
                left_cell(one),
                coverage_cell(one),
                one.ruling.verdict.value,
                _TONES[one.ruling.verdict],
            )
            for one in report.objectives
        ],
    }
