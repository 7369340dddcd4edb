"""The SLO report's charts as numbers and paths, drawn by the page's template; gaps stay gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from harness.report import svg
from harness.report.slo.wording import signed_percent
from harness.report.svg import Band, Frame, Mark, Number, Scale
from harness.slo.budget.budget import Point
from harness.slo.budget.report import ObjectiveReport
from harness.slo.budget.verdict import percent
from harness.slo.stretches import within

FRAME = Frame(height=216, left=84, right=624, top=22, bottom=180)
LETTERS = "ABCDEFGHIJ"
_LOWEST_LEFT = Fraction(-1)
_DAY = 86_400_000
_NINES = 0.86
"""The height up to which the SLI's scale is one of nines; above it comes 100 %, which has endlessly many."""
_MARKED = 5
"""Incidents that are marked in the charts; more letters would stand on each other."""
_LEAST_BAND = 3.0
_LETTER_WIDTH = 14
_SPARK = (120, 28)


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time with a limit."""

    path: str
    below: str
    """The parts of the line on the wrong side of the limit, drawn over it."""
    area: str
    limit_y: float
    limit_text: str
    gaps: tuple[Band, ...]
    planned: tuple[Band, ...]
    """Maintenance."""
    incidents: tuple[Band, ...]
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    described: str


def sli_chart(one: ObjectiveReport) -> Chart | None:
    """The SLI step by step, on a scale of nines: the distance to 100 % is logarithmic, as budgets are thought of."""
    known = [point for point in one.points if not point.gap and point.tally.total > 0]
    if not known or not one.trusted:
        return None
    budget = float(one.objective.budget)
    floor = 10 ** (math.floor(math.log10(budget)) - 1)
    y_of = FRAME.y(_nines(floor))
    ys = [None if point.gap or point.tally.total <= 0 else y_of(_error(point)) for point in one.points]
    nines = [10.0**-power for power in range(round(-math.log10(floor)) + 1)]
    labels: list[tuple[Number, str]] = [(0, "100 %"), *((e, percent(1 - Fraction(str(e)))) for e in nines)]
    worst = min((point.tally.sli or Fraction(1) for point in known), default=Fraction(1))
    below = sum(point.tally.error_ratio is not None and _error(point) > budget for point in known)
    return _chart(
        one,
        ys,
        limit_y=y_of(budget),
        limit_text=f"target {percent(one.objective.target)}",
        y_marks=svg.y_axis(y_of, labels, thin=False),
        described=f"Worst step {percent(worst)}; {below} of {len(known)} measured steps below target",
    )


def _nines(floor: float) -> svg.Share:
    """Of error ratios: 1 at the bottom, `floor` near the top, whatever is less at the top."""
    logarithmic = svg.logarithmic(floor, 1)

    def share(error: Number) -> float:
        return 1.0 if error <= 0 else _NINES * (1 - logarithmic(error))

    return share


def budget_chart(one: ObjectiveReport) -> Chart | None:
    """What was left of the budget, in steps; overspent by more than all of it again is cut off, and said."""
    lefts = [point.left for point in one.points if point.left is not None]
    if not one.trusted or one.left is None or not lefts:
        return None
    low = _lowest(lefts)
    y_of = FRAME.y(svg.linear(low, 1))
    zero = y_of(0)
    labels: list[tuple[Number, str]] = [(Fraction(part, 2), f"{part * 50} %") for part in (0, 1, 2)]
    if low < 0:
        labels.append((low, signed_percent(low)))
    cut = f" (the line is cut off at {float(low) * 100:.0f} %)" if min(lefts) < low else ""
    ys = [None if point.gap or point.left is None else y_of(point.left) for point in one.points]
    chart = _chart(
        one,
        ys,
        limit_y=zero,
        limit_text="",
        y_marks=svg.y_axis(y_of, labels, thin=False),
        described=f"{signed_percent(one.left)} left at the end{cut}",
    )
    return replace(chart, area=svg.filled(_steps(one, ys, _x_of(one)), zero))


def _lowest(lefts: Sequence[Fraction]) -> Fraction:
    """Where the budget's scale begins: at nothing, or below it where that much was overspent."""
    return max(_LOWEST_LEFT, min(Fraction(0), *lefts))


def _chart(
    one: ObjectiveReport,
    ys: Sequence[float | None],
    *,
    limit_y: float,
    limit_text: str,
    y_marks: tuple[Mark, ...],
    described: str,
) -> Chart:
    """The line through the heights of the steps, over what both charts show of the time."""
    x_of = _x_of(one)
    return Chart(
        path=svg.staircase(_steps(one, ys, x_of)),
        below=svg.staircase(_steps(one, [y if y is not None and y > limit_y else None for y in ys], x_of)),
        area="",
        limit_y=limit_y,
        limit_text=limit_text,
        gaps=_gap_bands(one, x_of),
        planned=_planned_bands(one, x_of),
        incidents=_incident_bands(one, x_of),
        x_marks=_time_marks(one, x_of),
        y_marks=y_marks,
        described=described,
    )


def spark(one: ObjectiveReport) -> str:
    """The budget left as a small line; empty where there is none."""
    lefts = [point.left for point in one.points if point.left is not None]
    if not one.trusted or not lefts:
        return ""
    width, height = _SPARK
    x_of = replace(_x_of(one), start=0, end=width, digits=0)
    y_of = Scale(svg.linear(_lowest(lefts), 1), height - 2, 2, digits=0)
    return svg.staircase(_steps(one, [None if p.gap or p.left is None else y_of(p.left) for p in one.points], x_of))


def _error(point: Point) -> float:
    return float(point.tally.error_ratio or 0)


def _x_of(one: ObjectiveReport) -> Scale:
    return FRAME.x(svg.linear(one.points[0].start_ms, one.points[-1].end_ms))


def _steps(one: ObjectiveReport, ys: Sequence[float | None], x_of: Scale) -> list[svg.Step]:
    """A step for each point, as high as it is there."""
    return [(x_of(point.start_ms), x_of(point.end_ms), y) for point, y in zip(one.points, ys, strict=True)]


def _gap_bands(one: ObjectiveReport, x_of: Scale) -> tuple[Band, ...]:
    """Unmeasured time, as far as the chart's steps show it."""
    found = [
        Band.between(x_of(one.points[begin].start_ms), x_of(one.points[end - 1].end_ms))
        for begin, end, unknown in svg.runs(point.unknown for point in one.points)
        if unknown
    ]
    return tuple(replace(band, text="no data") if band.width > 60 else band for band in found)


def _planned_bands(one: ObjectiveReport, x_of: Scale) -> tuple[Band, ...]:
    """Planned maintenance."""
    found = [
        Band.between(x_of(begin), x_of(end), least=_LEAST_BAND)
        for begin, end in within(one.judged.left_out, one.points[0].start_ms, one.points[-1].end_ms)
    ]
    return tuple(replace(band, text="maintenance") if band.width > 100 else band for band in found)


def _incident_bands(one: ObjectiveReport, x_of: Scale) -> tuple[Band, ...]:
    """The dearest incidents; a letter that would stand on a dearer one's is left out."""
    bands: list[Band] = []
    for letter, incident in zip(LETTERS, one.incidents.listed[:_MARKED] if one.incidents else (), strict=False):
        band = Band.between(x_of(incident.start_ms), x_of(incident.end_ms), text=letter, least=_LEAST_BAND)
        covered = any(other.text and abs(band.middle - other.middle) < _LETTER_WIDTH for other in bands)
        bands.append(replace(band, text="") if covered else band)
    return tuple(bands)


def _time_marks(one: ObjectiveReport, x_of: Scale) -> tuple[Mark, ...]:
    first, last = one.points[0].start_ms, one.points[-1].end_ms
    length, zone = last - first, ZoneInfo(one.judged.zone)
    form = "%-d %b" if length >= 4 * _DAY else "%-d %b %H:%M" if length >= _DAY else "%H:%M"
    if length < 600_000:
        form = "%H:%M:%S"
    return svg.x_axis(x_of, [(at, f"{_local(int(at), zone):{form}}") for at in svg.even(first, last)])


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)).astimezone(zone)
