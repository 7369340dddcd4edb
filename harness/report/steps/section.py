"""A step without results of its own as a section: each thing that a tool objects to is a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.report.section import (
    Finding,
    FindingGroup,
    JUnitCase,
    JUnitSuite,
    Section,
    SectionPage,
    findings_of,
)
from harness.report.wording import be
from harness.units import count_of


@dataclass(frozen=True, slots=True)
class StepReport:
    """A tool that was asked about files, a step that could not be done, input that was left out."""

    name: str
    """``promtool check rules``."""
    findings: tuple[Finding, ...] = ()
    wrong: str = ""
    """A clause that says what is wrong if something is; empty: that it objects."""


def section(report: StepReport) -> Section:
    """Good unless one of its findings fails."""
    failing = any(finding.fails for finding in report.findings)
    wrong = report.wrong or f"{report.name} objects (below)"
    anchor = f"step-{'-'.join(report.name.split())}"
    return Section(
        report.name,
        wrong if failing else f"{report.name} has no objection",
        (FindingGroup(report.name, report.findings, anchor=anchor),) if report.findings else (),
        SectionPage(heading=report.name[:1].upper() + report.name[1:], anchor=anchor),
        (JUnitSuite(report.name, tuple(_cases(report))),),
    )


def _cases(report: StepReport) -> list[JUnitCase]:
    """One for each finding that fails; one that passes where there is none."""
    cases = []
    for number, finding in enumerate(report.findings, 1):
        if finding.fails:
            span = finding.span
            line = f"line {span.line}, " if span is not None and span.line else ""
            name = f"{finding.check} ({line}{number})"
            where = (span.file, max(1, span.line)) if span is not None else ("", 1)
            cases.append(JUnitCase(name, where[0] or report.name, *where, (finding,)))
    return cases or [JUnitCase(report.name, "step")]


def wrong_input(errors: Sequence[HarnessError]) -> list[StepReport]:
    """Rules and contracts that are left out because they are wrong, as a step of the run; none where all are right."""
    if not errors:
        return []
    findings = findings_of(errors, "input")
    wrong = f"{count_of(len(findings), 'mistake')} in what was given {be(len(findings))} left out (below)"
    return [StepReport("rules and contracts", findings, wrong)]
