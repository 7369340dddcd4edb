"""What a check against a running server found, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.check.model import CheckReport, UseFinding, Weight
from harness.report.wording import one_line
from harness.units import format_duration

_COLOURS = {Weight.FINDING: "bold red", Weight.NOTE: "yellow"}


def write_check(report: CheckReport, out: Console) -> None:
    """Findings with their lines, then notes and what was skipped, then the sum."""
    for weight in (Weight.FINDING, Weight.NOTE):
        for finding in report.findings:
            if finding.weight is weight:
                _write(finding, out)
    for skipped in report.skipped:
        out.print(
            Text.assemble(("skipped", "dim"), f"  {skipped.where}: {one_line(skipped.name)}: {skipped.reason}"),
            soft_wrap=True,
        )
    if report.findings or report.skipped:
        out.print()
    out.print(Text(summary(report), style="bold"), soft_wrap=True)


def summary(report: CheckReport) -> str:
    """One sentence."""
    findings = sum(finding.weight is Weight.FINDING for finding in report.findings)
    notes = len(report.findings) - findings
    what = f"{_count(report.uses, 'expression')} ({_count(report.panels, 'panel query', 'panel queries')})"
    where = f"{report.url} (Prometheus {report.version}, the last {format_duration(report.since_ms)})"
    more = [_count(notes, "note")] if notes else []
    more += [f"{len(report.skipped)} skipped"] if report.skipped else []
    tail = f"; {', '.join(more)}" if more else ""
    verdict = "everything is there" if not findings else _count(findings, "finding")
    return f"{what} against {where}: {verdict}{tail}."


def _write(finding: UseFinding, out: Console) -> None:
    where = f"{finding.where}: {one_line(finding.use)}: {one_line(finding.message)}"
    out.print(Text.assemble((f"{finding.weight.value:>7}", _COLOURS[finding.weight]), f"  {where}"), soft_wrap=True)
    if finding.weight is Weight.FINDING and (excerpt := finding.where.excerpt()):
        out.print(Text("\n".join(f"       {line}" for line in excerpt.splitlines()), style="dim"), soft_wrap=True)


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"
