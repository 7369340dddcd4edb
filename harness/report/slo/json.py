"""The SLO report as JSON, version 1; docs/slo-report.md describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from harness.report.document import document_text, findings_json
from harness.report.section import Section
from harness.report.slo.wording import queries, what_is_counted
from harness.slo.budget.buckets import Count, EventTally
from harness.slo.budget.budget import BurnIncident, Burning, Hour, Point, utc
from harness.slo.budget.observed import Provenance
from harness.slo.budget.report import BurnPace, ObjectiveReport, SloReport, unit_of
from harness.slo.budget.verdict import BudgetVerdict
from harness.slo.model import Calendar


def slo_report_json(report: SloReport, sections: Sequence[Section]) -> str:
    """The document that `slo report --json` prints, with a final newline. Ratios are shares of 1, times UTC."""
    document = {
        "version": 1,
        "from": None if report.from_ms is None else utc(report.from_ms),
        "to": utc(report.to_ms),
        "window": report.window.value,
        "compress": report.compress,
        "rules": {
            "coverage_floor": float(report.rules.coverage_floor),
            "at_risk_below": float(report.rules.at_risk),
        },
        "summary": {verdict.name.lower(): report.count(verdict) for verdict in BudgetVerdict},
        "objectives": [_objective(one) for one in report.objectives],
        "quality": report.quality,
        "findings": findings_json(sections),
    }
    return document_text(document)


def _objective(one: ObjectiveReport) -> dict[str, Any]:
    return {
        **_defined(one),
        "verdict": one.ruling.verdict.name.lower(),
        "reason": one.ruling.reason,
        "budget_policy": one.policy,
        **_measured(one),
        "counting": None if one.provenance is None else _counting(one.provenance),
        "alerts": [_alert(burning) for burning in one.alerts],
        "incidents": [_incident(incident) for incident in one.incidents.listed] if one.incidents else [],
        "small_incidents": {
            "count": one.incidents.small if one.incidents else 0,
            "cost": float(one.incidents.small_cost) if one.incidents else 0.0,
        },
        "worst_hours": [_hour(hour) for hour in one.hours],
        "steps": _steps(one.points),
        "maintenance": [
            {"from": utc(planned.from_ms), "to": utc(planned.to_ms), "reason": planned.reason}
            for planned in one.maintenance
        ],
        "defects": list(one.defects),
        "caveats": list(one.caveats),
    }


def _defined(one: ObjectiveReport) -> dict[str, Any]:
    """What the objective says, and the stretch of time over which it was judged."""
    objective, period = one.objective, one.objective.period
    labels = {name: list(value) if isinstance(value, tuple) else value for name, value in objective.labels.items()}
    return {
        "id": objective.id,
        "name": objective.name,
        "service": objective.service,
        "display_name": objective.display_name,
        "description": objective.description,
        "labels": labels | dict(one.group),
        "group": dict(one.group) if one.group else None,
        "sum_of_groups": one.sum_of,
        "target": float(objective.target),
        "counted": what_is_counted(objective),
        "queries": dict(queries(objective)),
        "period": {
            "label": period.label,
            "kind": "calendar" if isinstance(period, Calendar) else "rolling",
            "zone": one.judged.zone,
            "start": utc(one.judged.start_ms),
            "end": utc(one.judged.end_ms),
            "closes": utc(one.judged.closes_ms),
        },
    }


def _measured(one: ObjectiveReport) -> dict[str, Any]:
    """What was counted, what it leaves of the budget, and how much of the time was seen."""
    trend = one.trend
    return {
        "unit": unit_of(one.objective, 1),
        "counts": _tally(one.whole),
        "events_beneath": _tally(one.events) if one.objective.slice_ms is not None else None,
        "sli": _ratio(one.whole.sli) if one.trusted else None,
        "error_ratio": _ratio(one.whole.error_ratio) if one.trusted else None,
        "budget": {
            "left": _ratio(one.left),
            "allowed_bad": float(one.allowed_bad) if one.trusted else None,
            "paces": [_pace(pace) for pace in one.paces],
        },
        "trend": None
        if trend is None
        else {"length_s": trend.length_ms / 1000, "spent": float(trend.last), "spent_before": float(trend.before)},
        "coverage": {
            "measured": float(one.coverage),
            "of_period": float(one.seen_of_period),
            "counts_from": None if one.counts_from_ms is None else utc(one.counts_from_ms),
            "gaps": [{"from": utc(begin), "to": utc(end)} for begin, end in one.gaps],
        },
    }


def _counting(how: Provenance) -> dict[str, Any]:
    return {
        "method": how.counting.value,
        "step_s": how.step_ms / 1000,
        "resets": how.caveats.resets,
        "left_out": how.caveats.not_numbers,
        "series_begun_unseen": how.caveats.born_unseen,
        "events_after_gaps": _count(how.caveats.after_gaps),
        "warnings": list(how.warnings),
    }


def _tally(tally: EventTally) -> dict[str, Any]:
    return {"total": _count(tally.total), "bad": _count(tally.bad), "measured_s": tally.measured_ms / 1000}


def _count(count: Count) -> int | float:
    """Whole where it is whole; else the nearest double."""
    return int(count) if Fraction(count).denominator == 1 else float(count)


def _ratio(ratio: Fraction | None) -> float | None:
    return None if ratio is None else float(ratio)


def _pace(pace: BurnPace) -> dict[str, Any]:
    return {
        "over_s": pace.length_ms / 1000,
        "burn_rate": _ratio(pace.burn),
        "lasts_s": None if pace.lasts_ms is None else pace.lasts_ms / 1000,
    }


def _alert(burning: Burning) -> dict[str, Any]:
    pair = burning.pair
    return {
        "severity": pair.severity,
        "long_s": pair.long_ms / 1000,
        "short_s": None if pair.short_ms is None else pair.short_ms / 1000,
        "for_s": pair.hold_ms / 1000,
        "factor": float(pair.factor),
        "threshold": float(burning.threshold),
        "burn_rate_long": _ratio(burning.long),
        "burn_rate_short": _ratio(burning.short),
        "state": "firing" if burning.firing else "quiet" if burning.seen else "no_data",
        "times_fired": burning.times,
        "firing_s": burning.firing_ms / 1000,
        "last_fired": None if burning.last_ms is None else utc(burning.last_ms),
        "budget_lasts_s": None if burning.runs_out_ms is None else burning.runs_out_ms / 1000,
    }


def _incident(incident: BurnIncident) -> dict[str, Any]:
    return {
        "from": utc(incident.start_ms),
        "to": utc(incident.end_ms),
        "total": _count(incident.bad.total),
        "bad": _count(incident.bad.bad),
        "worst_error_ratio": float(incident.worst),
        "cost": float(incident.cost),
    }


def _hour(hour: Hour) -> dict[str, Any]:
    return {
        "from": utc(hour.start_ms),
        "total": _count(hour.tally.total),
        "bad": _count(hour.tally.bad),
        "cost": float(hour.cost),
    }


def _steps(points: Sequence[Point]) -> dict[str, Any] | None:
    """What the charts show, a column a list: the same step apart, from `from` on."""
    if not points:
        return None
    return {
        "from": utc(points[0].start_ms),
        "step_s": (points[0].end_ms - points[0].start_ms) / 1000,
        "total": [_count(point.tally.total) for point in points],
        "bad": [_count(point.tally.bad) for point in points],
        "measured_s": [point.tally.measured_ms / 1000 for point in points],
        "budget_left": [_ratio(point.left) for point in points],
    }
