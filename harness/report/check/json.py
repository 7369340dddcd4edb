"""A check against a running server as JSON, version 1; docs/check.md describes every field."""

from __future__ import annotations

from typing import Any

from harness.check.model import CheckReport, UseFinding
from harness.errors import Span
from harness.report.proof.json import document_text


def check_json(report: CheckReport) -> str:
    """The document that `alert-harness check --json` prints, with a final newline."""
    document = {
        "version": 1,
        "url": report.url,
        "prometheus": report.version,
        "since_s": report.since_ms / 1000,
        "passed": report.passed,
        "expressions": report.uses,
        "panel_queries": report.panels,
        "findings": [_finding(finding) for finding in report.findings],
        "skipped": [
            {"use": skipped.name, "reason": skipped.reason, **_place(skipped.where)} for skipped in report.skipped
        ],
    }
    return document_text(document)


def _finding(finding: UseFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "weight": finding.weight.value,
        "use": finding.use,
        "what": finding.what,
        "message": finding.message,
        **_place(finding.where),
    }


def _place(where: Span) -> dict[str, Any]:
    return {"file": where.file, "line": where.line, "column": where.column}
