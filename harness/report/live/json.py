"""A live run as JSON, version 1; docs/live.md describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.live.model import Delivery, LiveReport, LiveResult
from harness.report.document import document_text, findings_json, warnings_json
from harness.report.section import Section
from harness.units import format_duration


def live_json(report: LiveReport, sections: Sequence[Section]) -> str:
    """The document that `alert-harness live --json` prints, with a final newline."""
    return document_text(
        {
            "version": 1,
            "compress": report.factor,
            "engine": {"kind": report.engine, "prometheus": report.prometheus, "alertmanager": report.alertmanager},
            "alertmanager_configuration": report.configuration,
            "repeated": [{"compress": each.factor, "reason": each.reason} for each in report.attempts],
            "alerts": [_alert(result) for result in report.results],
            "summary": {"exact": sum(result.exact for result in report.results), "total": len(report.results)},
            "findings": findings_json(sections),
            "warnings": warnings_json(report.warnings),
            "seconds": dict(report.seconds),
        }
    )


def _alert(result: LiveResult) -> dict[str, Any]:
    located = result.located
    return {
        "alert": result.alert,
        "file": located.file.name if located else None,
        "line": located.rule.span.line if located else None,
        "contract": {"file": result.contract.file, "line": result.contract.alert.span.line},
        "verdict": result.verdict.value,
        "allowed": result.contract.allowed,
        "reasons": [{"verdict": finding.verdict.value, "text": finding.reason} for finding in result.findings],
        "notes": list(result.notes),
        "knob": {
            "unit": result.contract.knob.unit,
            "quiet_at": None if result.quiet_at is None else float(result.quiet_at),
            "fires_at": None if result.fires_at is None else float(result.fires_at),
            "quiet_is_last": result.at_threshold,
            "quiet_ticks": result.quiet_ticks,
        },
        "ticks": {
            "interval": format_duration(result.interval_ms) if result.interval_ms else None,
            "knob_moved_ms": result.moved_ms,
            "pending_ms": result.pending_ms,
            "firing_ms": result.firing_ms,
            "resolved_ms": result.resolved_ms,
            "hold": result.hold_ticks,
            "hold_meant": result.hold_ticks_meant,
        },
        "receivers": list(result.receivers),
        "delivered": _delivery(result.delivered),
        "resolved": _delivery(result.resolved),
        "inhibited_by": list(result.inhibited_by),
    }


def _delivery(delivery: Delivery | None) -> dict[str, Any] | None:
    if delivery is None:
        return None
    return {
        "receiver": delivery.receiver,
        "at_ms": delivery.at_ms,
        "group_labels": dict(delivery.group_labels),
        "labels": dict(delivery.labels),
        "annotations": dict(delivery.annotations),
    }
