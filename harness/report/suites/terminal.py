"""A run of unit-test files on a terminal: a line per file as it ends, then what is wrong and what is untested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from harness.report.suites.json import summary
from harness.report.terminal import shortened
from harness.report.wording import one_line
from harness.suites.diff import AlertDiff, diff_alerts
from harness.suites.model import FileResult, Labelled, Result, Severity, Status, SuiteFinding, SuiteReport
from harness.units import count_of, format_duration

_MOST = 3
"""Warnings of one kind, and names in a list, that are shown; --json has all."""
_MOST_NAMES = 8
_COLOURS = {Status.PASSED: "green", Status.FAILED: "bold red", Status.ERROR: "bold red"}


def write_file(file: FileResult, out: Console) -> None:
    """What is to be said of one file: a line, and what failed in it."""
    passed = sum(result.status is Status.PASSED for result in file.results)
    word = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.ERROR: "ERROR"}[file.status]
    what = (
        f"{passed} of {len(file.results)} assertions" if passed < len(file.results) else count_of(passed, "assertion")
    )
    note = "  promtool says SUCCESS" if file.false_green else ""
    out.print(
        Text.assemble((f"{word:>6}", _COLOURS[file.status]), f"  {one_line(file.name)}  ({what}){note}"), soft_wrap=True
    )
    if file.problem is not None:
        _block(out, str(file.problem))
    elif file.errors:
        for error in file.errors[:_MOST_NAMES]:
            _block(out, error)
    for result in file.results:
        if result.status is Status.FAILED or (result.status is Status.ERROR and file.problem is None):
            _write_result(result, out)
    for finding in file.findings:
        if finding.severity is Severity.ERROR:
            _write_finding(finding, out)


def write_report(report: SuiteReport, out: Console) -> None:
    """What is to be said of the run as a whole, behind its files."""
    for finding in report.findings:
        if finding.severity is Severity.ERROR:
            _write_finding(finding, out)
    _write_warnings(report, out)
    _write_coverage(report, out)
    numbers = summary(report)
    text = f"{numbers['files_passed']} of {count_of(numbers['files'], 'file')} passed, "
    text += f"{numbers['assertions_passed']} of {count_of(numbers['assertions'], 'assertion')}"
    if numbers["false_greens"]:
        text += f"; {numbers['false_greens']} on which promtool says SUCCESS"
    if not report.complete:
        text = f"interrupted; so far {text}"
    out.print()
    out.print(Text(f"{text} (promtool {report.promtool})", style="bold"), soft_wrap=True)


def _write_result(result: Result, out: Console) -> None:
    subject = shortened(one_line(result.subject))
    what = f"{subject} at {format_duration(result.eval_time_ms)}"
    out.print(Text.assemble("\n        ", (what, "bold"), f"  {result.span}"), soft_wrap=True)
    out.print(Text(f"        group: {one_line(result.group)}", style="dim"), soft_wrap=True)
    if result.message:
        _block(out, result.message, indent=10)
    if result.kind == "alert" and result.status is Status.FAILED:
        expected, got = len(result.expected), len(result.got or ())
        out.print(Text(f"          expected {count_of(expected, 'alert')}, got {got}"), soft_wrap=True)
        for diff in diff_alerts(result.expected, result.got or ()):
            _write_diff(diff, out)
    for series in result.inputs[:_MOST_NAMES]:
        out.print(Text(f"          reads {_both_ends(one_line(series))}", style="dim"), soft_wrap=True)
    if len(result.inputs) > _MOST_NAMES:
        out.print(Text(f"          and {len(result.inputs) - _MOST_NAMES} more series", style="dim"), soft_wrap=True)


def _write_diff(diff: AlertDiff, out: Console) -> None:
    if diff.got is None and diff.expected is not None:
        _write_alert("- missing", diff.expected, "red", out)
    elif diff.expected is None and diff.got is not None:
        _write_alert("+ unexpected", diff.got, "green", out)
    elif diff.got is not None:
        changed = {change.name for change in diff.changes if change.part == "label"}
        same = {k: v for k, v in diff.got.labels.items() if k not in changed}
        out.print(Text(f"          ~ differs: {one_line(_labels(same))}"), soft_wrap=True)
        for change in diff.changes:
            if change.expected is not None:
                out.print(
                    Text(f"            - {change.part} {one_line(change.name)}: {one_line(change.expected)}", "red")
                )
            if change.got is not None:
                out.print(
                    Text(f"            + {change.part} {one_line(change.name)}: {one_line(change.got)}", "green"),
                    soft_wrap=True,
                )


def _write_alert(what: str, alert: Labelled, style: str, out: Console) -> None:
    out.print(Text(f"          {what}: {one_line(_labels(alert.labels))}", style=style), soft_wrap=True)
    for name, text in alert.annotations.items():
        out.print(Text(f"              {one_line(name)}: {one_line(text)}", style=style), soft_wrap=True)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _write_finding(finding: SuiteFinding, out: Console) -> None:
    where = f"  {finding.span}" if finding.span else ""
    style = "red" if finding.severity is Severity.ERROR else "yellow"
    out.print(Text.assemble("\n        ", (finding.id, style), where), soft_wrap=True)
    _block(out, finding.message, indent=10)
    if finding.span and (excerpt := finding.span.excerpt()):
        _block(out, excerpt, indent=10)
    out.print(Text(f"          what to do: {finding.hint}; more in {finding.page}", style="dim"), soft_wrap=True)


def _write_warnings(report: SuiteReport, out: Console) -> None:
    found = [f for file in report.files for f in file.findings] + list(report.findings)
    warnings = [finding for finding in found if finding.severity is Severity.WARNING]
    for name, count in sorted(Counter(finding.id for finding in warnings).items()):
        out.print()
        out.print(
            Text.assemble((f"{name}: {count_of(count, 'warning')}", "yellow"), " (an error with --strict)"),
            soft_wrap=True,
        )
        for finding in [f for f in warnings if f.id == name][:_MOST]:
            out.print(Text(f"  {finding.span or ''}: {one_line(finding.message)}"), soft_wrap=True)
        if count > _MOST:
            out.print(Text(f"  and {count - _MOST} more (all of them: --json -)", style="dim"), soft_wrap=True)


def _write_coverage(report: SuiteReport, out: Console) -> None:
    alerts = [rule for rule in report.coverage if rule.kind == "alert"]
    for what, names in (
        ("never seen firing", [rule.name for rule in alerts if rule.asserted and not rule.firing]),
        ("never asserted quiet", [rule.name for rule in alerts if rule.asserted and not rule.quiet]),
    ):
        if names:
            shown = ", ".join(one_line(name) for name in names[:_MOST_NAMES])
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            out.print(Text(f"\n{what}: {shown}{more}", style="dim"), soft_wrap=True)


def _both_ends(text: str) -> str:
    """A series with its values: the name's beginning and the values' end matter most."""
    return text if len(text) <= 120 else f"{text[:70]}…{text[-49:]}"


def _block(out: Console, text: str, indent: int = 8) -> None:
    for line in text.splitlines():
        out.print(Text(" " * indent + line), soft_wrap=True)
