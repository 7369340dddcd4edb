"""Findings beside the lines of a pull request: GitHub's workflow commands, GitLab's code-quality JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import Span, printable
from harness.proof.model import AlertResult, Verdict
from harness.report.junit import assertion_text
from harness.report.outcome import Outcome
from harness.report.wording import finding_lines, one_line, span_of, verdict_cell
from harness.suites.model import Severity, Status
from harness.units import format_duration


@dataclass(frozen=True, slots=True)
class Annotation:
    """One finding at one place of a file."""

    level: str
    """``error`` or ``warning``."""
    check: str
    """What kind of finding it is: a verdict, or a check of the unit tests."""
    title: str
    message: str
    file: str
    line: int
    column: int
    end_column: int
    identity: str
    """What stays the same when lines move, for a fingerprint."""


def notes_of(outcome: Outcome) -> Iterator[Annotation]:
    """Everything that is not as meant, with its place."""
    if outcome.proof is not None:
        for result in outcome.proof.results:
            if not result.accepted:
                yield _alert(result)
    if outcome.live is not None:
        for live in outcome.live.results:
            span = live.contract.alert.span if live.located is None else live.located.rule.span
            for found in live.findings:
                what = found.verdict.value
                yield _at(span, "error", what, f"{live.alert}: {what.replace('_', ' ')}", found.reason, live.alert)
    for idle in outcome.warnings:
        yield _at(idle.span, "warning", "idle-configuration", "Alertmanager", idle.message, idle.message)
    if outcome.scenario is not None:
        for judged in outcome.scenario.judged:
            if not judged.judgement.ok:
                span = judged.expected.alert.span if judged.expected else Span(outcome.scenario.scenario.file, 1, 1)
                what = f"{judged.alert} {judged.judgement.value}"
                yield _at(span, "error", judged.judgement.name.lower(), what, what, judged.alert)
    if outcome.suites is None:
        return
    for file in outcome.suites.files:
        if file.problem is not None:
            span = file.problem.span or Span(file.name, 1, 1)
            yield _at(span, "error", "test-file", "Unit tests", file.problem.message, file.name)
        for test in file.results:
            if test.status is not Status.PASSED:
                title = f"{test.subject} at {format_duration(test.eval_time_ms)}"
                identity = f"{test.group}|{test.subject}|{test.eval_time_ms}"
                yield _at(test.span, "error", "unit-test", title, assertion_text(test), identity)
    for finding in [f for file in outcome.suites.files for f in file.findings] + list(outcome.suites.findings):
        level = "error" if finding.severity is Severity.ERROR else "warning"
        text = f"{finding.message}\n{finding.hint}"
        span = finding.span or Span("", 0, 0)
        yield _at(span, level, finding.id, finding.id, text, f"{finding.group}|{finding.message}")


def _alert(result: AlertResult) -> Annotation:
    level = "warning" if result.verdict in (Verdict.UNEXPECTED, Verdict.DRAFT) else "error"
    text = "\n".join(finding_lines(result.findings))
    title = f"{result.alert}: {verdict_cell(result)}"
    return _at(span_of(result), level, result.verdict.value, title, text, result.alert)


def _at(span: Span, level: str, check: str, title: str, message: str, identity: str) -> Annotation:
    end = span.column + max(0, span.length - 1)
    return Annotation(
        level, check, one_line(title), printable(message), span.file, span.line, span.column, end,
        f"{check}|{span.file}|{identity}",
    )  # fmt: skip


def github(outcome: Outcome) -> str:
    """Workflow commands, one a line: ``::error file=…,line=…,col=…,title=…::message``."""
    lines = []
    for note in notes_of(outcome):
        fields = {"file": note.file, "line": note.line, "col": note.column, "endColumn": note.end_column}
        known = {name: value for name, value in fields.items() if note.file} | {"title": note.title}
        where = ",".join(f"{name}={_property(str(value))}" for name, value in known.items())
        lines.append(f"::{note.level} {where}::{_data(note.message)}\n")
    return "".join(lines)


def _data(text: str) -> str:
    """Escaped as GitHub's own toolkit does it (actions/toolkit, packages/core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def gitlab(outcome: Outcome) -> str:
    """The code-quality document: fingerprints stay the same while lines move and numbers change."""
    seen: dict[str, int] = {}
    entries = []
    for note in notes_of(outcome):
        number = seen[note.identity] = seen.get(note.identity, 0) + 1
        print_ = hashlib.sha256(f"{note.identity}|{number}".encode("utf-8", "backslashreplace")).hexdigest()
        first = one_line(note.message.partition("\n")[0])
        entries.append(
            {
                "description": f"{note.title}: {first}",
                "check_name": f"alert-harness/{note.check}",
                "fingerprint": print_,
                "severity": "major" if note.level == "error" else "minor",
                "location": {"path": note.file or ".", "lines": {"begin": max(1, note.line)}},
            }
        )
    return json.dumps(entries, indent=2, ensure_ascii=True) + "\n"
