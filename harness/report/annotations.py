"""Findings beside the lines of a pull request: GitHub's workflow commands, GitLab's code-quality JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.errors import Span, printable
from harness.report.section import Finding, FindingGroup, FindingSeverity, Section
from harness.report.wording import one_line

_NOWHERE = Span("", 0, 0)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is told at one place of a file."""

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


def annotated(sections: Iterable[Section]) -> list[Annotation]:
    """Everything that fails or warns, with its place; the same at the same place once."""
    notes = (note for section in sections for group in section.groups for note in _of_group(group))
    return list(dict.fromkeys(notes))


def _of_group(group: FindingGroup) -> Iterator[Annotation]:
    told = [finding for finding in group.findings if finding.severity is not FindingSeverity.NOTE]
    if told and group.span is not None:
        lines = [line for finding in told for line in finding.lines]
        title = f"{group.name}: {group.verdict}"
        yield _at(group.span, told, group.check or told[0].check, title, "\n".join(lines), group.name)
        return
    for finding in told:
        title = finding.title or f"{group.name}: {finding.check.replace('_', ' ')}"
        message = "\n".join([*finding.lines, *([finding.help] if finding.help else [])])
        yield _at(finding.span or _NOWHERE, [finding], finding.check, title, message, finding.identity or group.name)


def _at(span: Span, told: list[Finding], check: str, title: str, message: str, identity: str) -> Annotation:
    end = span.column + max(0, span.length - 1) if span.column else 0
    level = "error" if any(finding.fails for finding in told) else "warning"
    return Annotation(
        level, check, one_line(title), printable(message), span.file, span.line, span.column, end,
        f"{check}|{span.file}|{identity}",
    )  # fmt: skip


def github(sections: Iterable[Section]) -> str:
    """Workflow commands, one a line: ``::error file=…,line=…,col=…,title=…::message``."""
    lines = []
    for note in annotated(sections):
        fields = {"file": note.file, "line": note.line, "col": note.column, "endColumn": note.end_column}
        known = {name: value for name, value in fields.items() if note.file and value} | {"title": note.title}
        where = ",".join(f"{name}={_property(str(value))}" for name, value in known.items())
        lines.append(f"::{note.level} {where}::{_data(note.message)}\n")
    return "".join(lines)


def _data(text: str) -> str:
    """Escaped as GitHub's own toolkit does it (actions/toolkit, packages/core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def gitlab(sections: Iterable[Section]) -> str:
    """The code-quality document: fingerprints stay the same while lines move and numbers change."""
    seen: dict[str, int] = {}
    entries = []
    for note in annotated(sections):
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
