"""The SLO report's charts as numbers and paths, drawn by the page's template; gaps stay gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from harness.report.proof.charts import Mark
from harness.slo.budget.budget import Point
from harness.slo.budget.report import ObjectiveReport
from harness.slo.budget.verdict import percent
from harness.slo.stretches import within

WIDTH, HEIGHT = 640, 216
LEFT, RIGHT, TOP, BOTTOM = 84, 16, 22, 36
_LOWEST_LEFT = Fraction(-1)
_DAY = 86_400_000
LETTERS = "ABCDEFGHIJ"
_NINES = 0.86
"""The height up to which the SLI's scale is one of nines; above it comes 100 %, which has endlessly many."""
_MARKED = 5
"""Incidents that are marked in the charts; more letters would stand on each other."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time: where it stands, and what is written above it."""

    left: float
    width: float
    text: str = ""
    middle: float = 0.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time with a limit, in pixels."""

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

    def y_of(error: float) -> float:
        if error <= floor:
            share = 1.0 if error <= 0 else _NINES
        else:
            share = _NINES * math.log10(error) / math.log10(floor) if error < 1 else 0.0
        return _y(share)

    steps = [
        None if point.gap or point.tally.total <= 0 else y_of(min(1.0, max(0.0, _error(point)))) for point in one.points
    ]
    limit_y = y_of(budget)
    nines = [10.0**-power for power in range(round(-math.log10(floor)) + 1)]
    marks = [Mark(_y(1.0), "100 %"), *(Mark(y_of(e), percent(1 - Fraction(str(e)))) for e in nines)]
    worst = min((point.tally.sli or Fraction(1) for point in known), default=Fraction(1))
    below = sum(point.tally.error_ratio is not None and _error(point) > budget for point in known)
    return Chart(
        path=_steps(one, steps),
        below=_below(one, steps, limit_y),
        area="",
        limit_y=limit_y,
        limit_text=f"target {percent(one.objective.target)}",
        gaps=_gap_bands(one),
        planned=_planned_bands(one),
        incidents=_incident_bands(one),
        x_marks=_time_marks(one),
        y_marks=tuple(_apart(marks)),
        described=f"Worst step {percent(worst)}; {below} of {len(known)} measured steps below target",
    )


def budget_chart(one: ObjectiveReport) -> Chart | None:
    """What was left of the budget, in steps; overspent by more than all of it again is cut off, and said."""
    if not one.trusted or one.left is None:
        return None
    lefts = [point.left for point in one.points if point.left is not None]
    if not lefts:
        return None
    low = max(_LOWEST_LEFT, min(Fraction(0), *lefts))

    def y_of(left: Fraction) -> float:
        return _y(float((max(left, low) - low) / (1 - low)))

    steps = [None if point.gap or point.left is None else y_of(point.left) for point in one.points]
    zero = y_of(Fraction(0))
    marks = [Mark(y_of(Fraction(part, 2)), f"{part * 50} %", part == 1) for part in (2, 1, 0)]
    if low < 0:
        marks.append(Mark(y_of(low), f"−{percent(-low)}"))
    cut = f" (the line is cut off at {float(low) * 100:.0f} %)" if min(lefts) < low else ""
    left = percent(one.left) if one.left >= 0 else f"−{percent(-one.left)}"
    return Chart(
        path=_steps(one, steps),
        below=_below(one, steps, zero),
        area=_area(one, steps, zero),
        limit_y=zero,
        limit_text="",
        gaps=_gap_bands(one),
        planned=_planned_bands(one),
        incidents=_incident_bands(one),
        x_marks=_time_marks(one),
        y_marks=tuple(_apart(marks)),
        described=f"{left} left at the end{cut}",
    )


def spark(one: ObjectiveReport, width: int = 120, height: int = 28) -> str:
    """The budget left as a small line; empty where there is none."""
    if not one.trusted or not one.points:
        return ""
    low = min((max(_LOWEST_LEFT, p.left) for p in one.points if p.left is not None), default=Fraction(0))
    low = min(Fraction(0), low)
    path, pen = "", False
    for i, point in enumerate(one.points):
        x = i * width / len(one.points)
        if point.gap or point.left is None:
            path += f"H{x:.0f}" if pen else ""  # a level line up to the gap
            pen = False
            continue
        y = 2 + (height - 4) * float(1 - (max(point.left, low) - low) / (1 - low))
        path += f"{'L' if pen else 'M'}{x:.0f} {y:.0f}" if not pen or f" {y:.0f}" != path[path.rfind(" ") :] else ""
        if i == len(one.points) - 1:
            path += f"H{width}"
        pen = True
    return path


def _error(point: Point) -> float:
    return float(point.tally.error_ratio or 0)


def _y(share: float) -> float:
    """From the bottom (0) to the top (1)."""
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _x(one: ObjectiveReport, at_ms: int) -> float:
    first, last = one.points[0].start_ms, one.points[-1].end_ms
    share = (min(max(at_ms, first), last) - first) / max(1, last - first)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _steps(one: ObjectiveReport, steps: Sequence[float | None]) -> str:
    """A line of steps, broken where there is none."""
    path, last = "", None
    for point, y in zip(one.points, steps, strict=True):
        if y is not None:
            if last is None:
                path += f"M{_x(one, point.start_ms):g} {y:g}"
            elif y != last:
                path += f"H{_x(one, point.start_ms):g}V{y:g}"
        if last is not None and y is None:
            path += f"H{_x(one, point.start_ms):g}"
        last = y
    return f"{path}H{_x(one, one.points[-1].end_ms):g}" if last is not None else path


def _below(one: ObjectiveReport, steps: Sequence[float | None], limit: float) -> str:
    path, open_ = "", False
    for point, y in zip(one.points, steps, strict=True):
        wrong = y is not None and y > limit
        if wrong:
            x = _x(one, point.start_ms)
            path += f"V{y:g}" if open_ else f"M{x:g} {y:g}"
            path += f"H{_x(one, point.end_ms):g}"
        open_ = wrong
    return path


def _area(one: ObjectiveReport, steps: Sequence[float | None], base: float) -> str:
    """What is between the line and its base, one shape for each unbroken run."""
    path, open_ = "", False
    for i, (point, y) in enumerate(zip(one.points, steps, strict=True)):
        if y is not None:
            if not open_:
                path += f"M{_x(one, point.start_ms):g} {base:g}V{y:g}"
            elif y != steps[i - 1]:
                path += f"H{_x(one, point.start_ms):g}V{y:g}"
            open_ = True
        if open_ and (y is None or i == len(steps) - 1):
            path += f"H{_x(one, point.start_ms if y is None else point.end_ms):g}V{base:g}z"
            open_ = False
    return path


def _gap_bands(one: ObjectiveReport) -> tuple[Band, ...]:
    """Unmeasured time, as far as the chart's steps show it."""
    bands: list[Band] = []
    begin: int | None = None
    for i, point in enumerate(one.points):
        if point.unknown and begin is None:
            begin = point.start_ms
        if begin is not None and (not point.unknown or i == len(one.points) - 1):
            left, right = _x(one, begin), _x(one, point.end_ms if point.unknown else point.start_ms)
            width = round(right - left, 1)
            bands.append(Band(left, width, "no data" if width > 60 else "", round(left + width / 2, 1)))
            begin = None
    return tuple(bands)


def _planned_bands(one: ObjectiveReport) -> tuple[Band, ...]:
    """Planned maintenance; wide enough to be seen."""
    bands = []
    for begin, end in within(one.judged.left_out, one.points[0].start_ms, one.points[-1].end_ms):
        left, right = _x(one, begin), _x(one, end)
        width = max(3.0, round(right - left, 1))
        bands.append(Band(left, width, "maintenance" if width > 100 else "", round(left + width / 2, 1)))
    return tuple(bands)


def _incident_bands(one: ObjectiveReport) -> tuple[Band, ...]:
    bands = []
    for letter, incident in zip(LETTERS, one.incidents.listed[:_MARKED] if one.incidents else (), strict=False):
        left, right = _x(one, incident.start_ms), _x(one, incident.end_ms)
        width = max(3.0, round(right - left, 1))
        bands.append(Band(left, width, letter, round(left + width / 2, 1)))
    taken: list[float] = []
    for i, band in enumerate(bands):  # a letter that would stand on a dearer incident's is left out
        if any(abs(band.middle - other) < 14 for other in taken):
            bands[i] = Band(band.left, band.width)
        else:
            taken.append(band.middle)
    return tuple(bands)


def _time_marks(one: ObjectiveReport) -> tuple[Mark, ...]:
    first, last = one.points[0].start_ms, one.points[-1].end_ms
    length, zone = last - first, ZoneInfo(one.judged.zone)
    form = "%-d %b" if length >= 4 * _DAY else "%-d %b %H:%M" if length >= _DAY else "%H:%M"
    if length < 600_000:
        form = "%H:%M:%S"
    anchors = ("start", "", "", "", "end")
    return tuple(
        Mark(_x(one, at), f"{_local(at, zone):{form}}", i % 2 == 1, anchor)
        for i, (at, anchor) in enumerate(zip((first + length * i // 4 for i in range(5)), anchors, strict=True))
    )


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)).astimezone(zone)


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """Marks that do not stand on each other, from the top; those between the ends give way."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        if not kept or abs(mark.at - kept[-1].at) >= 16:
            kept.append(mark)
    return kept
