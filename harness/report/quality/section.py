"""The measured quality of burn-rate alerts as a section: a severity of an objective is a subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.section import Finding, FindingGroup, FindingSeverity, JUnitCase, JUnitSuite, Section, SectionPage
from harness.report.wording import be
from harness.slo.quality.results import ObjectiveQuality, QualityVerdict


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All objectives of one `slo prove`, and the engine that it ran on."""

    qualities: Sequence[ObjectiveQuality]
    engine: str
    version: str


def section(report: QualityReport) -> Section:
    """Good if every severity's alerts do what the objective's pairs say."""
    groups, suites = [], []
    for quality in report.qualities:
        own = [_group(quality, number) for number in range(len(quality.severities))]
        groups += own
        suites.append(_suite(quality, own))
    severities = [severity for quality in report.qualities for severity in quality.severities]
    wrong = sum(severity.verdict is not QualityVerdict.AS_MEANT for severity in severities)
    if not severities:
        nothing = Finding("nothing-proved", FindingSeverity.ERROR, "nothing was proved")
        groups.append(FindingGroup("slo prove", (nothing,)))
    said = (
        f"{wrong} of {len(severities)} severities {be(wrong)} not as meant" if wrong else "all severities are as meant"
    )
    return Section(
        "slo prove",
        said if severities else "nothing was proved",
        tuple(groups),
        SectionPage(heading="Alerts of objectives", anchor="quality", title="Burn-rate alerts, proved"),
        tuple(suites),
    )


def _group(quality: ObjectiveQuality, number: int) -> FindingGroup:
    severity = quality.severities[number]
    objective = quality.objective
    findings = tuple(
        Finding(
            verdict.name.lower(), FindingSeverity.ERROR, reason, objective.span if objective.span.file else None,
            title=f"{objective.name} {severity.severity}: {verdict.value}",
            identity=f"{objective.id}|{severity.severity}",
        )
        for verdict, reason in severity.findings
    )  # fmt: skip
    tone = "good" if severity.verdict is QualityVerdict.AS_MEANT else "bad"
    return FindingGroup(f"{objective.name} {severity.severity}", findings, severity.verdict.value, tone)


def _suite(quality: ObjectiveQuality, groups: Sequence[FindingGroup]) -> JUnitSuite:
    span = quality.objective.span
    cases = [
        JUnitCase(severity.severity, quality.objective.id, span.file, span.line, group.findings)
        for severity, group in zip(quality.severities, groups, strict=True)
    ]
    return JUnitSuite(quality.objective.id, tuple(cases), (), quality.seconds)
