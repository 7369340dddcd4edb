"""A proof as a section: an alert is a subject with its findings, and counted aspect by aspect."""

from __future__ import annotations

from harness.errors import EXIT_ENGINE, EXIT_FINDINGS
from harness.proof.model import AlertFinding, AlertResult, Verdict
from harness.proof.report import ProofReport
from harness.report.proof.aspects import aspects, not_rendered
from harness.report.proof.untested import untested
from harness.report.section import (
    Finding,
    FindingGroup,
    FindingSeverity,
    JUnitCase,
    JUnitSuite,
    Section,
    SectionPage,
    Tile,
    share_tone,
)
from harness.report.wording import (
    be,
    confirmed_cell,
    contract_cell,
    fires_cell,
    hold_cell,
    off_cell,
    place,
    quiet_cell,
    span_of,
    summary,
    tone_of,
    verdict_cell,
)
from harness.units import count_of

EXPLANATION = (
    "Each alert was measured on a real Prometheus against its contract: what it is meant to do, written down apart "
    "from the rule. Exact means: to the adjacent value of what it watches, and to the single evaluation."
)


def section(report: ProofReport) -> Section:
    """Good if there are alerts and each is exact, or set aside with a reason."""
    groups, suites = [], []
    for number, result in enumerate(report.results, 1):
        told = {id(found): _finding(result, found) for found in _reasons(result)}
        groups.append(_group(result, number, tuple(told.values())))
        suites.append(_suite(result, told))
    groups += [FindingGroup("proof", (finding,)) for finding in _of_the_run(report)]
    return Section(
        "proof", _answer(report), tuple(groups), _page(report), tuple(suites), tuple(_tiles(report)),
        count_of(report.drafts, "draft") if report.drafts else "",
    )  # fmt: skip


def _page(report: ProofReport) -> SectionPage:
    def view() -> dict[str, object]:
        from harness.report.proof.html import proof_view

        return proof_view(report)

    return SectionPage(
        heading="All alerts",
        anchor="summary",
        template="proof/proof.html.j2",
        view=view,
        title="Alert rules, proved",
        explanation=EXPLANATION,
        untested=untested(report),
        footer=summary(report.results, report.engine, report.version),
    )


def _reasons(result: AlertResult) -> list[AlertFinding]:
    """Its findings; of an alert that is not exact there is always one."""
    if result.exact or result.findings:
        return result.findings
    return [AlertFinding(result.verdict, verdict_cell(result))]


def _finding(result: AlertResult, found: AlertFinding) -> Finding:
    fails = not result.accepted
    error = found.verdict is Verdict.ERROR
    return Finding(
        found.verdict.value,
        FindingSeverity.ERROR if fails else FindingSeverity.NOTE,
        found.message,
        found.span or span_of(result),
        found.details,
        exit_code=EXIT_ENGINE if error else EXIT_FINDINGS,
    )


def _group(result: AlertResult, number: int, findings: tuple[Finding, ...]) -> FindingGroup:
    return FindingGroup(
        result.alert, findings, verdict_cell(result), tone_of(result), place(result), result.allowed or "",
        tuple(result.notes), result.verdict.value, span_of(result), f"alert-{number}",
    )  # fmt: skip


def _of_the_run(report: ProofReport) -> list[Finding]:
    said = []
    if not report.complete:
        said.append(("interrupted", "the run was interrupted: there are alerts that it did not come to"))
    if not report.results:
        said.append(("nothing-proved", "nothing was proved"))
    return [Finding(check, FindingSeverity.ERROR, message) for check, message in said]


def _answer(report: ProofReport) -> str:
    wrong = sum(not result.accepted for result in report.results)
    aside = len(report.results) - report.exact
    said = [] if report.complete else ["the run was interrupted"]
    if not report.results:
        said.append("nothing was proved")
    drafts = sum(result.verdict is Verdict.DRAFT and not result.accepted for result in report.results)
    if drafts:
        said.append(f"not yet: {count_of(drafts, 'draft')} that nobody has confirmed")
    if wrong > drafts:
        rest = wrong - drafts
        said.append(f"{rest} of {count_of(len(report.results), 'alert')} {be(rest)} not as meant")
    if said:
        return " and ".join(said)
    if aside:
        fire = "alert fires" if report.exact == 1 else "alerts fire"
        return f"{report.exact} {fire} exactly as meant, {aside} {be(aside)} set aside"
    return "every alert fires exactly as meant"


def _tiles(report: ProofReport) -> list[Tile]:
    results = report.results
    situations = [s for result in results for s in result.situations]
    passed = sum(s.ok for s in situations)
    confirmed = sum(result.confirmed is True for result in results)
    good = report.complete and bool(results) and all(result.accepted for result in results)
    aside = good and report.exact < len(results)
    tiles = [Tile(f"{report.exact} of {len(results)}", "alerts fire exactly as meant",
                  "" if aside else share_tone(report.exact, len(results)))]  # fmt: skip
    if situations:
        tiles.append(
            Tile(f"{passed} of {len(situations)}", "situations end as meant", share_tone(passed, len(situations)))
        )
    tiles.append(Tile(f"{confirmed} of {len(results)}", "confirmed by promtool",
                      "" if aside else share_tone(confirmed, len(results))))  # fmt: skip
    return tiles


# -- what JUnit counts -------------------------------------------------------------------------------------------------


def _suite(result: AlertResult, told: dict[int, Finding]) -> JUnitSuite:
    """The whole measuring time stands at the first aspect: one search serves them all."""
    span = span_of(result)
    cases = []
    for number, aspect in enumerate(aspects(result)):
        skipped = ""
        if aspect.findings and result.allowed is not None:
            skipped = f"set aside ({result.allowed}): {aspect.findings[0].message}"
        elif not aspect.measured:
            skipped = f"not measured: {not_rendered(result, aspect.name) or verdict_cell(result)}"
        cases.append(
            JUnitCase(
                aspect.name, f"{span.file}::{result.alert}", span.file, span.line,
                tuple(told[id(found)] for found in aspect.findings), skipped,
                seconds=0.0 if number else result.seconds,
            )
        )  # fmt: skip
    return JUnitSuite(result.alert, tuple(cases), tuple(_properties(result)), result.seconds)


def _properties(result: AlertResult) -> list[tuple[str, str]]:
    """What was measured; the boundary also as bare numbers, for whoever computes with it."""
    found = [("verdict", result.verdict.value), ("contract", contract_cell(result))]
    boundary = result.measured.boundary
    if boundary is not None:
        found += [
            ("last quiet", quiet_cell(result)),
            ("first firing", fires_cell(result)),
            ("off by", off_cell(result)),
            ("quiet_at", repr(float(boundary.quiet_at))),
            ("fires_at", repr(float(boundary.fires_at))),
            ("ulps", str(boundary.ulps)),
        ]
    if result.measured.fires_after_ms is not None:
        found.append(("hold", hold_cell(result)))
    found.append(("confirmed by promtool", confirmed_cell(result)))
    return found
