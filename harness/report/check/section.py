"""A check against a running server as a section: a finding for each name that is not real."""

from __future__ import annotations

from harness.check.model import CheckReport, UseFinding, Weight
from harness.report.section import Finding, FindingGroup, FindingSeverity, JUnitCase, JUnitSuite, Section, SectionPage
from harness.units import count_of

_SEVERITIES = {Weight.FINDING: FindingSeverity.ERROR, Weight.NOTE: FindingSeverity.NOTE}


def section(report: CheckReport) -> Section:
    """Good if no finding is more than a note."""
    made = tuple(finding_of_use(finding) for finding in report.findings)
    failing = sum(finding.fails for finding in made)
    cases = tuple(
        JUnitCase(f"{finding.title} (line {found.where.line}, {number})", found.where.file, found.where.file,
                  found.where.line, (finding,))
        for number, (found, finding) in enumerate(zip(report.findings, made, strict=True), 1)
        if finding.fails
    )  # fmt: skip
    return Section(
        "check",
        count_of(failing, "name") + " cannot be meant" if failing else "everything is there",
        (FindingGroup("check", made, anchor="check"),) if made else (),
        SectionPage(heading="What is used and not there", anchor="check", title="Rules and dashboards, checked"),
        (JUnitSuite("check", cases or (JUnitCase("check", "check"),)),),
    )


def finding_of_use(found: UseFinding) -> Finding:
    """As a section has it."""
    return Finding(
        found.kind.value,
        _SEVERITIES[found.weight],
        f"{found.use}: {found.message}",
        found.where,
        title=f"{found.use}: {found.what}",
        identity=f"{found.use}|{found.what}",
        more={
            "kind": found.kind.value,
            "weight": found.weight.value,
            "use": found.use,
            "what": found.what,
            "message": found.message,
        },
    )
