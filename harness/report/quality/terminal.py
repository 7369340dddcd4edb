"""The measured quality of burn-rate alerts on a terminal: a row per objective and severity, thresholds, reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.quality.wording import described_percent, described_time
from harness.report.terminal import shortened
from harness.slo.quality.incidents import IncidentKind
from harness.slo.quality.results import (
    IncidentOutcome,
    ObjectiveQuality,
    PairThreshold,
    QualityVerdict,
    SeverityQuality,
)
from harness.units import format_number

HEADER = (
    "objective", "severity", "fires on", "outage detected", "after budget", "reset", "10 % detected", "missed", "false",
    "recall", "precision", "verdict",
)  # fmt: skip
_LEFT = ("objective", "severity", "fires on", "verdict")
_MOST_ULPS = 100_000
"""More of them say less than a share does."""
_COLOURS = {QualityVerdict.AS_MEANT: "green"}


def quality_table(qualities: Sequence[ObjectiveQuality], out: Console) -> None:
    """Print the table, every pair's threshold, what is wrong and why, and notes."""
    out.print(_summary(qualities))
    out.print()
    out.print(_thresholds(qualities))
    for quality in qualities:
        for severity in quality.severities:
            if severity.findings:
                out.print()
                out.print(
                    Text.assemble(
                        (shortened(quality.objective.name), "bold"), f"  {severity.severity}  ",
                        (severity.verdict.value, "red"),
                    )
                )  # fmt: skip
                for _, reason in severity.findings:
                    out.print(Padding(Text(f"- {reason}"), (0, 0, 0, 2)))
    for note in notes(qualities):
        out.print(Text(f"note: {note}", style="dim"))


def _summary(qualities: Sequence[ObjectiveQuality]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in HEADER:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    for quality in qualities:
        for severity in quality.severities:
            cells = [Text(shortened(cell)) for cell in row(quality, severity)]
            cells[-1].stylize(_COLOURS.get(severity.verdict, "red"))
            table.add_row(*cells)
    return table


def row(quality: ObjectiveQuality, severity: SeverityQuality) -> list[str]:
    """The cells of one severity, in the order of the header."""
    outage, tenth = _constant(severity, Fraction(1)), _constant(severity, Fraction(1, 10))
    pairs = ", ".join(f"{pair.label} × {format_number(pair.factor)}" for pair in severity.pairs)
    return [
        quality.objective.name,
        severity.severity,
        pairs,
        described_time(outage.detected_ms if outage else None),
        described_percent(outage.budget_at_detection if outage else None),
        described_time(outage.reset_ms if outage else None),
        described_time(tenth.detected_ms if tenth else None),
        f"{severity.missed} of {severity.needed}",
        f"{severity.false_alerts} of {severity.alerts}",
        described_percent(severity.recall),
        described_percent(severity.precision),
        severity.verdict.value,
    ]


def _constant(severity: SeverityQuality, ratio: Fraction) -> IncidentOutcome | None:
    return next((outcome for outcome in severity.outcomes if outcome.incident.ratio == ratio), None)


def _thresholds(qualities: Sequence[ObjectiveQuality]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in ("objective", "pair", "θ", "last quiet", "first firing", "off by"):
        table.add_column(name, justify="left" if name in ("objective", "pair") else "right", overflow="fold")
    for quality in qualities:
        for severity in quality.severities:
            for found in severity.thresholds:
                table.add_row(
                    shortened(quality.objective.name),
                    f"{severity.severity} {found.pair.label}",
                    described_percent(found.pair.threshold(quality.objective.target)),
                    _edge(found.quiet_at, found),
                    _edge(found.fires_at, found),
                    _off(found),
                )
    return table


def _edge(ratio: Fraction | None, found: PairThreshold) -> str:
    if ratio is None:
        return "never"
    return format_number(ratio) if found.slices is None else f"{ratio * found.slices} of {found.slices} slices"


def _off(found: PairThreshold) -> str:
    """How far the boundary is from θ; a dash where there is none."""
    if found.fires_at is None or found.quiet_at is None:
        return "–"
    if found.slices is not None:
        if found.exact and found.fires_at != found.wanted:
            return "on θ"  # where rounding decides
        return f"{abs(found.fires_at - found.wanted) * found.slices} slices"
    if found.ulps is not None and found.ulps > _MOST_ULPS:
        return f"{float(found.fires_at / found.wanted - 1) * 100:+.3g} %"
    return f"{found.ulps} ulp"


def notes(qualities: Sequence[ObjectiveQuality]) -> Iterator[str]:
    """What a reader of the table should know beside it."""
    for quality in qualities:
        for text in quality.notes:
            yield f"{quality.objective.name}: {text}"
        for severity in quality.severities:
            own = [o for o in severity.outcomes if o.policy_false_alerts]
            for gaps in (False, True):
                names = ", ".join(f"`{o.incident.name}`" for o in own if (o.incident.kind is IncidentKind.GAP) is gaps)
                why = (
                    "the objective's query takes absent data for errors"
                    if gaps
                    else "a ratio says nothing about how few events there were (a traffic floor, `min_events`, does)"
                )
                if names:
                    where = f"{quality.objective.name}: the false {severity.severity} in {names}"
                    yield f"{where} is the policy's own: {why}"


def summary(qualities: Sequence[ObjectiveQuality], kind: str, version: str) -> str:
    """One line: how many severities do what their pairs say, and on what that was measured."""
    severities = [severity for quality in qualities for severity in quality.severities]
    good = sum(severity.verdict is QualityVerdict.AS_MEANT for severity in severities)
    incidents = sum(len(quality.severities[0].outcomes) for quality in qualities if quality.severities)
    days = sum(quality.simulated_ms for quality in qualities) / 86_400_000
    return (
        f"{good} of {len(severities)} as meant: {incidents} incidents, {days:.0f} days played tick by tick "
        f"(Prometheus {version}, {kind})"
    )
