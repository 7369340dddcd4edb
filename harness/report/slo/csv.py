"""The SLO report as CSV, one line an objective: numbers as shares of 1, for spreadsheets and databases."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

from harness.errors import printable
from harness.series import format_labels
from harness.slo.budget.buckets import Count
from harness.slo.budget.budget import utc
from harness.slo.budget.report import ObjectiveReport, SloReport, unit_of

COLUMNS = (
    "service", "objective", "verdict", "reason", "target", "sli", "budget_left", "unit", "total", "bad", "coverage",
    "seen_of_period", "period_start", "period_end", "counts_from", "burn_rate_last_hour", "incidents", "defects",
    "small_incidents", "group", "maintenance_s",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def slo_report_csv(report: SloReport) -> str:
    """With a header, lines ended by a line feed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(one) for one in report.objectives)
    return out.getvalue()


def _row(one: ObjectiveReport) -> list[str]:
    objective = one.objective
    return [
        _text(objective.service),
        _text(objective.name),
        one.ruling.verdict.name.lower(),
        _text(one.ruling.reason),
        _number(objective.target),
        _number(one.whole.sli if one.trusted else None),
        _number(one.left),
        unit_of(objective, 1),
        _number(one.whole.total),
        _number(one.whole.bad),
        _number(one.coverage),
        _number(one.seen_of_period),
        utc(one.judged.start_ms),
        utc(one.judged.end_ms),
        "" if one.counts_from_ms is None else utc(one.counts_from_ms),
        _number(one.paces[0].burn if one.paces else None),
        str(len(one.incidents.listed) if one.incidents else 0),
        _text("; ".join(one.defects)),
        str(one.incidents.small if one.incidents else 0),
        _text(format_labels(one.group) if one.group else ""),
        _number(Fraction(one.judged.elapsed_ms - one.judged.counted_ms, 1000)),
    ]


def _number(number: Count | None) -> str:
    if number is None:
        return ""
    return str(int(number)) if Fraction(number).denominator == 1 else repr(float(number))


def _text(text: str) -> str:
    """A name must not become a formula in a spreadsheet."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
