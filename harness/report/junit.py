"""A run as JUnit XML, as CI servers read it: what its sections count, and whatever else fails it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.report.section import Finding, FindingGroup, JUnitCase, JUnitSuite, Section
from harness.report.wording import one_line

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(sections: Iterable[Section]) -> str:
    """The document that `--junit` writes, with a final newline."""
    suites = [suite for section in sections for suite in _suites(section)]
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


def _suites(section: Section) -> Iterator[JUnitSuite]:
    """Those of the section, and one for what fails it without being counted there."""
    yield from section.suites
    counted = {id(finding) for suite in section.suites for case in suite.cases for finding in case.findings}
    others = [(group, finding) for group in section.groups for finding in group.failing if id(finding) not in counted]
    if others:
        yield JUnitSuite(section.name, tuple(_uncounted(*other, n) for n, other in enumerate(others, 1)))


def _uncounted(group: FindingGroup, finding: Finding, number: int) -> JUnitCase:
    span = finding.span
    name = f"{finding.check} ({number})" if span is None else f"{finding.check} (line {span.line}, {number})"
    return JUnitCase(name, group.name, span.file if span else "", span.line if span else 1, (finding,))


def _counts(cases: Sequence[JUnitCase]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        **{plural: str(sum(case.kind == kind for case in cases))
           for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))},
    }  # fmt: skip


def _add(suite: Element, case: JUnitCase) -> None:
    element = SubElement(suite, "testcase", name=_xml(case.name), classname=_xml(case.classname))
    element.set("time", f"{case.seconds:.3f}")
    if case.file:
        element.set("file", _xml(case.file))
        element.set("line", str(case.line))
    if case.kind == "skipped":
        SubElement(element, "skipped", message=_xml(one_line(case.skipped)))
    elif case.kind:
        message = case.message or case.findings[0].message.partition("\n")[0]
        told = SubElement(element, case.kind, message=_xml(one_line(message)), type=case.kind)
        told.text = _xml(case.text or "\n".join(line for finding in case.findings for line in _lines(finding)))


def _lines(finding: Finding) -> list[str]:
    more = [f"what to do: {finding.help}"] if finding.help else []
    return [*finding.lines, *more, *([f"more in {finding.page}"] if finding.page else [])]


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
