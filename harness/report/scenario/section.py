"""A played scenario as a section: an alert that had to fire, or fired, is a subject and one case."""

from __future__ import annotations

from harness.errors import Span
from harness.report.scenario.terminal import conclusion, tone
from harness.report.section import (
    Finding,
    FindingGroup,
    FindingSeverity,
    JUnitCase,
    JUnitSuite,
    Section,
    SectionPage,
)
from harness.stack.scenarios.result import JudgedAlert, ScenarioResult

_TONES = {"green": "good", "yellow": "warn", "red": "bad"}
EXPLANATION = (
    "Real traffic, real faults, and what Prometheus' own rule manager made of them, compared with what the "
    "scenario says must fire and must not."
)


def section(result: ScenarioResult) -> Section:
    """Good if all fired that had to, nothing else did, and the service counted what was sent."""
    groups = [_group(judged, result) for judged in result.judged]
    if result.miscounted:
        counted = Finding(
            "miscounted", FindingSeverity.ERROR,
            f"the service counted {result.counted:,d} requests, but {result.tally.total:,d} were answered",
            Span(result.scenario.file, 1, 1), title=result.scenario.name,
        )  # fmt: skip
        groups.append(FindingGroup("requests", (counted,), anchor="scenario"))
    return Section(
        "scenario",
        "what fired is what had to" if result.passed else "the scenario did not end as expected",
        tuple(groups),
        _page(result),
        (_suite(result, groups),),
    )


def _page(result: ScenarioResult) -> SectionPage:
    def view() -> dict[str, object]:
        from harness.report.scenario.html import scenario_view

        return scenario_view(result)

    return SectionPage(
        heading="Scenario",
        anchor="scenario",
        template="scenario/scenario.html.j2",
        view=view,
        title="Alert rules, under load",
        explanation=EXPLANATION,
    )


def _group(judged: JudgedAlert, result: ScenarioResult) -> FindingGroup:
    findings: tuple[Finding, ...] = ()
    if not judged.judgement.ok:
        span = judged.expected.alert.span if judged.expected else Span(result.scenario.file, 1, 1)
        what = f"{judged.alert} {judged.judgement.value}"
        findings = (Finding(judged.judgement.name.lower(), FindingSeverity.ERROR, what, span, title=what),)
    return FindingGroup(
        judged.alert, findings, judged.judgement.value, _TONES[tone(judged.judgement)], anchor="scenario"
    )


def _suite(result: ScenarioResult, groups: list[FindingGroup]) -> JUnitSuite:
    """One case per alert; one for the rest, so that a quiet scenario is no empty suite."""
    scenario = result.scenario
    cases = []
    for judged, group in zip(result.judged, groups, strict=False):  # the last group may be that of the requests
        line = judged.expected.alert.span.line if judged.expected is not None else 1
        cases.append(JUnitCase(judged.alert, scenario.name, scenario.file, line, group.findings))
    said = conclusion(result)
    every = tuple(finding for group in groups for finding in group.findings)
    whole = [finding.message for group in groups[len(result.judged) :] for finding in group.findings]
    cases.append(
        JUnitCase("as a whole", scenario.name, scenario.file, 1, every, message=said, text="\n".join([said, *whole]))
    )
    properties = (("clock", f"{result.factor}x"), ("runtime", result.runtime), ("seed", str(result.seed)))
    return JUnitSuite(scenario.name, tuple(cases), properties, result.ended_s - result.began_s)
