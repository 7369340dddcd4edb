"""A run of unit-test files as JSON, version 1; docs/test.md describes every field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.errors import InputError, Span
from harness.report.document import document_text, findings_json
from harness.report.section import Section
from harness.suites.diff import diff_alerts
from harness.suites.model import FileResult, Labelled, Result, RuleCoverage, Status, SuiteFinding, SuiteReport


def suites_json(report: SuiteReport, sections: Sequence[Section]) -> str:
    """The document that `alert-harness test --json` prints, with a final newline."""
    document = {
        "version": 1,
        "promtool": report.promtool,
        "strict": report.strict,
        "complete": report.complete,
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "files": [_file(file) for file in report.files],
        "findings": findings_json(sections, own_keys=True),
        "coverage": [_coverage(rule) for rule in report.coverage],
        "summary": summary(report),
    }
    return document_text(document)


def summary(report: SuiteReport) -> dict[str, int]:
    """What a run comes to, in numbers."""
    results = [result for file in report.files for result in file.results]
    alerts = [rule for rule in report.coverage if rule.kind == "alert"]
    return {
        "files": len(report.files),
        "files_passed": sum(file.status is Status.PASSED for file in report.files),
        "false_greens": sum(file.false_green for file in report.files),
        "assertions": len(results),
        "assertions_passed": sum(result.status is Status.PASSED for result in results),
        "rules": len(report.coverage),
        "rules_untested": sum(not rule.asserted for rule in report.coverage),
        "alerts": len(alerts),
        "alerts_never_firing": sum(not rule.firing for rule in alerts),
        "alerts_never_quiet": sum(not rule.quiet for rule in alerts),
    }


def _file(file: FileResult) -> dict[str, Any]:
    return {
        "file": file.name,
        "status": file.status.value,
        "promtool": "passed" if file.promtool_passed else "failed",
        "seconds": round(file.seconds, 3),
        "problem": _problem(file.problem),
        "errors": list(file.errors),
        "assertions": [_result(result) for result in file.results],
        "findings": [_finding(finding) for finding in file.findings],
    }


def _result(result: Result) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "group": result.group,
        "kind": result.kind,
        "alert" if result.kind == "alert" else "expr": result.subject,
        "eval_time_s": result.eval_time_ms / 1000,
        "line": result.span.line,
        "column": result.span.column,
        "status": result.status.value,
    }
    if result.kind == "alert":
        entry["expected"] = [_alert(alert) for alert in result.expected]
        entry["got"] = None if result.got is None else [_alert(alert) for alert in result.got]
    if result.status is Status.FAILED and result.kind == "alert":
        entry["differences"] = [
            {
                "expected": diff.expected and _alert(diff.expected),
                "got": diff.got and _alert(diff.got),
                "changes": [asdict(change) for change in diff.changes],
            }
            for diff in diff_alerts(result.expected, result.got or ())
        ]
    if result.status is not Status.PASSED:
        entry["message"] = result.message
        entry["inputs"] = list(result.inputs)
    return entry


def _alert(alert: Labelled) -> dict[str, dict[str, str]]:
    return {"labels": dict(alert.labels), "annotations": dict(alert.annotations)}


def _place(span: Span | None) -> dict[str, Any]:
    return {
        "file": span.file if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
    }


def _problem(problem: InputError | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {**_place(problem.span), "message": problem.message, "hint": problem.hint}


def _finding(finding: SuiteFinding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        **_place(finding.span),
        "group": finding.group or None,
        "message": finding.message,
        "hint": finding.hint,
        "page": finding.page,
    }


def _coverage(rule: RuleCoverage) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": rule.kind,
        "name": rule.name,
        "file": rule.file,
        "line": rule.span.line,
        "asserted": rule.asserted,
    }
    if rule.kind == "alert":
        entry |= {"firing": rule.firing, "quiet": rule.quiet}
    return entry
