"""The proof as JSON, version 2; docs/prove.md describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.alertmanager.unused import UnusedPart
from harness.contracts import ContractKind
from harness.proof.model import AlertFinding, AlertResult, Boundary
from harness.proof.report import ProofReport
from harness.report.document import document_text, findings_json, warnings_json
from harness.report.section import Section
from harness.report.wording import by_verdict, span_of


def proof_json(report: ProofReport, sections: Sequence[Section], warnings: Sequence[UnusedPart] | None = None) -> str:
    """The document that `alert-harness prove --json` prints, with a final newline.

    `sections` are those of the whole run; `warnings`: what of the Alertmanager file does nothing, where `verify`
    looked.
    """
    results = report.results
    document: dict[str, Any] = {
        "version": 2,
        "engine": {"kind": report.engine, "prometheus": report.version},
        "alerts": [_alert(result) for result in results],
        "summary": {
            "exact": report.exact,
            "total": len(results),
            "by_verdict": {verdict.value: number for verdict, number in by_verdict(results).items()},
            "allowed": sum(r.allowed is not None for r in results),
        },
        "findings": findings_json(sections),
    }
    if warnings is not None:
        document["warnings"] = warnings_json(warnings)
    return document_text(document)


def _alert(result: AlertResult) -> dict[str, Any]:
    contract, located, measured = result.contract, result.located, result.measured
    boundary: Boundary | None = measured.boundary
    return {
        "alert": result.alert,
        "file": located.file.name if located else None,
        "line": located.rule.span.line if located else None,
        "contract": {
            "op": contract.op.value if contract.kind is ContractKind.THRESHOLD else contract.kind.value,
            "threshold": float(contract.threshold) if contract.kind is ContractKind.THRESHOLD else None,
            "unit": contract.knob.unit,
            "for_s": _seconds(contract.hold_ms),
            "severity": contract.severity,
        }
        if contract and contract.kind is not ContractKind.SET_ASIDE
        else None,
        "measured": {
            "quiet_at": float(boundary.quiet_at) if boundary else None,
            "fires_at": float(boundary.fires_at) if boundary else None,
            "ulps": boundary.ulps if boundary else None,
            "fires_after_s": _seconds(measured.fires_after_ms),
            "too_short_s": _seconds(measured.too_short_ms),
            "resolves_after_s": _seconds(measured.resolves_after_ms),
        },
        "situations": [{"name": s.name, "expected": s.expected, "got": s.got} for s in result.situations],
        "verdict": result.verdict.value,
        "would_be": result.would_be.value if result.would_be is not None else None,
        "allowed": result.allowed,
        "reasons": [_reason(result, finding) for finding in result.findings],
        "notes": result.notes,
        "confirmed": result.confirmed,
        "confirmed_reason": result.confirmed_reason or None,
    }


def _reason(result: AlertResult, finding: AlertFinding) -> dict[str, Any]:
    """Line and column are those of the rule's file, or of the contract's where there is no rule: the file that the row
    names. What is meant in another file says so in its message."""
    own = span_of(result)
    span = finding.span if finding.span is not None and finding.span.file == own.file else own
    return {
        "verdict": finding.verdict.value,
        "message": finding.text,
        "expr": finding.expr,
        "line": span.line,
        "column": span.column,
    }


def _seconds(ms: int | None) -> float | int | None:
    if ms is None:
        return None
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
