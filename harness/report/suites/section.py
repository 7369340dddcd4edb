"""A run of unit-test files as a section: a file is a subject; assertions and checks are its cases."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import EXIT_INPUT, Span
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
from harness.report.wording import one_line
from harness.suites.diff import diff_alerts
from harness.suites.model import FileResult, Result, Severity, Status, SuiteFinding, SuiteReport
from harness.units import count_of, format_duration

_RUN = "promtool tests"


def section(report: SuiteReport) -> Section:
    """Good if every file passes, none of the checks objects, and no file is missing."""
    files = [_File.of(file) for file in report.files]
    groups = [FindingGroup(each.file.name, each.findings, each.file.status.value) for each in files]
    whole = [_of_check(finding) for finding in report.findings]
    interrupted = Finding(
        "interrupted", FindingSeverity.ERROR, "the run was interrupted: files are missing", more=_more()
    )
    run = whole if report.complete else [*whole, interrupted]
    suites = [each.suite() for each in files]
    if whole:
        suites.append(JUnitSuite(_RUN, tuple(_check_case(finding, "") for finding in whole)))
    return Section(
        "tests",
        _answer(report),
        (*groups, FindingGroup(_RUN, tuple(run))),
        _page(report),
        tuple(suites),
        tuple(_tiles(report)),
    )


def _page(report: SuiteReport) -> SectionPage:
    def view() -> dict[str, object]:
        from harness.report.suites.html import suites_view

        return suites_view(report)

    return SectionPage(
        heading="Unit tests",
        anchor="tests",
        template="suites/suites.html.j2",
        view=view,
        title="Alert rules, tested",
        explanation="promtool ran each unit test; then every way in which its success can be empty was looked for.",
        untested=_untested(report),
        footer=f"Unit tests by promtool {one_line(report.promtool)}.",
    )


def _answer(report: SuiteReport) -> str:
    if report.passed:
        return "every unit test passes, and none of them is empty"
    wrong = sum(file.status is not Status.PASSED for file in report.files)
    if wrong:
        return f"{wrong} of {count_of(len(report.files), 'test file')} {'does' if wrong == 1 else 'do'} not pass"
    return "the unit tests leave something unsaid"


def _tiles(report: SuiteReport) -> list[Tile]:
    assertions = [result for file in report.files for result in file.results]
    passed = sum(result.status is Status.PASSED for result in assertions)
    tiles = [
        Tile(f"{passed} of {len(assertions)}", "assertions of unit tests hold", share_tone(passed, len(assertions)))
    ]
    if empty := sum(file.false_green for file in report.files):
        tiles.append(Tile(str(empty), "test files of which promtool says SUCCESS wrongly", "bad"))
    rules = report.coverage
    tested = sum(rule.asserted for rule in rules)
    tiles.append(Tile(f"{tested} of {len(rules)}", "rules have a unit test", "" if tested < len(rules) else "good"))
    return tiles


def _untested(report: SuiteReport) -> tuple[tuple[str, tuple[str, ...]], ...]:
    rules = report.coverage
    alerts = [rule for rule in rules if rule.kind == "alert" and rule.asserted]
    return (
        (
            "Rules that no unit test speaks of",
            tuple(f"{rule.name} ({rule.file}:{rule.span.line})" for rule in rules if not rule.asserted),
        ),
        ("Alerts that no unit test has seen firing", tuple(rule.name for rule in alerts if not rule.firing)),
        ("Alerts that no unit test has seen quiet", tuple(rule.name for rule in alerts if not rule.quiet)),
    )


# -- one file ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    """A file's findings, each under what JUnit counts it as."""

    file: FileResult
    assertions: tuple[tuple[Result, tuple[Finding, ...]], ...]
    checks: tuple[Finding, ...]
    whole: Finding | None
    """What keeps the file as a whole from passing, where no assertion and no check says it."""

    @classmethod
    def of(cls, file: FileResult) -> _File:
        assertions = tuple(
            (result, () if result.status is Status.PASSED else (_of_assertion(result),)) for result in file.results
        )
        checks = tuple(_of_check(finding) for finding in file.findings)
        said = any(found for _, found in assertions) or any(finding.fails for finding in checks)
        return cls(file, assertions, checks, _of_file(file, said=said))

    @property
    def findings(self) -> tuple[Finding, ...]:
        whole = () if self.whole is None else (self.whole,)
        return (*whole, *(finding for _, found in self.assertions for finding in found), *self.checks)

    def suite(self) -> JUnitSuite:
        """promtool tells the time of a file, not of an assertion: it stands at the first case."""
        file = self.file
        cases = [_assertion_case(file, result, found) for result, found in self.assertions]
        cases += [_check_case(finding, file.name) for finding in self.checks if finding.fails]
        if self.whole is not None:
            line = self.whole.span.line if self.whole.span else 1
            text = str(file.problem) if file.problem is not None else ""
            cases.append(JUnitCase("file", file.name, file.name, line, (self.whole,), broken=True, text=text))
        cases[:1] = [replace(case, seconds=file.seconds) for case in cases[:1]]
        return JUnitSuite(file.name, tuple(cases), (("promtool", _verdict(file)),), file.seconds)


def _verdict(file: FileResult) -> str:
    return "passed" if file.promtool_passed else "failed"


def _of_file(file: FileResult, *, said: bool) -> Finding | None:
    error = FindingSeverity.ERROR
    if file.problem is not None:
        return Finding(
            "test-file", error, file.problem.message, file.problem.span or Span(file.name, 1, 1),
            help=file.problem.hint or "", title="Unit tests", identity=file.name, exit_code=EXIT_INPUT,
            more=_more(hint=file.problem.hint or ""),
        )  # fmt: skip
    if file.status is Status.PASSED or said:
        return None
    message = "\n".join(file.errors) or "promtool fails this file"
    return Finding(
        "test-file", error, message, Span(file.name, 1, 1), title="Unit tests", identity=file.name, more=_more()
    )


def _of_assertion(result: Result) -> Finding:
    return Finding(
        "unit-test",
        FindingSeverity.ERROR,
        assertion_text(result),
        result.span,
        title=f"{result.subject} at {format_duration(result.eval_time_ms)}",
        identity=f"{result.group}|{result.subject}|{result.eval_time_ms}",
        more=_more(result.group),
    )


def _of_check(finding: SuiteFinding) -> Finding:
    return Finding(
        finding.id,
        FindingSeverity.ERROR if finding.severity is Severity.ERROR else FindingSeverity.WARNING,
        finding.message,
        finding.span,
        help=finding.hint,
        page=finding.page,
        title=finding.id,
        identity=f"{finding.group}|{finding.message}",
        more=_more(finding.group, finding.hint, finding.page),
    )


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


def _more(group: str = "", hint: str = "", page: str = "") -> dict[str, str | None]:
    """The keys that findings have in the JSON of `test` alone."""
    return {"group": group or None, "hint": hint or None, "page": page or None}


def _assertion_case(file: FileResult, result: Result, found: tuple[Finding, ...]) -> JUnitCase:
    name = f"{result.group}: {result.subject} at {format_duration(result.eval_time_ms)} (line {result.span.line})"
    return JUnitCase(
        name, file.name, file.name, result.span.line, found, broken=result.status is Status.ERROR
    )  # fmt: skip


def _check_case(finding: Finding, file: str) -> JUnitCase:
    span = finding.span
    name = f"{finding.check} (line {span.line})" if span else finding.check
    where = span.file if span else file
    return JUnitCase(name, where or _RUN, where, span.line if span else 1, (finding,))
