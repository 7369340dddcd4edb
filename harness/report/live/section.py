"""A live run as a section: an alert is a subject, and one case."""

from __future__ import annotations

from harness.alertmanager.unused import UnusedPart
from harness.errors import EXIT_ENGINE, EXIT_FINDINGS
from harness.live.model import LiveFinding, LiveReport, LiveResult, LiveVerdict
from harness.report.live.terminal import tone_of_live, verdict
from harness.report.section import (
    Finding,
    FindingGroup,
    FindingSeverity,
    JUnitCase,
    JUnitSuite,
    Section,
    SectionPage,
    Tile,
    findings_of,
    share_tone,
)
from harness.report.wording import be
from harness.units import count_of

EXPLANATION = (
    "Each alert travelled from a scraped metric through Prometheus' own rule manager and Alertmanager to a "
    "receiver, on a clock that runs faster than the world's."
)


def section(report: LiveReport) -> Section:
    """Good if each alert is exact or set aside, and there is one; parts of the configuration that do nothing warn."""
    groups = [_group(result) for result in report.results]
    suite = JUnitSuite(
        "live",
        tuple(_case(result, group) for result, group in zip(report.results, groups, strict=True)),
        (("clock", f"{report.factor}x"), ("prometheus", report.prometheus)),
        report.total_s,
    )
    exact = sum(result.exact for result in report.results)
    drafts = sum(result.contract.draft for result in report.results)
    return Section(
        "live",
        _answer(report),
        (*groups, *_of_the_run(report)),
        _page(report),
        (suite,),
        (
            Tile(
                f"{exact} of {len(report.results)}", "delivered on their tick and resolved",
                share_tone(exact, len(report.results)),
            ),
        ),
        count_of(drafts, "draft") if drafts else "",
    )  # fmt: skip


def _page(report: LiveReport) -> SectionPage:
    def view() -> dict[str, object]:
        from harness.report.live.html import live_view

        return live_view(report)

    return SectionPage(
        heading="Live, from the metric to the receiver",
        anchor="live",
        template="live/live.html.j2",
        view=view,
        title="Alert rules, live",
        explanation=EXPLANATION,
    )


def _answer(report: LiveReport) -> str:
    drafts = sum(result.contract.draft and not result.good for result in report.results)
    wrong = sum(not result.good and not result.contract.draft for result in report.results)
    said = [f"not yet: {count_of(drafts, 'draft')} that nobody has confirmed"] if drafts else []
    if not report.results and not report.set_aside:
        said.append("nothing was run live")
    if wrong:
        said.append(f"{count_of(wrong, 'alert')} {be(wrong)} not delivered as meant")
    if report.faults:
        said.append(f"{count_of(len(report.faults), 'rule')} {be(len(report.faults))} wrong")
    return " and ".join(said) or "every alert fires on its tick and reaches its receiver"


def _group(result: LiveResult) -> FindingGroup:
    return FindingGroup(
        result.alert,
        tuple(_finding(result, found) for found in _reasons(result)),
        verdict(result),
        tone_of_live(result),
        allowed=result.contract.allowed or "",
        notes=tuple(result.notes),
        anchor="live",
    )


def _reasons(result: LiveResult) -> list[LiveFinding]:
    """Its findings; of an alert that is not exact there is always one."""
    if result.exact or result.findings:
        return result.findings
    return [LiveFinding(LiveVerdict.DRAFT, "nobody has confirmed its contract, so nothing is proved")]


def _finding(result: LiveResult, found: LiveFinding) -> Finding:
    what = found.verdict.value
    return Finding(
        what,
        FindingSeverity.NOTE if result.good else FindingSeverity.ERROR,
        found.reason,
        result.contract.alert.span if result.located is None else result.located.rule.span,
        title=f"{result.alert}: {what.replace('_', ' ')}",
        exit_code=EXIT_ENGINE if found.verdict is LiveVerdict.ERROR else EXIT_FINDINGS,
    )


def _case(result: LiveResult, group: FindingGroup) -> JUnitCase:
    span = result.contract.alert.span if result.located is None else result.located.rule.span
    skipped = f"set aside ({group.allowed}): {group.findings[0].message}" if group.allowed and group.findings else ""
    return JUnitCase(result.alert, "live", span.file, span.line, group.findings, skipped)


def idle_finding(part: UnusedPart) -> Finding:
    """A part of the Alertmanager file that does nothing."""
    return Finding(
        "idle-configuration", FindingSeverity.WARNING, part.message, part.span, title="Alertmanager",
        identity=part.message,
    )  # fmt: skip


def _of_the_run(report: LiveReport) -> list[FindingGroup]:
    """What is said of no single alert."""
    idle = tuple(map(idle_finding, report.warnings))
    groups = [FindingGroup("Alertmanager", idle)] if idle else []
    if report.faults:
        groups.append(FindingGroup("rules", findings_of(report.faults, "input")))
    if not report.results and not report.set_aside:
        nothing = Finding("nothing-run", FindingSeverity.ERROR, "nothing was run live")
        groups.append(FindingGroup("live", (nothing,)))
    return groups
