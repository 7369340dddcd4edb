"""The measured quality of burn-rate alerts as JSON, version 1; docs/schema/slo-prove.schema.json has every field."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from harness.report.document import document_text, findings_json
from harness.report.quality.section import QualityReport
from harness.report.section import Section
from harness.slo import closedform
from harness.slo.model import BurnPair
from harness.slo.quality.results import (
    IncidentOutcome,
    ObjectiveQuality,
    PairThreshold,
    QualityVerdict,
    SeverityQuality,
)


def quality_json(report: QualityReport, sections: Sequence[Section]) -> str:
    """The document that `alert-harness slo prove --json` prints, with a final newline."""
    severities = [severity for quality in report.qualities for severity in quality.severities]
    document = {
        "version": 1,
        "engine": {"kind": report.engine, "prometheus": report.version},
        "objectives": [_objective(quality) for quality in report.qualities],
        "summary": {
            "as_meant": sum(severity.verdict is QualityVerdict.AS_MEANT for severity in severities),
            "total": len(severities),
        },
        "findings": findings_json(sections),
    }
    return document_text(document)


def _objective(quality: ObjectiveQuality) -> dict[str, Any]:
    objective = quality.objective
    return {
        "id": objective.id,
        "name": objective.name,
        "service": objective.service,
        "title": objective.title,
        "target": float(objective.target),
        "period": objective.period.label,
        "period_s": objective.period.nominal_ms // 1000,
        "budget_counts": quality.budget_unit,
        "tick_s": _seconds(quality.interval_ms),
        "series": {name: list(series) for name, series in quality.series.items()},
        "simulated_s": quality.simulated_ms // 1000,
        "notes": list(quality.notes),
        "severities": [_severity(severity, quality) for severity in quality.severities],
    }


def _severity(found: SeverityQuality, quality: ObjectiveQuality) -> dict[str, Any]:
    return {
        "severity": found.severity,
        "alerts": list(found.rules),
        "verdict": found.verdict.value,
        "reasons": [{"verdict": verdict.value, "reason": reason} for verdict, reason in found.findings],
        "pairs": [_pair(pair, quality) for pair in found.pairs],
        "thresholds": [_threshold(threshold) for threshold in found.thresholds],
        "incidents_needing_it": found.needed,
        "missed": found.missed,
        "recall": _number(found.recall),
        "times_fired": found.alerts,
        "false_alerts": found.false_alerts,
        "false_alerts_of_the_policy": found.policy_false_alerts,
        "precision": _number(found.precision),
        "incidents": [_outcome(outcome) for outcome in found.outcomes],
    }


def _pair(pair: BurnPair, quality: ObjectiveQuality) -> dict[str, Any]:
    objective = quality.objective
    return {
        "windows": pair.label,
        "long_s": _seconds(pair.long_ms),
        "short_s": _seconds(pair.short_ms),
        "factor": float(pair.factor),
        "for_s": _seconds(pair.hold_ms),
        "theta": float(pair.threshold(objective.target)),
        "budget_fraction": float(closedform.budget_fraction(pair, objective.period.nominal_ms)),
    }


def _threshold(found: PairThreshold) -> dict[str, Any]:
    return {
        "windows": found.pair.label,
        "wanted": float(found.wanted),
        "quiet_at": _number(found.quiet_at),
        "fires_at": _number(found.fires_at),
        "ulps": found.ulps,
        "slices": found.slices,
        "exact": found.exact,
        "note": found.note,
    }


def _outcome(outcome: IncidentOutcome) -> dict[str, Any]:
    return {
        "name": outcome.incident.name,
        "kind": outcome.incident.kind.value,
        "error_ratio": _number(outcome.incident.ratio),
        "lasts_s": _seconds(outcome.incident.ends_ms),
        "needs_alert": outcome.needed,
        "missed": outcome.missed,
        "times_fired": outcome.alerts,
        "false_alerts": outcome.false_alerts,
        "first_pair": outcome.first_pair,
        "detection_s": {
            "measured": _seconds(outcome.detected_ms),
            "pairs": _seconds(outcome.policy_ms),
            "closed_form": _seconds(outcome.theory_ms),
        },
        "reset_s": {
            "measured": _seconds(outcome.reset_ms),
            "pairs": _seconds(outcome.policy_reset_ms),
            "closed_form": _seconds(outcome.theory_reset_ms),
        },
        "budget_at_detection": _number(outcome.budget_at_detection),
        "budget_spent": float(outcome.budget_spent),
        "extra_ticks": outcome.extra_ticks,
        "lost_ticks": outcome.lost_ticks,
    }


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _seconds(ms: int | Fraction | None) -> int | float | None:
    if ms is None:
        return None
    return int(ms) // 1000 if ms % 1000 == 0 else float(Fraction(ms) / 1000)
