"""An SLO report as a section: an objective is a subject; what fails a run is said by a gate."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from fractions import Fraction

from harness.errors import Span
from harness.report.section import (
    Finding,
    FindingGroup,
    FindingSeverity,
    JUnitCase,
    JUnitSuite,
    Section,
    SectionPage,
)
from harness.report.slo.wording import TONES, answer, left_cell, sli_cell, target_cell
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.verdict import BudgetVerdict


@dataclass(frozen=True, slots=True)
class SloGate:
    """A report, and which of its verdicts fail a run."""

    report: SloReport
    failing: Set[BudgetVerdict] = frozenset()
    defects_fail: bool = True
    """Whether an indicator that cannot be right does."""
    others: FindingSeverity = FindingSeverity.WARNING
    """What a verdict is that does not fail, and is not met."""


def section(gate: SloGate) -> Section:
    """Good if no verdict is one of those that fail, and no indicator is wrong."""
    subjects = [(one, _verdict_finding(one, gate), _defect_findings(one, gate)) for one in gate.report.objectives]
    groups = tuple(
        FindingGroup(
            one.title, (*verdict, *defects), one.ruling.verdict.value, TONES[one.ruling.verdict],
            notes=one.caveats, anchor="objectives",
        )
        for one, verdict, defects in subjects
    )  # fmt: skip
    suites = tuple(_suite(one, verdict, defects) for one, verdict, defects in subjects)
    said = answer(gate.report)[0].removesuffix(".")
    return Section("objectives", f"{said[:1].lower()}{said[1:]}", groups, _page(gate.report), suites)


def _page(report: SloReport) -> SectionPage:
    def view() -> dict[str, object]:
        from harness.report.slo.summary import objectives_view

        return objectives_view(report)

    def whole() -> str:
        from harness.report.slo.html import slo_report_html

        return slo_report_html(report)

    from harness.report.slo.summary import PAGE

    return SectionPage(
        heading="Objectives", anchor="objectives", template="slo/objectives.html.j2", view=view, beside={PAGE: whole}
    )


def _verdict_finding(one: ObjectiveReport, gate: SloGate) -> tuple[Finding, ...]:
    verdict = one.ruling.verdict
    if verdict is BudgetVerdict.MET:
        return ()
    severity = FindingSeverity.ERROR if verdict in gate.failing else gate.others
    message = f"{verdict.value}: {one.ruling.reason}"
    policy = (f"budget policy: {one.policy}",) if one.policy_is_due and one.policy else ()
    return (
        Finding(
            verdict.name.lower(), severity, message, _place(one), policy, title=one.title, identity=one.title
        ),
    )  # fmt: skip


def _defect_findings(one: ObjectiveReport, gate: SloGate) -> tuple[Finding, ...]:
    severity = FindingSeverity.ERROR if gate.defects_fail else FindingSeverity.WARNING
    return tuple(
        Finding("indicator", severity, defect, _place(one), title=one.title, identity=one.title)
        for defect in one.defects
    )


def _place(one: ObjectiveReport) -> Span | None:
    return one.objective.span if one.objective.span.file else None


def _suite(one: ObjectiveReport, verdict: tuple[Finding, ...], defects: tuple[Finding, ...]) -> JUnitSuite:
    """A case for the verdict, and one for an indicator that cannot be right."""
    objective = one.objective
    span = objective.span
    classname = f"{span.file}::{objective.service}" if span.file else objective.service
    which = one.title.removeprefix(objective.title)  # of its groups
    measured = f"measured {sli_cell(one)}, target {target_cell(objective)}, budget left {left_cell(one)}"
    text = "\n".join([*(finding.message for finding in verdict), measured, *one.caveats])
    silent = one.ruling.reason if one.ruling.verdict is BudgetVerdict.NO_DATA else ""
    cases = [JUnitCase(f"{objective.name}{which}", classname, span.file, span.line, verdict, silent, text=text)]
    if defects:
        cases.append(JUnitCase("indicator", classname, span.file, span.line, defects, defects[0].message, broken=True))
    properties = [
        ("verdict", one.ruling.verdict.value),
        ("target", repr(float(objective.target))),
        ("coverage", repr(float(one.coverage))),
    ]
    if one.trusted:
        properties.append(("sli", repr(float(one.whole.sli or Fraction(0)))))
    if one.left is not None:
        properties.append(("budget_left", repr(float(one.left))))
    return JUnitSuite(f"{objective.id}{which}", tuple(cases), tuple(properties))
