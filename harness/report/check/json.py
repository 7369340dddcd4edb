"""A check against a running server as JSON, version 1; docs/check.md describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.check.model import CheckReport
from harness.errors import Span
from harness.report.document import document_text, findings_json
from harness.report.section import Section


def check_json(report: CheckReport, sections: Sequence[Section]) -> str:
    """The document that `alert-harness check --json` prints, with a final newline."""
    document = {
        "version": 1,
        "url": report.url,
        "prometheus": report.version,
        "since_s": report.since_ms / 1000,
        "passed": report.passed,
        "expressions": report.uses,
        "panel_queries": report.panels,
        "findings": findings_json(sections, own_keys=True),
        "skipped": [
            {"use": skipped.name, "reason": skipped.reason, **_place(skipped.where)} for skipped in report.skipped
        ],
    }
    return document_text(document)


def _place(where: Span) -> dict[str, Any]:
    return {"file": where.file, "line": where.line, "column": where.column}
