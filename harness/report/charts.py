"""Charts as numbers and paths, drawn by the page's template: the response curve and the timeline of an alert."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.proof.model import AlertResult, CurvePoint, Fact
from harness.replay import AlertTimeline, State
from harness.units import format_duration, format_number

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 40


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick of an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The rule's left side over the knob: the path in pixels, the firing stretches, the limit and the boundary."""

    path: str
    dots: tuple[tuple[float, float], ...]
    firing: tuple[tuple[float, float], ...]
    """(left, width) of the stretches in which the alert fires."""
    limit_y: float | None
    limit_text: str
    boundary_x: float | None
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    described: str


def response_curve(result: AlertResult) -> Curve | None:
    """The curve of an alert whose knob was surveyed; None where there is nothing to draw."""
    points = [p for p in result.measured.curve if math.isfinite(p.x)]
    contract = result.contract
    if contract is None or len(points) < 2:
        return None
    known = [(p, p.value) for p in points if p.value is not None and math.isfinite(p.value)]
    low_x, high_x = points[0].x, points[-1].x
    values = [value for _, value in known]
    limit = result.measured.limit
    if limit is not None and math.isfinite(limit):
        values.append(limit)
    low_y, high_y = (min(values), max(values)) if values else (0.0, 1.0)
    if low_y == high_y:
        low_y, high_y = low_y - 1, high_y + 1

    def x_of(x: float) -> float:
        return round(_LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - _LEFT - _RIGHT), 1)

    def y_of(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - _TOP - _BOTTOM), 1)

    dots = list(dict.fromkeys((x_of(p.x), y_of(value)) for p, value in known))
    boundary = result.measured.boundary
    unit = contract.knob.unit
    described = f"{contract.knob.name} from {format_number(low_x)} to {format_number(high_x)} {unit}"
    if boundary is not None:
        described += (
            f": last quiet at {format_number(boundary.quiet_at)}, first firing at {format_number(boundary.fires_at)}"
        )
    return Curve(
        path=" ".join(f"{'M' if i == 0 else 'L'}{x} {y}" for i, (x, y) in enumerate(dots)),
        dots=tuple(dots),
        firing=tuple(_firing(points, x_of)),
        limit_y=y_of(limit) if limit is not None and math.isfinite(limit) else None,
        limit_text=f"limit {format_number(limit)}" if limit is not None else "",
        boundary_x=x_of(float(boundary.fires_at)) if boundary is not None else None,
        x_marks=tuple(Mark(x_of(x), f"{_short(x)} {unit}".rstrip()) for x in _even(low_x, high_x)),
        y_marks=tuple(Mark(y_of(y), _short(y)) for y in _even(low_y, high_y)),
        described=described,
    )


def _firing(points: Sequence[CurvePoint], place: Callable[[float], float]) -> list[tuple[float, float]]:
    """(left, width) of each unbroken run of firing positions."""
    stretches: list[tuple[float, float]] = []
    start: float | None = None
    for i, point in enumerate(points):
        if point.fires and start is None:
            start = place(point.x)
        if start is not None and (not point.fires or i == len(points) - 1):
            end = place(points[i - 1].x if not point.fires else point.x)
            # A single firing position (0 streams) would be a stretch of no width.
            stretches.append((max(_LEFT, start - 2) if end - start < 4 else start, max(4.0, round(end - start, 1))))
            start = None
    return stretches


def _even(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / 4 for i in range(5)]


def _short(value: float) -> str:
    return f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A run of ticks in one state."""

    left: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the timeline."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One course of the knob on the tick grid: where the condition holds, and the alert's state."""

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    height: int
    described: str


LANE_HEIGHT = 28


def timeline(fact: Fact, interval_ms: int) -> Timeline | None:
    """The timeline of the alert that fires in a fact; None if none is ever pending."""
    if not fact.timelines:
        return None
    alert = max(fact.timelines, key=lambda t: len(t.true_at))
    cell = (WIDTH - _LEFT - _RIGHT) / fact.ticks
    truth = ["true" if tick in alert.true_at else "" for tick in range(fact.ticks)]
    states = [_state(alert, tick) for tick in range(fact.ticks)]
    lanes = (Lane("condition", _bars(truth, cell, interval_ms)), Lane("alert", _bars(states, cell, interval_ms)))
    step = max(1, fact.ticks // 6)
    marks = tuple(
        Mark(round(_LEFT + tick * cell, 1), format_duration(tick * interval_ms)) for tick in range(0, fact.ticks, step)
    )
    pending, firing = alert.first(State.PENDING), alert.first(State.FIRING)
    described = f"{fact.name}: "
    described += f"pending at {format_duration(pending * interval_ms)}, " if pending is not None else ""
    described += f"firing at {format_duration(firing * interval_ms)}" if firing is not None else "never firing"
    return Timeline(lanes, marks, 2 * LANE_HEIGHT + 30, described)


def _state(alert: AlertTimeline, tick: int) -> str:
    state = alert.states[tick]
    return "" if state is State.INACTIVE else state.value


def _bars(kinds: Sequence[str], cell: float, interval_ms: int) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    start = 0
    for tick in range(1, len(kinds) + 1):
        if tick == len(kinds) or kinds[tick] != kinds[start]:
            if kinds[start]:
                text = f"{kinds[start]} from {format_duration(start * interval_ms)}, {tick - start} ticks"
                bars.append(Bar(round(_LEFT + start * cell, 1), round((tick - start) * cell, 1), kinds[start], text))
            start = tick
    return tuple(bars)


FRAME = {
    "width": WIDTH,
    "height": HEIGHT,
    "left": _LEFT,
    "right": WIDTH - _RIGHT,
    "top": _TOP,
    "bottom": HEIGHT - _BOTTOM,
}
"""The curve's frame, for the template."""
