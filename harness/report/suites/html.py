"""The page's part on promtool unit tests: files, what failed in them, and which rules no test speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report.html.template import shown
from harness.suites.diff import diff_alerts
from harness.suites.model import FileResult, Result, Severity, Status, SuiteFinding, SuiteReport
from harness.units import format_duration

_MOST = 40
"""Failures and findings of one file that are shown; the JSON has all."""


def suites_view(report: SuiteReport) -> dict[str, Any]:
    """Files in order, with what is wrong in them."""
    return {
        "complete": report.complete,
        "files": [_file(file) for file in report.files],
        "findings": [_finding(finding) for finding in report.findings][:_MOST],
    }


def _file(file: FileResult) -> dict[str, Any]:
    passed = sum(result.status is Status.PASSED for result in file.results)
    failed = [_result(result) for result in file.results if result.status is not Status.PASSED]
    return {
        "name": shown(file.name),
        "status": file.status.value,
        "tone": "good" if file.status is Status.PASSED else "bad",
        "false_green": file.false_green,
        "passed": f"{passed} of {len(file.results)}",
        "seconds": f"{file.seconds:.1f} s",
        "problem": [shown(line) for line in str(file.problem).splitlines()] if file.problem else [],
        "errors": [] if file.problem else [shown(error) for error in file.errors[:_MOST]],
        "failed": failed[:_MOST],
        "findings": [_finding(finding) for finding in file.findings][:_MOST],
        "more": max(0, len(failed) - _MOST) + max(0, len(file.findings) - _MOST),
    }


def _result(result: Result) -> dict[str, Any]:
    rows: list[tuple[str, str, str]] = []
    if result.kind == "alert" and result.status is Status.FAILED:
        for diff in diff_alerts(result.expected, result.got or ()):
            if diff.got is None and diff.expected is not None:
                rows.append(("alert", shown(_labels(diff.expected.labels)), "no such alert"))
            elif diff.expected is None and diff.got is not None:
                rows.append(("alert", "no such alert", shown(_labels(diff.got.labels))))
            for change in diff.changes if diff.expected and diff.got else ():
                rows.append(
                    (
                        f"{change.part} {shown(change.name)}",
                        shown(change.expected) if change.expected is not None else "none",
                        shown(change.got) if change.got is not None else "none",
                    )
                )
    return {
        "what": f"{shown(result.subject)} at {format_duration(result.eval_time_ms)}",
        "place": str(result.span),
        "group": shown(result.group),
        "message": [shown(line) for line in result.message.splitlines()],
        "rows": rows,
        "inputs": [shown(series) for series in result.inputs[:8]],
    }


def _finding(finding: SuiteFinding) -> dict[str, str]:
    return {
        "id": finding.id,
        "tone": "bad" if finding.severity is Severity.ERROR else "warn",
        "place": str(finding.span or ""),
        "message": shown(finding.message),
        "hint": shown(finding.hint),
    }


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
