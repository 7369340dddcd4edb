"""A run as JUnit XML, as CI servers read it: one test case per alert and aspect, one per assertion of a unit test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.proof.model import AlertResult
from harness.report.outcome import Outcome
from harness.report.proof.aspects import aspects, not_rendered
from harness.report.wording import (
    confirmed_cell,
    contract_cell,
    finding_lines,
    fires_cell,
    hold_cell,
    off_cell,
    one_line,
    quiet_cell,
    span_of,
    verdict_cell,
)
from harness.suites.diff import diff_alerts
from harness.suites.model import FileResult, Result, Severity, Status, SuiteFinding
from harness.units import format_duration

if TYPE_CHECKING:
    from harness.live.model import LiveReport
    from harness.stack.run import ScenarioResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class XmlCase:
    """One `testcase`."""

    name: str
    classname: str
    file: str
    line: int
    seconds: float = 0.0
    kind: str = ""
    """``failure``, ``error``, ``skipped``, or empty where it passed."""
    message: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class XmlSuite:
    """One `testsuite`."""

    name: str
    cases: Sequence[XmlCase]
    properties: Sequence[tuple[str, str]] = ()
    seconds: float = field(default=0.0)


def junit_xml(outcome: Outcome) -> str:
    """The document that `--junit` writes: a `testsuite` per alert and per unit-test file."""
    return suites_xml(list(_suites(outcome)))


def suites_xml(suites: Sequence[XmlSuite]) -> str:
    """The document of any suites, with a final newline."""
    root = Element("testsuites", {"name": "alert-harness", **_counts([c for s in suites for c in s.cases])})
    root.set("time", f"{sum(suite.seconds for suite in suites):.3f}")
    for suite in suites:
        element = SubElement(root, "testsuite", {"name": _xml(suite.name), **_counts(suite.cases)})
        element.set("time", f"{suite.seconds:.3f}")
        if suite.properties:
            listed = SubElement(element, "properties")
            for name, value in suite.properties:
                SubElement(listed, "property", name=name, value=_xml(value))
        for case in suite.cases:
            _add(element, case)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _counts(cases: Sequence[XmlCase]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        **{plural: str(sum(case.kind == kind for case in cases))
           for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))},
    }  # fmt: skip


def _add(suite: Element, case: XmlCase) -> None:
    element = SubElement(suite, "testcase", name=_xml(case.name), classname=_xml(case.classname))
    element.set("time", f"{case.seconds:.3f}")
    if case.file:
        element.set("file", _xml(case.file))
        element.set("line", str(case.line))
    if case.kind:
        outcome = SubElement(element, case.kind, message=_xml(one_line(case.message)))
        if case.kind != "skipped":
            outcome.set("type", case.kind)
            outcome.text = _xml(case.text or case.message)


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _suites(outcome: Outcome) -> Iterator[XmlSuite]:
    if outcome.proof is not None:
        for result in outcome.proof.results:
            yield _alert(result)
    if outcome.live is not None:
        yield _live(outcome.live)
    if outcome.scenario is not None:
        yield _scenario(outcome.scenario)
    if outcome.suites is not None:
        yield from (_file(file) for file in outcome.suites.files)
        if outcome.suites.findings:
            yield XmlSuite("promtool tests", [_finding(finding, "") for finding in outcome.suites.findings])


# -- alerts ------------------------------------------------------------------------------------------------------------


def _alert(result: AlertResult) -> XmlSuite:
    """The whole measuring time stands at the first aspect: one search serves them all."""
    span = span_of(result)
    file, line = span.file, span.line
    classname = f"{file}::{result.alert}"
    cases = []
    for number, aspect in enumerate(aspects(result)):
        kind, message, text = "", "", ""
        if aspect.findings:
            kind, message, text = "failure", aspect.findings[0].message, "\n".join(finding_lines(aspect.findings))
            if result.allowed is not None:
                kind, message = "skipped", f"set aside ({result.allowed}): {message}"
        elif not aspect.measured:
            kind, message = "skipped", f"not measured: {not_rendered(result, aspect.name) or verdict_cell(result)}"
        cases.append(
            XmlCase(aspect.name, classname, file, line, 0.0 if number else result.seconds, kind, message, text)
        )
    return XmlSuite(result.alert, cases, _properties(result), result.seconds)


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


# -- runs of the real thing --------------------------------------------------------------------------------------------


def _live(report: LiveReport) -> XmlSuite:
    """One case per alert: fired on its tick, delivered, resolved."""
    cases = []
    for result in report.results:
        span = result.contract.alert.span if result.located is None else result.located.rule.span
        text = "\n".join(finding.reason for finding in result.findings)
        kind = "" if result.exact else "failure"
        message = result.findings[0].reason if result.findings else ""
        cases.append(XmlCase(result.alert, "live", span.file, span.line, 0.0, kind, message, text))
    properties = (("clock", f"{report.factor}x"), ("prometheus", report.prometheus))
    return XmlSuite("live", cases, properties, report.total_s)


def _scenario(result: ScenarioResult) -> XmlSuite:
    """One case per alert that had to fire, or fired; one for the rest, so that a quiet scenario is no empty suite."""
    scenario = result.scenario
    cases = []
    for judged in result.judged:
        place = judged.expected.alert.span if judged.expected is not None else None
        kind = "" if judged.judgement.ok else "failure"
        message = "" if judged.judgement.ok else f"{judged.alert} {judged.judgement.value}"
        cases.append(
            XmlCase(judged.alert, scenario.name, scenario.file, place.line if place else 1, 0.0, kind, message, message)
        )
    from harness.report.scenario.terminal import conclusion  # with the stack behind it, which a proof does not need

    said = conclusion(result)
    cases.append(
        XmlCase("as a whole", scenario.name, scenario.file, 1, 0.0, "" if result.passed else "failure", said, said)
    )
    properties = (("clock", f"{result.factor}x"), ("runtime", result.runtime), ("seed", str(result.seed)))
    return XmlSuite(scenario.name, cases, properties, result.ended_s - result.began_s)


# -- unit tests --------------------------------------------------------------------------------------------------------


def _file(file: FileResult) -> XmlSuite:
    cases = [_assertion(file, result) for result in file.results]
    cases += [_finding(finding, file.name) for finding in file.findings if finding.severity is Severity.ERROR]
    if file.problem is not None:
        line = file.problem.span.line if file.problem.span else 1
        cases.append(XmlCase("file", file.name, file.name, line, 0.0, "error", file.problem.message, str(file.problem)))
    elif file.errors and not any(case.kind for case in cases):
        text = "\n".join(file.errors)
        cases.append(XmlCase("file", file.name, file.name, 1, 0.0, "error", text.partition("\n")[0], text))
    if cases:  # promtool tells the time of a file, not of an assertion
        first = cases[0]
        cases[0] = XmlCase(
            first.name, first.classname, first.file, first.line, file.seconds, first.kind, first.message, first.text
        )
    return XmlSuite(file.name, cases, (("promtool", "passed" if file.promtool_passed else "failed"),), file.seconds)


def _assertion(file: FileResult, result: Result) -> XmlCase:
    name = f"{result.group}: {result.subject} at {format_duration(result.eval_time_ms)} (line {result.span.line})"
    kind = {Status.PASSED: "", Status.FAILED: "failure", Status.ERROR: "error"}[result.status]
    message, text = "", ""
    if kind:
        text = assertion_text(result)
        message = text.partition("\n")[0]
    return XmlCase(name, file.name, file.name, result.span.line, 0.0, kind, message, text)


def assertion_text(result: Result) -> str:
    """What was expected and what was got, as lines."""
    if result.kind != "alert" or result.status is not Status.FAILED:
        return result.message or f"{result.subject}: {result.status.value}"
    lines = [f"expected {len(result.expected)} firing, got {len(result.got or ())}"]
    for diff in diff_alerts(result.expected, result.got or ()):
        if diff.got is None and diff.expected is not None:
            lines.append(f"- missing {_labels(dict(diff.expected.labels))}")
        elif diff.expected is None and diff.got is not None:
            lines.append(f"+ unexpected {_labels(dict(diff.got.labels))}")
        else:
            lines += [f"~ {c.part} {c.name}: expected {c.expected!r}, got {c.got!r}" for c in diff.changes]
    return "\n".join(lines)


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _finding(finding: SuiteFinding, file: str) -> XmlCase:
    place = finding.span
    name = f"{finding.id} (line {place.line})" if place else finding.id
    text = f"{finding.message}\nwhat to do: {finding.hint}\nmore in {finding.page}"
    kind = "failure" if finding.severity is Severity.ERROR else ""
    where = place.file if place else file
    return XmlCase(name, where or "promtool tests", where, place.line if place else 1, 0.0, kind, finding.message, text)
